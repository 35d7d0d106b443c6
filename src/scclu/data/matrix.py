"""Reading and checking of matrices in AnnData, access to them in blocks of rows, and matching of gene names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from pandas.api.extensions import ExtensionDtype
from pandas.api.types import is_complex_dtype, is_numeric_dtype
from scipy import sparse

from scclu._checks import check_adata, listed
from scclu.data.disk import DiskMatrix, consecutive_rows, is_on_disk, load

# Number of values in a dense float32 block of rows (128 MB).
_BLOCK_VALUES = 32 * 2**20
# Number of stored values of a matrix in memory from which on it is not copied (1 GB in CSR).
_LARGE_VALUES = 128 * 2**20

# np.ndarray or scipy.sparse.csr_matrix, which has no useful type annotations; DiskMatrix where a function says so
Matrix: TypeAlias = Any


def layer_names(adata: AnnData) -> list[str]:
    """Names of the layers, without the ``None`` that stands for ``X`` in anndata 0.13 and later."""
    return [name for name in adata.layers if name is not None]


def select_matrix(
    adata: AnnData, *, layer: str | None = None, use_rep: str | None = None
) -> tuple[Any, np.ndarray, str]:
    """Select the matrix that `layer` or `use_rep` names, without reading or converting its values.

    Returns
    -------
    The matrix as it is stored, ``(n_obs, n_features)``; the names of its columns; its name for messages.

    Raises
    ------
    TypeError, ValueError
        As :func:`read_matrix`, except for what depends on the values.
    """
    check_adata(adata)
    if layer is not None and use_rep is not None:
        raise ValueError(f"Pass either layer or use_rep, but both were passed: layer={layer!r}, use_rep={use_rep!r}.")
    if use_rep is not None and use_rep != "X":
        if use_rep not in adata.obsm:
            raise ValueError(
                f"use_rep must be a key of adata.obsm, but {use_rep!r} was passed. "
                f"There are: {listed(adata.obsm.keys())}."
            )
        values = adata.obsm[use_rep]
        values = _frame_values(values) if isinstance(values, pd.DataFrame) else values
        if getattr(values, "ndim", None) != 2:
            shape = getattr(values, "shape", type(values).__name__)
            raise ValueError(f"adata.obsm[{use_rep!r}] must have two dimensions, but has shape {shape}.")
        names = np.array([f"{use_rep}_{i}" for i in range(values.shape[1])], dtype=object)
        return _checked(values, names, f"adata.obsm[{use_rep!r}]")
    names = gene_names(adata)
    if layer is None or layer == "X":
        if adata.X is None:
            raise ValueError("adata.X is None. Fill it, or name a layer (layer=) or a representation (use_rep=).")
        return _checked(adata.X, names, "adata.X")
    if layer not in adata.layers:
        raise ValueError(
            f"layer must be a key of adata.layers, but {layer!r} was passed. There are: {listed(layer_names(adata))}."
        )
    return _checked(adata.layers[layer], names, f"adata.layers[{layer!r}]")


def _frame_values(frame: pd.DataFrame) -> np.ndarray:
    """Values of a data frame; those of pandas' nullable types, which would become objects, with NaN where missing."""
    if all(is_numeric_dtype(dtype) and not is_complex_dtype(dtype) for dtype in frame.dtypes):
        if any(isinstance(dtype, ExtensionDtype) for dtype in frame.dtypes):
            return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return frame.to_numpy()


def gene_names(adata: AnnData) -> np.ndarray:
    """Names of the genes as strings, missing ones included, which ``astype(str)`` keeps missing in pandas 3."""
    return np.array([str(name) for name in adata.var_names], dtype=object)


def _checked(values: Any, names: np.ndarray, source: str) -> tuple[Any, np.ndarray, str]:
    """Return the arguments if the matrix is not empty, its names are unique and no value is masked."""
    n_cells, n_features = values.shape
    if n_cells == 0 or n_features == 0:
        raise ValueError(f"{source} has {n_cells} cells and {n_features} features; at least one of each is needed.")
    if values.dtype.kind not in "buif":
        raise TypeError(f"{source} must hold numbers, but its dtype is {values.dtype}.")
    unique, counts = np.unique(names, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"Gene names must be unique, but {int((counts > 1).sum())} occur more than once: "
            f"{listed(unique[counts > 1])}. Call adata.var_names_make_unique() first."
        )
    if np.ma.is_masked(values):
        raise ValueError(
            f"{values.mask.sum()} values of {source} are masked. Fill them (numpy.ma.filled), or leave their cells out."
        )
    return values, names, source


