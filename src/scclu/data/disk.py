"""Matrices on disk, or large ones in memory, whose rows are read and transformed when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

# If more than this share of the rows between the first and the last is wanted, reading all of them is faster.
_DENSE_SHARE = 0.05


def is_on_disk(values: Any) -> bool:
    """Whether single rows can be read without reading the whole matrix: backed CSR or dense, zarr, dask."""
    if isinstance(values, np.ndarray) or sparse.issparse(values):
        return False
    lazy = any(hasattr(values, name) for name in ("to_memory", "compute", "chunks"))
    return lazy and getattr(values, "format", "csr") != "csc"


@dataclass(frozen=True)
class DiskMatrix:
    """Rows on disk in a given order, with a transform that is applied when they are read.

    The matrix may also be a large one in memory, of which reordered and transformed copies would take much memory.

    Attributes
    ----------
    values
        Matrix for which :func:`is_on_disk` is true, or an array or a CSR matrix in memory.
    shape
        Shape after `prepare`, ``(n_cells, n_features)``.
    prepare
        Row-wise transform of a block in memory to a checked float32 array or CSR matrix. The result for a row must not
        depend on the other rows of the block.
    block_rows
        Number of rows that are read at a time.
    order
        Position on disk of each row, ``(n_cells,)``.
    """

    values: Any
    shape: tuple[int, int]
    prepare: Callable[[Any], Any]
    block_rows: int
    order: np.ndarray

    def __getitem__(self, rows: slice | np.ndarray) -> Any:
        """Read some rows into memory."""
        positions = self.order[rows]
        wanted, back = np.unique(positions, return_inverse=True)
        if len(wanted) == 0:
            return self.prepare(load(self.values[:0]))
        block = self.prepare(self._read(wanted))
        return block if np.array_equal(back, np.arange(len(wanted))) else block[back]

    def _read(self, wanted: np.ndarray) -> Any:
        """Read rows at increasing positions on disk, without `prepare`."""
        if isinstance(self.values, np.ndarray) or sparse.issparse(self.values):
            return self.values[wanted]
        start, stop = int(wanted[0]), int(wanted[-1]) + 1
        if len(wanted) < _DENSE_SHARE * (stop - start):
            if hasattr(self.values, "to_memory") or hasattr(self.values, "compute"):
                return load(self.values[wanted])
            # indexing a dense h5py dataset with a list takes time quadratic in its length
            return np.stack([self.values[row] for row in wanted.tolist()])
        parts = []
        for first in range(start, stop, self.block_rows):
            last = min(first + self.block_rows, stop)
            inside = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, last)] - first
            if len(inside):
                parts.append(load(self.values[first:last])[inside])
        return stacked(parts)

    def blocks(self, n_rows: int | None = None) -> Iterator[tuple[np.ndarray, Any]]:
        """Iterate over the first rows, or all, in the order on disk, as pairs of row positions and values."""
        place = np.argsort(self.order)
        for start in range(0, self.shape[0], self.block_rows):
            rows = slice(start, min(start + self.block_rows, self.shape[0]))
            values, found = load(consecutive_rows(self.values, rows)), place[rows]
            if n_rows is not None:
                wanted = found < n_rows
                values, found = values[wanted], found[wanted]
            yield found, self.prepare(values)

    def reordered(self, order: np.ndarray) -> DiskMatrix:
        """Return the same rows in another order."""
        return replace(self, order=self.order[order])

    def transformed(self, transform: Callable[[Any], Any], n_features: int) -> DiskMatrix:
        """Return the same rows with a further row-wise transform to `n_features` columns."""
        prepare = self.prepare
        return replace(self, prepare=lambda block: transform(prepare(block)), shape=(self.shape[0], n_features))


def consecutive_rows(matrix: Any, rows: slice) -> Any:
    """Consecutive rows of a matrix; those of a CSR matrix in memory share its arrays, which indexing would copy."""
    if not isinstance(matrix, sparse.csr_matrix):
        return matrix[rows]
    start, stop, _ = rows.indices(matrix.shape[0])
    first, last = matrix.indptr[start], matrix.indptr[stop]
    part = sparse.csr_matrix((stop - start, matrix.shape[1]), dtype=matrix.dtype)
    # the constructor would copy arrays that are parts of much larger ones
    part.data, part.indices = matrix.data[first:last], matrix.indices[first:last]
    part.indptr = matrix.indptr[start : stop + 1] - first
    return part


def stacked(parts: Sequence[Any]) -> Any:
    """Rows of some arrays or CSR matrices, one below the other."""
    return sparse.vstack(parts, format="csr") if sparse.issparse(parts[0]) else np.concatenate(parts)


def load(values: Any) -> Any:
    """Rows that were selected from a matrix on disk, as a numpy array or sparse matrix in memory."""
    if hasattr(values, "compute"):  # dask
        values = values.compute()
    return values if sparse.issparse(values) else np.asarray(values)
