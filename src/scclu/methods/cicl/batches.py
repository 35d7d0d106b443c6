"""Minibatches of cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from scclu.data.matrix import Matrix
from scclu.data.tensors import batch_tensor

# an epoch is a pass over the cells, or this many minibatches where a pass has more
MAX_EPOCH_STEPS = 100


class MinibatchSampler(Sampler):
    """Yields the row numbers of each minibatch; a pass contains each cell once.

    A pass is split into minibatches of nearly equal sizes, so that none contains a single cell. An epoch ends after a
    pass or after :data:`MAX_EPOCH_STEPS` minibatches; the next epoch then continues the pass.
    """

    def __init__(self, n_cells: int, batch_size: int, seed: int):
        self.n_cells = n_cells
        self.n_batches = -(-n_cells // batch_size)
        self._rng = np.random.default_rng(seed)
        self._left: list[np.ndarray] = []

    def __len__(self) -> int:
        return min(self.n_batches, MAX_EPOCH_STEPS)

    def __iter__(self) -> Iterator[np.ndarray]:
        for _ in range(len(self)):
            if not self._left:
                self._left = np.array_split(self._rng.permutation(self.n_cells), self.n_batches)[::-1]
            yield self._left.pop()

    def state_dict(self) -> dict[str, Any]:
        """Position in the passes over the cells."""
        return {"rng": self._rng.bit_generator.state, "left": self._left}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._rng.bit_generator.state, self._left = state_dict["rng"], list(state_dict["left"])


class Minibatch(NamedTuple):
    """The cells of a minibatch on one device.

    Attributes
    ----------
    cells
        ``(n, n_features)`` float32.
    labels
        Their pseudo-labels, ``(n,)`` int64, or ``None`` if those are found during training.
    start, n_cells
        Where the first of them is in the whole minibatch, and how many cells that has. Divided among devices, each but
        the last ones has the same number, ``ceil(n_cells / n_devices)``.
    """

    cells: torch.Tensor
    labels: torch.Tensor | None
    start: int
    n_cells: int


class _Rows(Dataset):
    """Dataset indexed by the rows of a minibatch, of which each device reads its part."""

    def __init__(self, matrix: Matrix, labels: np.ndarray | None, rank: int, n_ranks: int):
        self.matrix = matrix
        self.labels = labels
        self.rank = rank
        self.n_ranks = n_ranks

    def __len__(self) -> int:
        return self.matrix.shape[0]

    def __getitem__(self, rows: np.ndarray) -> Minibatch:
        size = -(-len(rows) // self.n_ranks)
        start = min(self.rank * size, len(rows))
        own = np.sort(rows)[start : start + size]
        labels = None if self.labels is None else torch.from_numpy(self.labels[own])
        return Minibatch(batch_tensor(self.matrix, own), labels, start, len(rows))


class CellBatches(pl.LightningDataModule):
    """Shuffled minibatches of dense cells from a matrix, which may be sparse or on disk.

    Parameters
    ----------
    matrix
        ``(n_cells, n_features)``.
    batch_size
        Largest number of cells in a minibatch, over all devices.
    seed
        Random seed of the order of the cells.
    labels
        Pseudo-labels of the cells, ``(n_cells,)`` int, if they are known before training.
    """

    def __init__(self, matrix: Matrix, batch_size: int, seed: int, labels: np.ndarray | None = None):
        super().__init__()
        self.matrix = matrix
        self.labels = labels
        self.sampler = MinibatchSampler(matrix.shape[0], batch_size, seed)

    def state_dict(self) -> dict[str, Any]:
        """Position in the passes over the cells."""
        return self.sampler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.sampler.load_state_dict(state_dict)

    def train_dataloader(self) -> DataLoader:
        """Create the data loader."""
        rank, n_ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        rows = _Rows(self.matrix, self.labels, rank, n_ranks)
        # with a generator of its own, the loader does not draw from the global random state
        return DataLoader(rows, batch_size=None, sampler=self.sampler, generator=torch.Generator())
