"""Minibatches of cells, and of parts of a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from scipy import sparse
from torch.utils.data import DataLoader, Dataset, Sampler

from scclu.graph import GraphViews, induced_subgraph, partition_graph, shuffled_unions
from scclu.module.scsiameseclu import CellBatch
from scclu.pp.counts import Counts
from scclu.pp.matrix import Matrix, blocks

# an epoch is a pass over the cells, or this many minibatches where a pass has more
MAX_EPOCH_STEPS = 100
# gradient steps in an epoch on a graph
EPOCH_STEPS = 5


def batch_tensor(matrix: Matrix, rows: np.ndarray | slice) -> torch.Tensor:
    """Rows of a matrix as a dense tensor, ``(n_rows, n_features)`` float32."""
    block = matrix[rows]
    return torch.from_numpy(block.toarray() if sparse.issparse(block) else np.ascontiguousarray(block))


def embed_cells(
    encode: Callable[[torch.Tensor], torch.Tensor], matrix: Matrix, device: torch.device, batch_size: int
) -> np.ndarray:
    """Run `encode` over all rows without gradients, `batch_size` at a time.

    Returns
    -------
    ``(n_cells, n_dims)`` float32.
    """
    embedding: np.ndarray | None = None
    with torch.inference_mode():
        for rows, block in blocks(matrix):
            starts = range(0, block.shape[0], batch_size)
            batches = (batch_tensor(block, slice(start, start + batch_size)).to(device) for start in starts)
            part = torch.cat([encode(batch).float().cpu() for batch in batches]).numpy()
            if embedding is None:
                embedding = np.empty((matrix.shape[0], part.shape[1]), dtype=np.float32)
            embedding[rows] = part
    assert embedding is not None  # every matrix has rows
    return embedding


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


class Minibatch(NamedTuple):
    """The cells of a minibatch that one device gets.

    Attributes
    ----------
    cells
        ``(n, n_features)`` float32.
    start, n_cells
        Where the first of them is in the whole minibatch, and how many cells that has. Divided among devices, each but
        the last ones has the same number, ``ceil(n_cells / n_devices)``.
    """

    cells: torch.Tensor
    start: int
    n_cells: int


class _Rows(Dataset):
    """A matrix that is indexed by the rows of a whole minibatch, of which a device gets its share."""

    def __init__(self, matrix: Matrix, rank: int, n_ranks: int):
        self.matrix = matrix
        self.rank = rank
        self.n_ranks = n_ranks

    def __len__(self) -> int:
        return self.matrix.shape[0]

    def __getitem__(self, rows: np.ndarray) -> Minibatch:
        size = -(-len(rows) // self.n_ranks)
        start = min(self.rank * size, len(rows))
        own = np.sort(rows)[start : start + size]
        return Minibatch(batch_tensor(self.matrix, own), start, len(rows))


class CellBatches(pl.LightningDataModule):
    """Shuffled minibatches of dense cells from a matrix, which may be sparse or on disk.

    Parameters
    ----------
    matrix
        ``(n_cells, n_features)``.
    batch_size
        Largest number of cells in a minibatch, over all devices.
    seed
        Of the order of the cells.
    """

    def __init__(self, matrix: Matrix, batch_size: int, seed: int):
        super().__init__()
        self.matrix = matrix
        self.sampler = MinibatchSampler(matrix.shape[0], batch_size, seed)

    def state_dict(self) -> dict[str, Any]:
        """Where it is in its passes over the cells."""
        return self.sampler.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self.sampler.load_state_dict(state_dict)

    def train_dataloader(self) -> DataLoader:
        """The loader that Lightning asks for."""
        rank, n_ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return DataLoader(_Rows(self.matrix, rank, n_ranks), batch_size=None, sampler=self.sampler)


class GraphBatches(pl.LightningDataModule):
    """The whole graph at each step where it fits in a batch, else shuffled unions of its parts (after Cluster-GCN).

    An epoch is :data:`EPOCH_STEPS` batches; the next epoch goes on where this one stopped. `pruned` and `target` may be
    set between epochs.

    Parameters
    ----------
    features
        ``(n_cells, n_features)``.
    adjacency
        Symmetric graph, ``(n_cells, n_cells)``.
    batch_size
        Cells in a batch, roughly.
    part_size
        Cells in a part of the graph, roughly.
    teleport, tolerance
        Of the diffusion (Eq. 3).
    counts, n_counted
        Counts of the cells, ``None`` without ZINB, and how many cells of a batch bring theirs.
    seed
        Of the parts and their order.
    """

    def __init__(
        self,
        features: torch.Tensor,
        adjacency: sparse.csr_matrix,
        *,
        batch_size: int,
        part_size: int,
        teleport: float,
        tolerance: float,
        counts: Counts | None,
        n_counted: int,
        seed: int,
    ):
        super().__init__()
        self.features = features
        self.adjacency = adjacency
        self.pruned = adjacency
        self.target: torch.Tensor | None = None
        self.with_counts = False
        self._batch_size = batch_size
        self._part_size = min(part_size, batch_size)
        self._views = partial(GraphViews.from_adjacency, teleport=teleport, tolerance=tolerance)
        self._counts = counts
        self._n_counted = n_counted
        self._rng = np.random.default_rng(seed)
        self._parts: list[np.ndarray] | None = None
        self._left: list[np.ndarray | None] = []
        self._whole: GraphViews | None = None

    @property
    def n_batches(self) -> int:
        """Batches in a pass over the cells."""
        return max(1, round(len(self.features) / self._batch_size))

    def prune(self, pruned: sparse.csr_matrix) -> None:
        """Set the graph without its weakest edges (Eq. 2)."""
        self.pruned = pruned
        self._whole = None

    def whole(self) -> GraphViews:
        """Operators of the whole graph."""
        if self._whole is None:
            self._whole = self._views(self.adjacency, self.pruned)
        return self._whole

    def next_batch(self) -> CellBatch:
        """The next batch of an endless sequence of passes."""
        if not self._left:
            self._left = self._pass()[::-1]
        cells = self._left.pop()
        if cells is None:
            features, graph = self.features, self.whole()
        else:
            features = self.features[cells]
            adjacency, pruned = induced_subgraph(self.adjacency, cells), induced_subgraph(self.pruned, cells)
            graph = self._views(adjacency, pruned)
        target = self.target if self.target is None or cells is None else self.target[cells]
        return CellBatch(features, graph, *self._counted(cells, len(features)), target)

    def _pass(self) -> list[np.ndarray | None]:
        if len(self.features) <= self._batch_size:
            return [None]
        if self._parts is None:
            self._parts = partition_graph(self.adjacency, self._part_size, random_state=self._rng)
        return list(shuffled_unions(self._parts, self._batch_size, random_state=self._rng))

    def _counted(
        self, cells: np.ndarray | None, n_cells: int
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        if self._counts is None or not self.with_counts:
            return None, None, None
        some = np.sort(self._rng.choice(n_cells, min(self._n_counted, n_cells), replace=False))
        rows = some if cells is None else cells[some]
        factors = torch.from_numpy(self._counts.size_factors[rows])
        return batch_tensor(self._counts.matrix, rows), factors, torch.from_numpy(some)

    def state_dict(self) -> dict[str, Any]:
        """Where it is in its passes over the cells, and what is set between epochs."""
        return {
            "rng": self._rng.bit_generator.state,
            "parts": self._parts,
            "left": self._left,
            "pruned": {name: getattr(self.pruned, name) for name in ("data", "indices", "indptr")},
            "target": self.target,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self._rng.bit_generator.state = state_dict["rng"]
        self._parts, self._left, self.target = state_dict["parts"], list(state_dict["left"]), state_dict["target"]
        pruned = state_dict["pruned"]
        shape = self.adjacency.shape
        self.prune(sparse.csr_matrix((pruned["data"], pruned["indices"], pruned["indptr"]), shape=shape))

    def transfer_batch_to_device(self, batch: CellBatch, device: torch.device, dataloader_idx: int) -> CellBatch:
        """Lightning does not know sparse operators."""
        return batch.to(device)

    def train_dataloader(self) -> DataLoader:
        """The loader that Lightning asks for."""
        return DataLoader(_Epoch(self), batch_size=None)


class _Epoch(Dataset):
    """Batches are made when they are asked for: Lightning would fetch one ahead of a dataset without a length."""

    def __init__(self, batches: GraphBatches):
        self.batches = batches

    def __len__(self) -> int:
        return EPOCH_STEPS

    def __getitem__(self, step: int) -> CellBatch:
        return self.batches.next_batch()
