"""Batches of a graph: the whole graph, or unions of its parts."""

from __future__ import annotations

from functools import partial
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from scipy import sparse
from torch.utils.data import DataLoader, Dataset

from scclu.data.counts import Counts
from scclu.data.tensors import batch_tensor
from scclu.methods.scsiameseclu.edges import induced_subgraph, partition_graph, shuffled_unions
from scclu.methods.scsiameseclu.graph import GraphOperators
from scclu.methods.scsiameseclu.module import CellBatch
from scclu.methods.scsiameseclu.settings import ScSiameseCluSettings

# gradient steps per epoch
EPOCH_STEPS = 5


class GraphBatches(pl.LightningDataModule):
    """Batches of the whole graph if it fits into one batch, else of shuffled unions of its parts (as in Cluster-GCN).

    An epoch consists of :data:`EPOCH_STEPS` batches, and the next epoch continues the pass over the cells. `pruned` and
    `target` may be set between epochs.

    Parameters
    ----------
    features
        ``(n_cells, n_features)``.
    adjacency
        Symmetric graph, ``(n_cells, n_cells)``.
    batch_size
        Approximate number of cells per batch.
    part_size
        Approximate number of cells per part of the graph.
    teleport, tolerance
        Parameters of the diffusion (Eq. 3).
    counts, n_counted
        Counts of the cells (``None`` without ZINB), and number of cells per batch whose counts are used.
    seed
        Random seed of the parts, their order, and the cells whose counts are used.
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
        self._operators = partial(GraphOperators.from_adjacency, teleport=teleport, tolerance=tolerance)
        self._counts = counts
        self._n_counted = n_counted
        self._rng = np.random.default_rng(seed)
        self._parts: list[np.ndarray] | None = None
        self._left: list[np.ndarray | None] = []
        self._whole: GraphOperators | None = None

    @property
    def n_batches(self) -> int:
        """Number of batches in a pass over the cells."""
        return max(1, round(len(self.features) / self._batch_size))

    def prune(self, pruned: sparse.csr_matrix) -> None:
        """Set the graph without its weakest edges (Eq. 2)."""
        self.pruned = pruned
        self._whole = None

    def whole(self) -> GraphOperators:
        """Return the operators of the whole graph."""
        if self._whole is None:
            self._whole = self._operators(self.adjacency, self.pruned)
        return self._whole

    def next_batch(self) -> CellBatch:
        """Return the next batch of an endless sequence of passes over the cells."""
        if not self._left:
            self._left = self._pass()[::-1]
        cells = self._left.pop()
        if cells is None:
            features, graph = self.features, self.whole()
        else:
            features = self.features[cells]
            adjacency, pruned = induced_subgraph(self.adjacency, cells), induced_subgraph(self.pruned, cells)
            graph = self._operators(adjacency, pruned)
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
        """Return the position in the pass over the cells, and what is set between epochs."""
        return {
            "rng": self._rng.bit_generator.state,
            "parts": self._parts,
            "left": self._left,
            "pruned": {name: getattr(self.pruned, name) for name in ("data", "indices", "indptr")},
            "target": self.target,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._rng.bit_generator.state = state_dict["rng"]
        self._parts, self._left, self.target = state_dict["parts"], list(state_dict["left"]), state_dict["target"]
        pruned = state_dict["pruned"]
        shape = self.adjacency.shape
        self.prune(sparse.csr_matrix((pruned["data"], pruned["indices"], pruned["indptr"]), shape=shape))

    def transfer_batch_to_device(self, batch: CellBatch, device: torch.device, dataloader_idx: int) -> CellBatch:
        """Move a batch, whose sparse operators Lightning cannot move."""
        return batch.to(device)

    def train_dataloader(self) -> DataLoader:
        """Return the loader that Lightning iterates over."""
        # with a generator of its own, the loader does not draw from the global random state
        return DataLoader(_Epoch(self), batch_size=None, generator=torch.Generator())


class _Epoch(Dataset):
    """Dataset that makes each batch on request; with a known length, since Lightning prefetches from one without."""

    def __init__(self, batches: GraphBatches):
        self.batches = batches

    def __len__(self) -> int:
        return EPOCH_STEPS

    def __getitem__(self, step: int) -> CellBatch:
        return self.batches.next_batch()


def make_batches(
    features: torch.Tensor,
    adjacency: sparse.csr_matrix,
    counts: Counts | None,
    settings: ScSiameseCluSettings,
    batch_size: int,
    tolerance: float,
    seed: int,
) -> GraphBatches:
    """Create the batches of a training with these settings; the arguments are those of :class:`GraphBatches`."""
    return GraphBatches(
        features,
        adjacency,
        batch_size=batch_size,
        part_size=settings.part_size,
        teleport=settings.teleport,
        tolerance=tolerance,
        counts=counts,
        n_counted=settings.n_counted,
        seed=seed,
    )
