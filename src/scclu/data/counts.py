"""Raw counts for the count model of scSiameseClu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from anndata import AnnData

from scclu._checks import listed
from scclu.data.genes import column_means, library_sizes
from scclu.data.matrix import Matrix, layer_names, read_matrix, transformed
from scclu.data.recipe import detect_kind

COUNTS = "counts"


def read_counts(
    adata: AnnData,
    counts_layer: str | None,
    *,
    layer: str | None = None,
    read: tuple[Matrix, np.ndarray, str] | None = None,
) -> tuple[Matrix, np.ndarray, str]:
    """Read the counts that the count model is fitted to.

    Parameters
    ----------
    adata
        Annotated data, cells x genes.
    counts_layer
        Key of ``adata.layers`` that holds counts. If None, ``layers["counts"]`` is read if it exists, and otherwise
        the matrix that `layer` names.
    layer
        Key of ``adata.layers``; ``adata.X`` if None.
    read
        What :func:`read_matrix` returned for `layer`, if it was read before.

    Returns
    -------
    Matrix, names of the genes and name of the matrix, as :func:`read_matrix`; a matrix on disk stays there.

    Raises
    ------
    ValueError
        If the layer is missing, or the matrix does not hold counts.
    """
    if counts_layer is not None and counts_layer not in adata.layers:
        raise ValueError(
            f"counts_layer must be a key of adata.layers, but {counts_layer!r} was passed. "
            f"There are: {listed(layer_names(adata))}."
        )
    name = counts_layer if counts_layer is not None else COUNTS if COUNTS in adata.layers else layer
    if name is None and adata.X is None:
        raise ValueError(f"ZINB needs raw counts, but adata has no X and no layers[{COUNTS!r}]. {_WAYS_OUT}")
    matrix, names, source = (
        read if read is not None and name == layer else read_matrix(adata, layer=name, by_block=True)
    )
    kind = detect_kind(matrix, source)
    if kind != "counts":
        raise ValueError(f"ZINB needs raw counts, but {source} holds {kind} values. {_WAYS_OUT}")
    return matrix, names, source


@dataclass(frozen=True)
class Counts:
    """Counts with the size factors of the cells.

    Attributes
    ----------
    matrix
        Counts, ``(n_cells, n_genes)``, in memory or on disk.
    size_factors
        Library size (total count over all genes) divided by its median, ``(n_cells,)`` float32; 1 for a cell without
        counts.
    """

    matrix: Matrix
    size_factors: np.ndarray

    @classmethod
    def of(cls, matrix: Matrix, columns: Sequence[int]) -> Counts:
        """Select the genes in `columns`; the size factors are computed from all genes."""
        library = library_sizes(matrix)
        median = np.median(library[library > 0])
        factors = np.where(library > 0, library / median, 1.0).astype(np.float32)
        return cls(transformed(matrix, lambda block: block[:, columns], len(columns)), factors)

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean count of each gene for a cell with size factor 1, ``(n_genes,)`` float32."""
        return (column_means(self.matrix) / self.size_factors.mean()).astype(np.float32)


_WAYS_OUT = "Name a layer that holds counts (counts_layer=), or leave this loss out (zinb_weight=0)."
