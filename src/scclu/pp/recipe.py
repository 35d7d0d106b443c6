"""The papers' preprocessing, fitted once on the training cells and applied to any cells."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from .matrix import Matrix, listed, row_blocks

logger = logging.getLogger(__name__)

Kind = Literal["counts", "expression", "log", "scaled"]
# ln(1 + x) of anything measured stays below this: e^50 exceeds every library size by far
_MAX_LOG = 50.0

_SAID = {
    "counts": "non-negative whole numbers: taken as counts, normalised to the median library size and logged",
    "expression": "non-negative reals too large for logarithms: taken as normalised expression (TPM, RPKM), "
    "brought to the median total and logged",
    "log": "non-negative reals: taken as log-normalised",
    "scaled": "reals of both signs: taken as scaled",
}


def detect_kind(matrix: Matrix, source: str) -> Kind:
    """What the values are, judged by the values.

    Raises
    ------
    ValueError
        If all values are zero, or if they are whole numbers and some are negative, which no counts can be.
    """
    values = matrix.data if sparse.issparse(matrix) else matrix
    low, high = values.min(initial=0.0), values.max(initial=0.0)
    if low == high == 0:
        raise ValueError(f"{source} holds only zeros: there is nothing to cluster.")
    whole = all(
        np.array_equal(part, np.floor(part)) for part in np.array_split(values, max(1, values.shape[0] // 100_000))
    )
    if low < 0:
        if whole:
            raise ValueError(
                f"{source} holds whole numbers, as counts do, but {int((values < 0).sum())} of them are negative "
                f"(the smallest is {low:g}). Pass counts, log-normalised values or scaled values "
                "(layer= names another matrix)."
            )
        return "scaled"
    if whole:
        return "counts"
    return "expression" if high > _MAX_LOG else "log"


@dataclass(frozen=True)
class Recipe:
    """Counts to the log-normalised values of the highly variable genes, with what z-scoring them needs.

    counts -> divided by (library size / median library size) -> ln(1 + x) -> the `n_top_genes` genes of highest
    normalised dispersion. The z-score itself is left to the model, which takes it on each minibatch, so that sparse
    input stays sparse.

    Attributes
    ----------
    kind
        What the training values were: ``"counts"``, ``"expression"`` (normalised, not logged), ``"log"`` or
        ``"scaled"``.
    input_genes
        Names of all genes of the training data, which the library size is a sum over.
    genes
        Names of the genes that are used, in the order of the training data.
    target_sum
        The median library size of the training cells; 0 where `kind` needs none.
    excluded
        Names of the genes that the library size leaves out, since they dominate single cells.
    max_value
        Z-scores are clipped to [-max_value, max_value]; ``None`` where they are not.
    moments
        Mean and standard deviation of each used gene over the training cells, then those of its clipped z-score,
        ``(4, n_genes)`` float32. A constant gene has standard deviation 1.
    """

    kind: Kind
    input_genes: np.ndarray
    genes: np.ndarray
    excluded: np.ndarray
    target_sum: float
    max_value: float | None
    moments: np.ndarray

    def __post_init__(self) -> None:
        """Raise ValueError unless the parts, which may come from a file, fit together."""
        if self.kind not in _SAID:
            raise ValueError(f"kind of a recipe must be one of {listed(_SAID)}, but {self.kind!r} was passed.")
        unknown = {*self.genes, *self.excluded} - {*self.input_genes}
        if unknown:
            raise ValueError(f"genes of a recipe must be among its input genes, which {listed(unknown)} are not.")
        if self.moments.shape != (4, len(self.genes)) or not (self.moments[[1, 3]] > 0).all():
            raise ValueError(f"moments of a recipe must be those of its {len(self.genes)} genes.")
        if not 0 <= self.target_sum < np.inf or not (self.max_value is None or self.max_value > 0):
            raise ValueError(f"a recipe cannot have target_sum {self.target_sum!r} and max_value {self.max_value!r}.")

    @classmethod
    def fit(
        cls,
        matrix: Matrix,
        names: np.ndarray,
        source: str,
        *,
        n_top_genes: int | None = None,
        min_cells: int = 1,
        max_library: float | None = None,
        max_share: float | None = None,
        max_value: float | None = None,
        kind: Kind | None = None,
        is_representation: bool = False,
    ) -> tuple[Recipe, Matrix]:
        """Fit on the training cells, and transform them.

        Parameters
        ----------
        matrix, names, source
            What :func:`read_matrix` returns.
        n_top_genes
            Genes to keep, by normalised dispersion; ``None`` keeps all. Scaled values have no dispersions:
            all are kept.
        min_cells
            Genes that fewer cells express are not chosen (fewer still where there are less than ten cells for each).
        max_library
            Libraries are brought to their median, and to no more than this: deeply sequenced cells would otherwise be
            logged where the logarithm is steep for small counts.
        max_share
            Genes that hold a larger share of any cell are left out of its library size, unless that leaves a typical
            cell with less than three quarters of its counts. ``None`` leaves none out.
        max_value
            Where to clip z-scores; ``None`` does not. Scaled values and representations are never clipped.
        kind
            Of the values, where it is known: nothing is announced again. ``None`` detects it.
        is_representation
            The columns are dimensions of an embedding: all are kept, and they share one scale, since their variances
            tell how much each matters.

        Returns
        -------
        The recipe, and the transformed training cells, ``(n_cells, n_genes)``.
        """
        announced = kind is not None
        kind = kind or ("scaled" if is_representation else detect_kind(matrix, source))
        if not announced and not is_representation:
            logger.info("%s: %s.", source, _SAID[kind])
        target_sum = 0.0
        excluded = np.zeros(len(names), dtype=bool)
        if kind in ("counts", "expression"):
            library = _row_sums(matrix)
            if max_share is not None:
                excluded = _dominant_genes(matrix, library, max_share)
            target_sum = float(np.median(library[library > 0]))
            if not announced and (library == 0).any():
                warnings.warn(
                    f"{int((library == 0).sum())} cells of {source} have no counts and carry no information about "
                    "their type; their cluster means nothing. "
                    "Drop them with scanpy.pp.filter_cells(adata, min_counts=1).",
                    UserWarning,
                    stacklevel=2,
                )
            target_sum = min(target_sum, max_library or target_sum)
        logged = _log(matrix, target_sum, excluded)
        keep = _variable_genes(logged, None if kind == "scaled" else n_top_genes, min_cells)
        selected = logged[:, keep] if len(keep) < logged.shape[1] else logged
        if kind == "scaled":
            max_value = None
        moments = np.concatenate((_moments(selected), np.zeros((1, len(keep))), np.ones((1, len(keep)))))
        if is_representation:
            moments[1] = np.sqrt(np.mean(moments[1] ** 2))
        if max_value is not None:
            moments[2:] = _moments(selected, z_score=moments[:2], max_value=max_value)
        recipe = cls(kind, names, names[keep], names[excluded], target_sum, max_value, moments.astype(np.float32))
        return recipe, selected

    def transform(self, matrix: Matrix, names: np.ndarray, source: str) -> Matrix:
        """New cells, brought to the training cells' genes and units; genes are matched by name.

        Raises
        ------
        ValueError
            If genes of the training data are missing, or the values are not of the kind that the recipe was fitted on.
        """
        position = {name: i for i, name in enumerate(names)}
        needed = self.input_genes if self.target_sum else self.genes
        missing = [name for name in needed if name not in position]
        if missing:
            raise ValueError(
                f"{source} lacks {len(missing)} of the {len(needed)} genes that the model was trained on: "
                f"{listed(missing)}. Pass cells with the same genes (order and further genes do not matter)."
            )
        columns = np.array([position[name] for name in needed])
        if not np.array_equal(columns, np.arange(matrix.shape[1])):
            matrix = matrix[:, columns]
        values = matrix.data if sparse.issparse(matrix) else matrix
        if self.kind != "scaled" and values.min(initial=0.0) < 0:
            raise ValueError(
                f"The model was trained on {self.kind} values, which are not negative, but {source} holds "
                f"{values.min():g}. Pass new cells in the units of the training data."
            )
        if self.kind == "counts" and not np.array_equal(values, np.floor(values)):
            raise ValueError(
                f"The model was trained on counts, but {source} holds values that are not whole numbers. "
                "Pass the counts of the new cells (layer= names them)."
            )
        logged = _log(matrix, self.target_sum, np.isin(needed, self.excluded))
        if len(self.genes) == logged.shape[1]:
            return logged
        position = {name: i for i, name in enumerate(needed)}
        return logged[:, [position[name] for name in self.genes]]


def _log(matrix: Matrix, target_sum: float, excluded: np.ndarray) -> Matrix:
    """ln(1 + x / (library / target_sum)) on a new array, the library without the excluded genes."""
    if not target_sum:
        return matrix
    library = _row_sums(matrix[:, ~excluded] if excluded.any() else matrix)
    factor = (target_sum / np.where(library > 0, library, 1.0)).astype(np.float32)
    if sparse.issparse(matrix):
        logged = matrix.copy()
        logged.data = np.log1p(logged.data * np.repeat(factor, np.diff(matrix.indptr)))
        return logged
    return np.log1p(matrix * factor[:, None])


def _dominant_genes(matrix: Matrix, library: np.ndarray, max_share: float) -> np.ndarray:
    """Genes that hold more than `max_share` of any cell; none if a typical cell would lose more than a quarter."""
    dominant = np.zeros(matrix.shape[1], dtype=bool)
    for rows in row_blocks(matrix):
        block = matrix[rows]
        if sparse.issparse(block):
            dominant[block.indices[block.data > np.repeat(max_share * library[rows], np.diff(block.indptr))]] = True
        else:
            dominant |= (block > max_share * library[rows, None]).any(axis=0)
    if not dominant.any():
        return dominant
    filled = library > 0
    left = _row_sums(matrix[:, ~dominant])[filled] / library[filled]
    return dominant if np.median(left) >= 0.75 else np.zeros_like(dominant)


def _row_sums(matrix: Matrix) -> np.ndarray:
    return np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()


def _variable_genes(logged: Matrix, n_top_genes: int | None, min_cells: int) -> np.ndarray:
    """Columns of the genes to keep, in their order: the most variable ones by normalised dispersion, none constant."""
    if n_top_genes is None or n_top_genes >= logged.shape[1]:
        return np.arange(logged.shape[1])
    import pandas as pd
    import scanpy as sc
    from anndata import AnnData

    with warnings.catch_warnings():
        # bins that hold one gene have no standard deviation; scanpy handles them
        warnings.simplefilter("ignore")
        genes = pd.RangeIndex(logged.shape[1]).astype(str)
        table = sc.pp.highly_variable_genes(
            AnnData(logged, var=pd.DataFrame(index=genes)), n_top_genes=n_top_genes, flavor="seurat", inplace=False
        )
    dispersion = table["dispersions_norm"].to_numpy(dtype=np.float64)
    expressed = np.asarray((logged > 0).sum(axis=0)).ravel()
    rare = expressed < min(min_cells, max(1, logged.shape[0] // 9))
    dispersion = np.where(np.isnan(dispersion) | rare, -np.inf, dispersion)
    return np.sort(np.argsort(-dispersion, kind="stable")[:n_top_genes])


def _moments(matrix: Matrix, z_score: np.ndarray | None = None, max_value: float = np.inf) -> np.ndarray:
    """Mean and standard deviation (n - 1) of each column, ``(2, n_columns)``, block by block in float64.

    With `z_score`, the mean and standard deviation of an earlier call, those of the clipped z-scores.
    """

    def blocks() -> Iterator[np.ndarray]:
        for rows in row_blocks(matrix):
            block = matrix[rows].toarray() if sparse.issparse(matrix) else matrix[rows]
            yield block if z_score is None else np.clip((block - z_score[0]) / z_score[1], -max_value, max_value)

    n = matrix.shape[0]
    mean = np.sum([block.sum(axis=0, dtype=np.float64) for block in blocks()], axis=0) / n
    squares = np.sum([((block - mean) ** 2).sum(axis=0) for block in blocks()], axis=0)
    scale = np.sqrt(squares / max(n - 1, 1))
    return np.stack((mean, np.where(scale > 1e-6, scale, 1.0)))