def in_memory(values: Any) -> Any:
    """Read a whole matrix that is backed by a file or by dask; return any other as it is."""
    return load(values.to_memory() if hasattr(values, "to_memory") else values)


def read_matrix(
    adata: AnnData, *, layer: str | None = None, use_rep: str | None = None, by_block: bool = False
) -> tuple[Matrix, np.ndarray, str]:
    """Read the input of a model as float32.

    The result may share memory with the user's array and must not be written to.

    Parameters
    ----------
    adata
        Annotated data, cells x genes.
    layer
        Key of ``adata.layers``; ``adata.X`` if None.
    use_rep
        Key of ``adata.obsm`` to read instead of genes.
    by_block
        Return a :class:`~scclu.data.disk.DiskMatrix` for data on disk (backed, zarr, dask), whose values are checked
        when they are read, and for large data in memory. By default data on disk are read into memory.

    Returns
    -------
    matrix
        Values, ``(n_cells, n_features)`` float32. Canonical CSR for sparse input and for expression that is mostly
        zeros, so that CSR, CSC and dense input of the same values give bitwise equal results; C-ordered dense
        otherwise.
    names
        Names of the features, ``(n_features,)``.
    source
        Name of the matrix in messages, such as ``"adata.X"``.

    Raises
    ------
    TypeError
        If `adata` is not an AnnData, or the matrix does not hold numbers.
    ValueError
        If the matrix is missing, has no cells or no features, holds NaN or infinite values, or if gene names are
        duplicated.
    """
    values, names, source = select_matrix(adata, layer=layer, use_rep=use_rep)
    prepare = partial(_as_float32, source=source, prefer_sparse=use_rep is None)
    if by_block and is_on_disk(values):
        return _by_block(values, prepare), names, source
    matrix = prepare(in_memory(values))
    is_large = (matrix.nnz if sparse.issparse(matrix) else matrix.size) > _LARGE_VALUES
    return _by_block(matrix, lambda block: block) if by_block and is_large else matrix, names, source


def _by_block(values: Any, prepare: Callable[[Any], Any]) -> DiskMatrix:
    n_cells, n_features = values.shape
    return DiskMatrix(values, (n_cells, n_features), prepare, _block_rows(n_features), np.arange(n_cells))


def _as_float32(values: Any, source: str, *, prefer_sparse: bool) -> Matrix:
    """Convert values in memory as :func:`read_matrix` describes, and check that all are finite."""
    if not sparse.issparse(values):
        if not prefer_sparse or np.count_nonzero(values) > 0.5 * values.size:
            with np.errstate(over="ignore"):
                matrix = np.array(values, dtype=np.float32, order="C")
            _check_finite(matrix, source)
            return matrix
    with np.errstate(over="ignore"):
        matrix = sparse.csr_matrix(values, dtype=np.float32)  # shares float32 arrays with the input
    if not matrix.has_canonical_format or (matrix.data == 0).any():
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    _check_finite(matrix.data, source)
    if not prefer_sparse or matrix.nnz > 0.5 * matrix.shape[0] * matrix.shape[1]:
        return matrix.toarray()
    return matrix


def _check_finite(values: np.ndarray, source: str) -> None:
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        raise ValueError(
            f"{source} holds {bad} values that are NaN, infinite or beyond the range of float32. "
            "Remove or impute them first (for NaN: numpy.nan_to_num)."
        )


