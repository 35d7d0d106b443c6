"""The preprocessing recipe of the papers, fitted on the training cells and applied to any cells."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from scclu._checks import listed
from scclu._settings import warn
from scclu.data.genes import dominant_genes, library_sizes, moments, row_sums, variable_genes
from scclu.data.kinds import TREATMENT, Kind, Scale, are_whole, detect_kind, stored_values
from scclu.data.matrix import Matrix, first_rows, transformed

__all__ = ["Kind", "Recipe", "detect_kind"]

logger = logging.getLogger(__name__)
# cells whose means and standard deviations are computed, if there are more
FITTED_CELLS = 100_000


@dataclass(frozen=True)
class Recipe:
    """Log-normalisation and gene selection, with the statistics that z-scoring needs.

    Counts are divided by the cell's library size relative to the median library size, transformed by ln(1 + x), and
    restricted to the `n_top_genes` genes with the highest normalised dispersion. The model computes z-scores for each
    minibatch, so that sparse input stays sparse.

    Attributes
    ----------
    kind
        Kind of the training values: ``"counts"``, ``"expression"`` (normalised, not logarithms), ``"log"`` or
        ``"scaled"``.
    input_genes
        Names of all genes of the training data, over which the library size is computed.
    genes
        Names of the selected genes, in the order of the training data.
    excluded
        Names of the genes that are left out of the library size because they dominate single cells.
    target_sum
        Library size that cells are scaled to; 0 if `kind` needs none.
    max_value
        Z-scores are clipped to [-max_value, max_value]; None if they are not clipped.
    moments
        Mean and standard deviation of each selected gene over the training cells, then those of its clipped z-score,
        ``(4, n_genes)`` float32. The standard deviation of a constant gene is set to 1.
    scale
        Rough properties of the training values, by which new cells in other units are refused. None for a recipe of
        version 0.1.0, and for one that is fitted with a known kind.
    """

    kind: Kind
    input_genes: np.ndarray
    genes: np.ndarray
    excluded: np.ndarray
    target_sum: float
    max_value: float | None
    moments: np.ndarray
    scale: Scale | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if the attributes, which may come from a file, are inconsistent."""
        if self.kind not in TREATMENT:
            raise ValueError(f"kind of a recipe must be one of {listed(TREATMENT)}, but {self.kind!r} was passed.")
        unknown = {*self.genes, *self.excluded} - {*self.input_genes}
        if unknown:
            raise ValueError(f"genes of a recipe must be among its input genes, which {listed(unknown)} are not.")
        if self.moments.shape != (4, len(self.genes)) or not (self.moments[[1, 3]] > 0).all():
            raise ValueError(f"moments of a recipe must be those of its {len(self.genes)} genes.")
        if not 0 <= self.target_sum < np.inf or not (self.max_value is None or self.max_value > 0):
            raise ValueError(f"a recipe cannot have target_sum {self.target_sum!r} and max_value {self.max_value!r}.")

    @property
    def required_genes(self) -> np.ndarray:
        """Names of the genes that new cells must have."""
        return self.input_genes if self.target_sum else self.genes

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
        """Fit the recipe on the training cells and transform them.

        Parameters
        ----------
        matrix, names, source
            Result of :func:`~scclu.data.matrix.read_matrix`, in memory or on disk. Rows are processed in blocks. If
            there are more than 100,000 cells, they must be in random order: moments are those of the first ones.
        n_top_genes
            Number of genes to select by normalised dispersion; None keeps all. Scaled values have no dispersions, and
            all genes are kept.
        min_cells
            Genes that fewer cells express are not selected. The threshold is lowered for small data.
        max_library
            Upper bound for the library size that cells are scaled to, which is otherwise the median. Scaling to a
            large library would make the logarithm steep for small counts.
        max_share
            Genes with a larger share of the counts of any cell are left out of the library size, unless the median
            cell would lose more than a quarter of its counts. None leaves no genes out.
        max_value
            Z-scores are clipped to [-max_value, max_value]; None does not clip. Scaled values and representations are
            never clipped.
        kind
            Kind of the values, if it is known from an earlier call; log messages and warnings are then not repeated.
            None detects it.
        is_representation
            The columns are dimensions of an embedding. All are kept, and they share one scale, because the variance of
            a dimension reflects its importance.

        Returns
        -------
        The recipe, and the transformed training cells, ``(n_cells, n_genes)``, on disk if `matrix` is.

        Warns
        -----
        UserWarning
            If cells have no counts.
        """
        known = kind is not None
        kind = kind or ("scaled" if is_representation else detect_kind(matrix, source))
        if not known and not is_representation:
            logger.info("%s: %s.", source, TREATMENT[kind])
        target_sum, excluded = 0.0, np.zeros(len(names), dtype=bool)
        if kind in ("counts", "expression"):
            target_sum, excluded = _fit_library(
                matrix, max_library=max_library, max_share=max_share, source=None if known else source
            )
        keep = np.arange(matrix.shape[1])
        if kind != "scaled" and n_top_genes is not None and n_top_genes < len(keep):
            log = partial(_log, target_sum=target_sum, excluded=excluded)
            keep = variable_genes(matrix, log, n_top_genes, min_cells)
        log = partial(_log, target_sum=target_sum, excluded=excluded, columns=keep)
        selected = transformed(matrix, log, len(keep))
        if kind == "scaled":
            max_value = None
        if not known and selected.shape[0] > FITTED_CELLS:
            logger.info("Means and deviations of the genes are those of a random sample of %d cells.", FITTED_CELLS)
        measured = first_rows(selected, FITTED_CELLS)
        statistics = _statistics(measured, max_value, is_representation)
        # of the genes that new cells must have
        scale = None if known else Scale.of(first_rows(matrix, FITTED_CELLS) if target_sum else measured)
        genes = names, names[keep], names[excluded]
        return cls(kind, *genes, target_sum, max_value, statistics, scale), selected

    def measured(self, values: Matrix, *, is_representation: bool = False) -> Recipe:
        """Recipe with the moments of other cells than it was fitted to; `values` is what it makes of these cells."""
        return replace(self, moments=_statistics(values, self.max_value, is_representation))

    def transform(self, matrix: Matrix, names: np.ndarray, source: str) -> Matrix:
        """Transform new cells as the training cells were; genes are matched by name.

        Parameters
        ----------
        matrix, names, source
            Result of :func:`~scclu.data.matrix.read_matrix`, in memory or on disk.

        Returns
        -------
        Transformed cells, ``(n_cells, n_genes)``, on disk if `matrix` is.

        Raises
        ------
        ValueError
            If genes of the training data are missing, or the values are of another kind or scale than the training
            values.
        """
        position = {name: i for i, name in enumerate(names)}
        needed = self.required_genes
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
        """Transform values in memory.

        `columns` selects the genes of the training data, and `used` selects the genes of the recipe among those.
        """
        if columns is not None:
            matrix = matrix[:, columns]
        values = stored_values(matrix)
        if self.kind != "scaled" and values.min(initial=0.0) < 0:
            raise ValueError(
                f"The model was trained on {self.kind} values, which are not negative, but {source} holds "
                f"{values.min():g}. Pass new cells in the units of the training data."
            )
        if self.kind == "counts" and not are_whole(values).all():
            raise ValueError(
                f"The model was trained on counts, but {source} holds values that are not whole numbers. "
                "Pass the counts of the new cells (layer= names them)."
            )
        difference = None if self.scale is None else self.scale.difference(self.kind, matrix)
        if difference is not None:
            raise ValueError(
                f"The model was trained on {self.kind} values, but {source} {difference}. "
                "Pass new cells in the units of the training data (layer= of setup_anndata names their matrix)."
            )
        excluded = pd.Index(self.required_genes).isin(self.excluded)
        return _log(matrix, self.target_sum, excluded, used)


