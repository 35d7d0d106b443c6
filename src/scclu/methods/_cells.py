"""Digests of cells, by which a loaded model recognises its training cells."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from scclu.data.matrix import Matrix, blocks

# rows of a block that are hashed at a time, in values
_BLOCK_VALUES = 2**21
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class CellDigests:
    """Digests of cells.

    Attributes
    ----------
    values
        Digest of the non-zero values of each cell and of the names of their genes, whatever the order of the genes,
        ``(n_cells,)`` int64. Equal cells have equal digests.
    names
        Digest of the name of each cell, ``(n_cells,)`` int64.
    """

    values: np.ndarray
    names: np.ndarray

    def __post_init__(self) -> None:
        """Raise ValueError if the attributes, which may come from a file, are not two numbers for each cell."""
        shapes = {(array.dtype, array.shape) for array in (self.values, self.names)}
        if shapes != {(np.dtype(np.int64), (len(self.values),))}:
            raise ValueError("digests of cells are not one whole number a cell")

    @classmethod
    def of(cls, matrix: Matrix, genes: np.ndarray, used: np.ndarray, cells: Iterable[str]) -> CellDigests:
        """Compute the digests of cells.

        Parameters
        ----------
        matrix
            Values as they are read, ``(n_cells, n_genes)`` float32, in memory or on disk.
        genes
            Names of the columns.
        used
            Names of the columns that matter.
        cells
            Names of the cells.
        """
        # np.isin compares each pair of two arrays of objects
        keys = np.where(pd.Index(genes).isin(used), _digests(genes).view(np.uint64) | np.uint64(1), np.uint64(0))
        values = np.empty(matrix.shape[0], dtype=np.uint64)
        for rows, block in blocks(matrix):
            values[rows] = _row_sums(block, keys)
        return cls(values.view(np.int64), _digests(cells))

    def match(self, new: CellDigests) -> np.ndarray | None:
        """Find the cells among others.

        Returns
        -------
        For each cell of `new` the position of the cell with the same values here, ``(n_cells,)`` int64. Of cells with
        equal values, those of the same name are matched first, and the others in their order. ``None`` if the cells are
        not the same.
        """
        if not np.array_equal(np.sort(self.values), np.sort(new.values)):
            return None
        positions = np.empty(len(self.values), dtype=np.int64)
        if np.array_equal(self.values, new.values) and np.array_equal(self.names, new.names):
            return np.arange(len(positions))
        # the k-th cell of one name and values here is the k-th there
        both, taken = _occurrences(self.values, self.names), np.zeros(len(positions), dtype=bool)
        there = {key: i for i, key in enumerate(both)}
        left = []
        for i, key in enumerate(_occurrences(new.values, new.names)):
            if (found := there.get(key)) is None:
                left.append(i)
            else:
                positions[i], taken[found] = found, True
        # both have as many cells of each values left
        rest, free = np.array(left, dtype=np.int64), np.flatnonzero(~taken)
        rest = rest[np.argsort(new.values[rest], kind="stable")]
        positions[rest] = free[np.argsort(self.values[free], kind="stable")]
        return positions

    def __getitem__(self, order: np.ndarray) -> CellDigests:
        return CellDigests(self.values[order], self.names[order])

    def tensors(self) -> dict[str, torch.Tensor]:
        """The digests as tensors, for a file."""
        return {"cells.values": torch.from_numpy(self.values), "cells.names": torch.from_numpy(self.names)}


def _occurrences(*columns: np.ndarray) -> list[tuple[int, ...]]:
    """Rows of the columns, each with the number of equal rows before it."""
    seen: dict[tuple[int, ...], int] = {}
    rows = []
    for row in zip(*(column.tolist() for column in columns), strict=True):
        seen[row] = n = seen.get(row, -1) + 1
        rows.append((*row, n))
    return rows


def _digests(names: Iterable[str]) -> np.ndarray:
    """Digest of each name, ``(n,)`` int64."""
    joined = b"".join(hashlib.blake2b(str(name).encode("utf-8", "replace"), digest_size=8).digest() for name in names)
    return np.frombuffer(joined, dtype="<i8").astype(np.int64)


def _row_sums(block: sparse.csr_matrix | np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Sum over the non-zero values of each row of a hash of value and column, modulo 2**64."""
    step = max(1, _BLOCK_VALUES // max(1, block.shape[1]))
    sums = np.zeros(block.shape[0], dtype=np.uint64)
    for start in range(0, block.shape[0], step):
        part = sparse.csr_matrix(block[start : start + step], dtype=np.float32)
        hashed = part.data.view(np.uint32).astype(np.uint64) * _MIX
        hashed ^= hashed >> np.uint64(32)
        hashed = (hashed ^ keys[part.indices]) * _MIX
        hashed ^= hashed >> np.uint64(29)
        hashed *= keys[part.indices]
        hashed[part.data == 0] = 0
        full = np.flatnonzero(np.diff(part.indptr))
        if len(full):
            sums[start + full] = np.add.reduceat(hashed, part.indptr[full])
    return sums
