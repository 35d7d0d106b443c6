"""Snapshots of embedding and clusters during training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch


@dataclass(frozen=True)
class Snapshots:
    """Embedding and clusters of the training cells at some epochs of training.

    The attribute ``snapshots_`` of a model that was trained with ``n_snapshots``.

    Attributes
    ----------
    epoch
        Number of epochs trained, over all phases, ``(n,)`` int; 0 is before training.
    embedding
        ``(n, n_cells, n_dims)`` float32.
    clusters
        ``(n, n_cells)`` int32, numbered by size in each snapshot; numbers of different snapshots do not correspond.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.model.CICL.setup_anndata(adata)
    >>> model = scclu.model.CICL(adata, n_clusters=10)
    >>> model.train(max_epochs=2, n_snapshots=2)
    >>> model.snapshots_.epoch.tolist(), model.snapshots_.embedding.shape
    ([0, 2], (2, 700, 60))
    """

    epoch: np.ndarray
    embedding: np.ndarray
    clusters: np.ndarray


class SnapshotRecorder(pl.Callback):
    """Takes snapshots before training and at evenly spaced epochs; the last one is the result of training.

    One recorder serves all phases of a training, and does not change the result.

    Parameters
    ----------
    n_snapshots
        Number of snapshots, including those before and after training; at most one per epoch is taken. 0 takes none.
    n_epochs
        Number of epochs of all phases together.
    take
        Returns the embedding ``(n_cells, n_dims)`` float32 and the clusters ``(n_cells,)`` int. It must not draw from
        global random states.
    """

    def __init__(self, n_snapshots: int, n_epochs: int, take: Callable[[], tuple[np.ndarray, np.ndarray]]):
        self._due = np.unique(np.linspace(0, n_epochs, n_snapshots).round().astype(int))[:-1].tolist()
        self._n_snapshots = n_snapshots
        self._take = take
        self._epoch = 0
        self._taken: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def on_train_start(self, trainer: pl.Trainer, plan: pl.LightningModule) -> None:
        """Take the snapshot before training; later phases take none here."""
        self._snapshot(plan)

    def on_train_epoch_end(self, trainer: pl.Trainer, plan: pl.LightningModule) -> None:
        """Count the epoch, and take its snapshot if one is due."""
        self._epoch += 1
        self._snapshot(plan)

    def state_dict(self) -> dict[str, Any]:
        """Snapshots and number of epochs so far (Lightning's name)."""
        return {"epoch": self._epoch, "taken": self._taken}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._epoch = state_dict["epoch"]
        self._taken = {epoch: (embedding, labels) for epoch, (embedding, labels) in state_dict["taken"].items()}

    def _snapshot(self, plan: pl.LightningModule) -> None:
        if self._epoch not in self._due or self._epoch in self._taken:
            return
        plan.eval()
        with torch.no_grad():
            self._taken[self._epoch] = self._take()
        plan.train()

    def finish(self, order: np.ndarray, embedding: Any, clusters: Any) -> Snapshots | None:
        """Return all snapshots in the order of the user's cells; ``None`` if `n_snapshots` is 0.

        Parameters
        ----------
        order
            Position among the user's cells of each cell in the order of training, ``(n_cells,)``.
        embedding, clusters
            Result of training, in the user's order.
        """
        if not self._n_snapshots:
            return None
        back = np.argsort(order)
        self._taken.pop(self._epoch, None)  # training that was stopped early may end at an epoch that was due
        taken = list(self._taken.values())
        return Snapshots(
            np.array([*self._taken, self._epoch]),
            np.stack([*(values[back] for values, _ in taken), embedding]).astype(np.float32, copy=False),
            np.stack([*(labels[back] for _, labels in taken), clusters]).astype(np.int32),
        )