def _statistics(values: Matrix, max_value: float | None, is_representation: bool) -> np.ndarray:
    """Attribute ``moments`` of a recipe."""
    n_genes = values.shape[1]
    statistics = np.concatenate((moments(values), np.zeros((1, n_genes)), np.ones((1, n_genes))))
    if is_representation:
        statistics[1] = np.sqrt(np.mean(statistics[1] ** 2))
    if max_value is not None:
        statistics[2:] = moments(values, z_score=statistics[:2], max_value=max_value)
    return statistics.astype(np.float32)


def _fit_library(
    matrix: Matrix, *, max_library: float | None, max_share: float | None, source: str | None
) -> tuple[float, np.ndarray]:
    """Library size that cells are scaled to, and the mask of the genes that it leaves out, ``(n_genes,)``.

    Warns about cells without counts unless `source`, the name of the matrix in messages, is None.
    """
    library = library_sizes(matrix)
    excluded = np.zeros(matrix.shape[1], dtype=bool)
    if max_share is not None:
        excluded = dominant_genes(matrix, library, max_share)
    target_sum = float(np.median(library[library > 0]))
    n_empty = int((library == 0).sum())
    if source is not None and n_empty:
        warn(
            f"{n_empty} cells of {source} have no counts and carry no information about their type; their cluster is "
            "arbitrary. Remove them with scanpy.pp.filter_cells(adata, min_counts=1).",
        )
    return min(target_sum, max_library or target_sum), excluded


def _log(matrix: Any, target_sum: float, excluded: np.ndarray, columns: np.ndarray | None = None) -> Any:
    """Log-normalise some columns of a block: ln(1 + x * target_sum / library), the library without excluded genes."""
    library = row_sums(matrix, ~excluded if excluded.any() else None) if target_sum else None
    if columns is not None and len(columns) < matrix.shape[1]:
        matrix = matrix[:, columns]
    if library is None:
        return matrix
    factor = (target_sum / np.where(library > 0, library, 1.0)).astype(np.float32)
    if sparse.issparse(matrix):
        values = matrix.data * np.repeat(factor, np.diff(matrix.indptr))
        np.log1p(values, out=values)
        return sparse.csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)
    return np.log1p(matrix * factor[:, None])
