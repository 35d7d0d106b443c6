"""The papers' preprocessing, fitted once on the training cells and applied to any cells."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from scclu.data.matrix import Matrix, blocks, listed, transformed

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
    low = high = 0.0
    n_negative, whole = 0, True
    for _, block in blocks(matrix):
        values = _values(block)
        low, high = min(low, float(values.min(initial=0.0))), max(high, float(values.max(initial=0.0)))
        n_negative += int((values < 0).sum()) if low < 0 else 0
        whole = whole and np.array_equal(values, np.floor(values))
    if low == high == 0:
        raise ValueError(f"{source} holds only zeros: there is nothing to cluster.")
    if low < 0:
        if whole:
            raise ValueError(
                f"{source} holds whole numbers, as counts do, but {n_negative} of them are negative "
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
            What :func:`read_matrix` returns, in memory or on disk. It is gone through block by block.
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
        The recipe, and the transformed training cells, ``(n_cells, n_genes)``; on disk if they were.
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
        keep = np.arange(matrix.shape[1])
        if kind != "scaled" and n_top_genes is not None and n_top_genes < len(keep):
            keep = _variable_genes(
                matrix, partial(_log, target_sum=target_sum, excluded=excluded), n_top_genes, min_cells
            )
        log = partial(_log, target_sum=target_sum, excluded=excluded, columns=keep)
        selected = transformed(matrix, log, len(keep))
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
        found = np.array([position[name] for name in needed])
        columns = None if np.array_equal(found, np.arange(matrix.shape[1])) else found
        position = {name: i for i, name in enumerate(needed)}
        used = np.array([position[name] for name in self.genes])
        return transformed(matrix, partial(self._transform, source=source, columns=columns, used=used), len(used))

    def _transform(self, matrix: Any, *, source: str, columns: np.ndarray | None, used: np.ndarray) -> Any:
        """Transform values in memory: of what the library size needs, `columns`; of that, `used`."""
        if columns is not None:
            matrix = matrix[:, columns]
        values = _values(matrix)
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
        excluded = np.isin(self.input_genes if self.target_sum else self.genes, self.excluded)
        return _log(matrix, self.target_sum, excluded, used)


def _values(block: Any) -> np.ndarray:
    return block.data if sparse.issparse(block) else block


def _log(matrix: Any, target_sum: float, excluded: np.ndarray, columns: np.ndarray | None = None) -> Any:
    """ln(1 + x / (library / target_sum)) of some columns on a new array, the library without the excluded genes."""
    library = _sums(matrix[:, ~excluded] if excluded.any() else matrix) if target_sum else None
    if columns is not None and len(columns) < matrix.shape[1]:
        matrix = matrix[:, columns]
    if library is None:
        return matrix
    factor = (target_sum / np.where(library > 0, library, 1.0)).astype(np.float32)
    if sparse.issparse(matrix):
        logged = matrix.copy()
        logged.data = np.log1p(logged.data * np.repeat(factor, np.diff(matrix.indptr)))
        return logged
    return np.log1p(matrix * factor[:, None])


def _dominant_genes(matrix: Matrix, library: np.ndarray, max_share: float) -> np.ndarray:
    """Genes that hold more than `max_share` of any cell; none if a typical cell would lose more than a quarter."""
    dominant = np.zeros(matrix.shape[1], dtype=bool)
    for rows, block in blocks(matrix):
        if sparse.issparse(block):
            dominant[block.indices[block.data > np.repeat(max_share * library[rows], np.diff(block.indptr))]] = True
        else:
            dominant |= (block > max_share * library[rows, None]).any(axis=0)
    if not dominant.any():
        return dominant
    filled = library > 0
    left = _row_sums(matrix, ~dominant)[filled] / library[filled]
    return dominant if np.median(left) >= 0.75 else np.zeros_like(dominant)


def _sums(block: Any) -> np.ndarray:
    return np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()


def _row_sums(matrix: Matrix, columns: np.ndarray | None = None) -> np.ndarray:
    sums = np.empty(matrix.shape[0])
    for rows, block in blocks(matrix):
        sums[rows] = _sums(block if columns is None else block[:, columns])
    return sums


def _variable_genes(
    matrix: Matrix, log: Callable[[Any], Any], n_top_genes: int, min_cells: int, n_bins: int = 20
) -> np.ndarray:
    """Columns of the most variable genes, in their order, by normalised dispersion (Seurat's, as in scanpy).

    The logarithm of variance over mean, of values before `log`, is z-scored among genes of like mean expression.
    """
    n_cells, n_genes = matrix.shape

    def logged() -> Iterator[Any]:
        return (log(block) for _, block in blocks(matrix))

    expressed = sum(np.asarray((block > 0).sum(axis=0)).ravel() for block in logged())
    mean, variance = _mean_and_variance(logged, n_cells, n_genes, lambda values, _: np.expm1(values))
    mean = np.maximum(mean, 1e-12)
    # a gene that does not vary has no dispersion
    dispersion = np.log(np.where(variance > 1e-9 * mean**2, variance / mean, np.nan))
    table = pd.DataFrame({"dispersion": dispersion})
    groups = table.groupby(pd.cut(np.log1p(mean), n_bins), observed=True)["dispersion"]
    center, spread = groups.transform("mean"), groups.transform("std")
    # a bin of one gene has no standard deviation: the gene counts as one above its mean
    alone = spread.isna()
    score = ((table["dispersion"] - center.mask(alone, 0)) / spread.mask(alone, center)).to_numpy()
    rare = expressed < min(min_cells, max(1, n_cells // 9))
    score = np.where(np.isnan(score) | rare, -np.inf, score)
    return np.sort(np.argsort(-score, kind="stable")[:n_top_genes])


def _moments(matrix: Matrix, z_score: np.ndarray | None = None, max_value: float = np.inf) -> np.ndarray:
    """Mean and standard deviation (n - 1) of each column, ``(2, n_columns)``, block by block in float64.

    With `z_score`, the mean and standard deviation of an earlier call, those of the clipped z-scores.
    """

    def value(values: np.ndarray, columns: np.ndarray | slice) -> np.ndarray:
        if z_score is None:
            return values
        return np.clip((values - z_score[0, columns]) / z_score[1, columns], -max_value, max_value)

    n_rows, n_columns = matrix.shape
    mean, variance = _mean_and_variance(lambda: (block for _, block in blocks(matrix)), n_rows, n_columns, value)
    scale = np.sqrt(variance)
    return np.stack((mean, np.where(scale > 1e-6, scale, 1.0)))


def _mean_and_variance(
    make_blocks: Callable[[], Iterator[Any]],
    n_rows: int,
    n_columns: int,
    value: Callable[[np.ndarray, np.ndarray | slice], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (n - 1) of a function of the values of each column; sparse blocks stay sparse.

    Parameters
    ----------
    make_blocks
        Called for each of two passes over the rows.
    n_rows, n_columns
        Of all blocks.
    value
        The function, of values and their columns.
    """

    def total(of: Callable[[np.ndarray, np.ndarray | slice], np.ndarray]) -> np.ndarray:
        zero = of(np.zeros(n_columns), slice(None))
        sums = n_rows * zero
        for block in make_blocks():
            if sparse.issparse(block):
                more = of(block.data, block.indices) - zero[block.indices]
                sums += np.bincount(block.indices, more, minlength=n_columns)
            else:
                sums += (of(block, slice(None)) - zero).sum(axis=0, dtype=np.float64)
        return sums

    mean = total(value) / n_rows
    squares = total(lambda values, columns: (value(values, columns) - mean[columns]) ** 2)
    return mean, squares / max(n_rows - 1, 1)
