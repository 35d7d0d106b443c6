"""The papers' preprocessing, fitted once on the training cells and applied to any cells."""

from __future__ import annotations

import logging
import warnings
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
    mean, scale
        Mean and standard deviation of each used gene over the training cells, ``(n_genes,)`` float32. A constant gene
        has scale 1.
    """

    kind: Kind
    input_genes: np.ndarray
    genes: np.ndarray
    target_sum: float
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(
        cls, matrix: Matrix, names: np.ndarray, source: str, *, n_top_genes: int | None, is_representation: bool = False
    ) -> tuple[Recipe, Matrix]:
        """Fit on the training cells, and transform them.

        Parameters
        ----------
        matrix, names, source
            What :func:`read_matrix` returns.
        n_top_genes
            Genes to keep, by normalised dispersion; ``None`` keeps all. Scaled values have no dispersions:
            all are kept.
        is_representation
            The columns are dimensions of an embedding: all are kept, and they share one scale, since their variances
            tell how much each matters.

        Returns
        -------
        The recipe, and the transformed training cells, ``(n_cells, n_genes)``.
        """
        kind: Kind = "scaled" if is_representation else detect_kind(matrix, source)
        if not is_representation:
            logger.info("%s: %s.", source, _SAID[kind])
        target_sum = 0.0
        if kind in ("counts", "expression"):
            library = _row_sums(matrix)
            target_sum = float(np.median(library[library > 0]))
            if (library == 0).any():
                warnings.warn(
                    f"{int((library == 0).sum())} cells of {source} have no counts and carry no information about "
                    "their type; their cluster means nothing. "
                    "Drop them with scanpy.pp.filter_cells(adata, min_counts=1).",
                    UserWarning,
                    stacklevel=2,
                )
        recipe = cls(kind, names, names, target_sum, np.zeros(0), np.zeros(0))
        logged = recipe._log(matrix)
        keep = _variable_genes(logged, None if kind == "scaled" else n_top_genes)
        selected = logged[:, keep] if len(keep) < logged.shape[1] else logged
        mean, scale = _moments(selected)
        if is_representation:
            scale = np.full_like(scale, np.sqrt(np.mean(scale**2)))
        return cls(kind, names, names[keep], target_sum, mean, scale), selected

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
        logged = self._log(matrix)
        if len(self.genes) == logged.shape[1]:
            return logged
        position = {name: i for i, name in enumerate(needed)}
        return logged[:, [position[name] for name in self.genes]]

    def _log(self, matrix: Matrix) -> Matrix:
        """ln(1 + x / (library / median library)), on a new array."""
        if not self.target_sum:
            return matrix
        library = _row_sums(matrix)
        factor = (self.target_sum / np.where(library > 0, library, 1.0)).astype(np.float32)
        if sparse.issparse(matrix):
            logged = matrix.copy()
            logged.data = np.log1p(logged.data * np.repeat(factor, np.diff(matrix.indptr)))
            return logged
        return np.log1p(matrix * factor[:, None])


def _row_sums(matrix: Matrix) -> np.ndarray:
    return np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()


def _variable_genes(logged: Matrix, n_top_genes: int | None) -> np.ndarray:
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
    dispersion = np.where(np.isnan(dispersion), -np.inf, dispersion)
    return np.sort(np.argsort(-dispersion, kind="stable")[:n_top_genes])


def _moments(matrix: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (n - 1) of each column, block by block in float64."""
    n = matrix.shape[0]
    total = np.zeros(matrix.shape[1])
    squares = np.zeros(matrix.shape[1])
    for rows in row_blocks(matrix):
        total += np.asarray(matrix[rows].sum(axis=0, dtype=np.float64)).ravel()
    mean = total / n
    for rows in row_blocks(matrix):
        block = matrix[rows]
        block = block.toarray() if sparse.issparse(block) else block
        squares += ((block - mean) ** 2).sum(axis=0)
    scale = np.sqrt(squares / max(n - 1, 1))
    return mean.astype(np.float32), np.where(scale > 1e-6, scale, 1.0).astype(np.float32)