def _block_rows(n_features: int) -> int:
    return max(1, _BLOCK_VALUES // max(1, n_features))


def row_blocks(matrix: Matrix) -> Iterable[slice]:
    """Consecutive slices of rows, of which a dense float32 copy takes at most 128 MB."""
    step = _block_rows(matrix.shape[1])
    for start in range(0, matrix.shape[0], step):
        yield slice(start, min(start + step, matrix.shape[0]))


def blocks(matrix: Matrix, n_rows: int | None = None) -> Iterator[tuple[slice | np.ndarray, Any]]:
    """Iterate over pairs of rows, the first ones or all, and their values in memory.

    A matrix on disk is read once, in the order of the file.
    """
    if isinstance(matrix, DiskMatrix):
        yield from matrix.blocks(n_rows)
    else:
        for rows in row_blocks(matrix if n_rows is None else first_rows(matrix, n_rows)):
            yield rows, consecutive_rows(matrix, rows)


def first_rows(matrix: Matrix, n_rows: int) -> Matrix:
    """Return the first rows, in memory, or the matrix itself if it has no more."""
    return matrix if matrix.shape[0] <= n_rows else consecutive_rows(matrix, slice(n_rows))


def reordered(matrix: Matrix, order: np.ndarray) -> Matrix:
    """Return the rows in another order, without reading a matrix on disk."""
    return matrix.reordered(order) if isinstance(matrix, DiskMatrix) else matrix[order]


def transformed(matrix: Matrix, transform: Callable[[Any], Any], n_features: int) -> Matrix:
    """Apply a row-wise transform: at once to a matrix in memory, on reading to a matrix on disk."""
    return matrix.transformed(transform, n_features) if isinstance(matrix, DiskMatrix) else transform(matrix)


def canonical_order(matrix: Matrix) -> np.ndarray:
    """Order of the cells that depends on their values only, not on how they are stored.

    A model that is trained in this order gives the same result for any order of the input cells. Cells are sorted by
    their product with a fixed random vector; cells with equal products have equal values, so that their order has no
    effect.

    Parameters
    ----------
    matrix
        Values, ``(n_cells, n_features)``, in memory or on disk.

    Returns
    -------
    Permutation, ``(n_cells,)`` int64.
    """
    direction = np.random.default_rng(0).standard_normal(matrix.shape[1])
    keys = np.empty(matrix.shape[0])
    for rows, block in blocks(matrix):
        # a dense matrix product may sum in an order that depends on the row; this sum does not
        keys[rows] = block @ direction if sparse.issparse(block) else (block * direction).sum(axis=1)
    return np.argsort(keys, kind="stable")


@dataclass(frozen=True)
class GeneMatch:
    """Result of :func:`match_genes`.

    Attributes
    ----------
    found
        Maps wanted names to available names.
    by_case
        The entries of `found` whose names differ in case.
    unmatched
        Wanted names that are not available, or whose match is ambiguous.
    """

    found: dict[str, str]
    by_case: dict[str, str]
    unmatched: list[str]


def match_genes(wanted: Iterable[str], available: Iterable[str]) -> GeneMatch:
    """Match gene names exactly, or ignoring case if the match is unambiguous.

    Parameters
    ----------
    wanted
        Names to look for; repeated names count once.
    available
        Names to look in.

    Returns
    -------
    The matches. No two wanted names get the same available name: exact matches take precedence, and wanted names that
    differ only in case from each other stay unmatched unless they match exactly.

    Examples
    --------
    >>> from scclu.data.matrix import match_genes
    >>> match_genes(["CD3E", "Ms4a1", "none"], ["Cd3e", "Ms4a1"])
    GeneMatch(found={'CD3E': 'Cd3e', 'Ms4a1': 'Ms4a1'}, by_case={'CD3E': 'Cd3e'}, unmatched=['none'])
    """
    names = list(dict.fromkeys(map(str, wanted)))
    there = list(map(str, available))
    exact = set(there)
    taken = exact.intersection(names)
    folded: dict[str, list[str]] = defaultdict(list)
    for name in there:
        if name not in taken:
            folded[name.casefold()].append(name)
    askers: dict[str, int] = defaultdict(int)
    for name in names:
        askers[name.casefold()] += name not in exact
    found, by_case, unmatched = {}, {}, []
    for name in names:
        fits = folded[name.casefold()]
        if name in exact:
            found[name] = name
        elif len(fits) == 1 and askers[name.casefold()] == 1:
            found[name] = by_case[name] = fits[0]
        else:
            unmatched.append(name)
    return GeneMatch(found, by_case, unmatched)
