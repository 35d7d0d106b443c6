"""A matrix on disk, of which rows are read when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

# above this share of the rows between the first and the last, reading all of them is quicker than reading each
_DENSE_SHARE = 0.05


def is_on_disk(values: Any) -> bool:
    """Whether rows of a matrix can be read without reading all of it: backed (CSR or dense), zarr, dask."""
    if isinstance(values, np.ndarray) or sparse.issparse(values):
        return False
    lazy = any(hasattr(values, name) for name in ("to_memory", "compute", "chunks"))
    return lazy and getattr(values, "format", "csr") != "csc"


@dataclass(frozen=True)
class DiskMatrix:
    """Rows on disk, in an order of their own, and what is done to each block of them that is read.

    Attributes
    ----------
    values
        A matrix for which :func:`is_on_disk` is true.
    shape
        ``(n_cells, n_features)`` of the blocks after `prepare`.
    prepare
        Makes a checked float32 array or CSR matrix of a block in memory, row by row: a row never depends on its block.
    block_rows
        Rows that are read at a time.
    order
        The row on disk of each row, ``(n_cells,)``.
    """

    values: Any
    shape: tuple[int, int]
    prepare: Callable[[Any], Any]
    block_rows: int
    order: np.ndarray

    def __getitem__(self, rows: slice | np.ndarray) -> Any:
        """Some rows in memory."""
        positions = self.order[rows]
        wanted, back = np.unique(positions, return_inverse=True)
        if len(wanted) == 0:
            return self.prepare(_in_memory(self.values[:0]))
        block = self.prepare(self._read(wanted))
        return block if np.array_equal(back, np.arange(len(wanted))) else block[back]

    def _read(self, wanted: np.ndarray) -> Any:
        start, stop = int(wanted[0]), int(wanted[-1]) + 1
        if len(wanted) < _DENSE_SHARE * (stop - start):
            if hasattr(self.values, "to_memory") or hasattr(self.values, "compute"):
                return _in_memory(self.values[wanted])
            # a dense array of h5py takes long lists of rows in a time that grows with their square
            return np.stack([self.values[row] for row in wanted.tolist()])
        parts = []
        for first in range(start, stop, self.block_rows):
            last = min(first + self.block_rows, stop)
            inside = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, last)] - first
            if len(inside):
                parts.append(_in_memory(self.values[first:last])[inside])
        return sparse.vstack(parts, format="csr") if sparse.issparse(parts[0]) else np.concatenate(parts)

    def blocks(self) -> Iterator[tuple[np.ndarray, Any]]:
        """All rows in the order on disk: where a block's rows belong, and the block."""
        place = np.argsort(self.order)
        for start in range(0, self.shape[0], self.block_rows):
            rows = slice(start, min(start + self.block_rows, self.shape[0]))
            yield place[rows], self.prepare(_in_memory(self.values[rows]))

    def reordered(self, order: np.ndarray) -> DiskMatrix:
        """The same rows in another order."""
        return replace(self, order=self.order[order])

    def transformed(self, transform: Callable[[Any], Any], n_features: int) -> DiskMatrix:
        """The same rows, each block transformed when it is read."""
        prepare = self.prepare
        return replace(self, prepare=lambda block: transform(prepare(block)), shape=(self.shape[0], n_features))


def _in_memory(values: Any) -> Any:
    if hasattr(values, "compute"):
        values = values.compute()
    return values if sparse.issparse(values) else np.asarray(values)
