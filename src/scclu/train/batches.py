"""Minibatches of cells from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from scipy import sparse
from torch.utils.data import DataLoader, Dataset, Sampler

from scclu.pp.matrix import Matrix

# an epoch is a pass over the cells, or this many minibatches where a pass has more
MAX_EPOCH_STEPS = 100


def batch_tensor(matrix: Matrix, rows: np.ndarray | slice) -> torch.Tensor:
    """Rows of a matrix as a dense tensor, ``(n_rows, n_features)`` float32."""
    block = matrix[rows]
    return torch.from_numpy(block.toarray() if sparse.issparse(block) else np.ascontiguousarray(block))


def embed_cells(
    encode: Callable[[torch.Tensor], torch.Tensor], matrix: Matrix, device: torch.device, batch_size: int
) -> np.ndarray:
    """Run `encode` over all rows without gradients.

    Returns
    -------
    ``(n_cells, n_dims)`` float32.
    """
    parts = []
    with torch.inference_mode():
        for start in range(0, matrix.shape[0], batch_size):
            batch = batch_tensor(matrix, slice(start, start + batch_size)).to(device)
            parts.append(encode(batch).float().cpu())
    return torch.cat(parts).numpy()


class MinibatchSampler(Sampler):
    """Row numbers of one minibatch after another, each cell once a pass.

    A pass is cut into minibatches of nearly equal size, so that none is left with a single cell. An epoch ends after a
    pass or after :data:`MAX_EPOCH_STEPS` minibatches; then the next epoch goes on where this one stopped.
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
        """Where it is in its passes."""
        return {"rng": self._rng.bit_generator.state, "left": self._left}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self._rng.bit_generator.state, self._left = state_dict["rng"], list(state_dict["left"])


class _Rows(Dataset):
    """A matrix that is indexed by the rows of a whole minibatch."""

    def __init__(self, matrix: Matrix):
        self.matrix = matrix

    def __len__(self) -> int:
        return self.matrix.shape[0]

    def __getitem__(self, rows: np.ndarray) -> torch.Tensor:
        return batch_tensor(self.matrix, np.sort(rows))


class CellBatches(pl.LightningDataModule):
    """Shuffled minibatches of dense cells from a matrix in memory, which may be sparse.

    Parameters
    ----------
    matrix
        ``(n_cells, n_features)``.
    batch_size
        Largest number of cells in a minibatch.
    seed
        Of the order of the cells.
    """

    def __init__(self, matrix: Matrix, batch_size: int, seed: int):
        super().__init__()
        self.rows = _Rows(matrix)
        self.sampler = MinibatchSampler(matrix.shape[0], batch_size, seed)

    def state_dict(self) -> dict[str, Any]:
        """Where it is in its passes over the cells."""
        return self.sampler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self.sampler.load_state_dict(state_dict)

    def train_dataloader(self) -> DataLoader:
        """The loader that Lightning asks for."""
        return DataLoader(self.rows, batch_size=None, sampler=self.sampler)
