"""Training plan of CICL: pseudo-labels, losses and optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch

from scclu.methods._plan import HistoryPlan
from scclu.methods.cicl.batches import Minibatch
from scclu.methods.cicl.module import CICLModule, Share

CentroidRefresh = Literal["epoch", "minibatch"]


class CICLPlan(HistoryPlan):
    """Algorithm 1 of the CICL paper.

    Parameters
    ----------
    module
        The network.
    refresh
        Called at the start of each epoch with the previous centroids (``None`` at first); returns centroids of all
        cells. Not used with ``centroid_refresh="minibatch"``.
    cluster
        Clusters the embedding of one minibatch; called with the embedding and the previous centroids.
    n_steps
        Number of training steps, for the learning-rate schedule.
    lr, weight_decay
        Learning rate and weight decay of AdamW.
    one_cycle
        Use a one-cycle schedule with maximum `lr`; otherwise the learning rate is constant.
    centroid_refresh
        ``"epoch"``: pseudo-labels come from centroids of all cells, updated at each epoch. ``"minibatch"``: from
        K-means on each minibatch, as in the paper. ``None``: pseudo-labels are fixed, and come with the minibatches.
    """

    def __init__(
        self,
        module: CICLModule,
        *,
        refresh: Callable[[np.ndarray | None], np.ndarray],
        cluster: Callable[[np.ndarray, np.ndarray | None], np.ndarray],
        n_steps: int,
        lr: float,
        weight_decay: float,
        one_cycle: bool,
        centroid_refresh: CentroidRefresh | None,
    ):
        super().__init__()
        self.module = module
        self._refresh = refresh
        self._cluster = cluster
        self._n_steps = n_steps
        self._lr = lr
        self._weight_decay = weight_decay
        self._one_cycle = one_cycle
        self._centroid_refresh = centroid_refresh
        self._centroids: np.ndarray | None = None

    def get_extra_state(self) -> dict[str, Any]:
        """State of the base class, and the centroids that the next K-means starts from."""
        return super().get_extra_state() | {"centroids": self._centroids}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`get_extra_state` returned."""
        super().set_extra_state(state)
        self._centroids = state["centroids"]

    def _set_centroids(self, centroids: np.ndarray) -> None:
        self._centroids = centroids
        self.module.pseudo_centroids.copy_(torch.from_numpy(centroids))

    def on_train_epoch_start(self) -> None:
        """Update the centroids from all cells, unless the pseudo-labels are fixed."""
        if self._centroid_refresh == "epoch":
            self._set_centroids(self._of_first(lambda: self._refresh(self._centroids)))

    def _of_first(self, find: Callable[[], np.ndarray]) -> np.ndarray:
        """Compute centroids on the first device and broadcast them to all devices."""
        return self.trainer.strategy.broadcast(find() if self.trainer.is_global_zero else None)

    def _share(self, batch: Minibatch) -> Share | None:
        """Cells of the minibatch on this device; ``None`` with a single device."""
        n_devices = self.trainer.world_size
        if n_devices == 1:
            return None
        n_own, size = len(batch.cells), -(-batch.n_cells // n_devices)

        def gather(own: torch.Tensor) -> torch.Tensor:
            # all devices must send tensors of the same size
            padded = torch.cat([own, own.new_zeros(size - n_own, *own.shape[1:])])
            return self.all_gather(padded, sync_grads=own.requires_grad).flatten(0, 1)[: batch.n_cells]

        return Share(batch.n_cells, slice(batch.start, batch.start + n_own), n_devices, gather)

    def training_step(self, batch: Minibatch) -> torch.Tensor:
        """Compute the losses of two views; pseudo-labels that are not fixed come from the unaugmented cells."""
        share = self._share(batch)
        labels = self._find_labels(batch, share) if batch.labels is None else batch.labels
        losses = self.module(batch.cells, labels, share)
        self.record(**losses._asdict())
        return losses.loss

    @torch.no_grad()
    def _find_labels(self, batch: Minibatch, share: Share | None) -> torch.Tensor:
        """Pseudo-labels of the cells on this device, from K-means."""
        hidden = self.module.encode(batch.cells)
        if self._centroid_refresh == "minibatch" and batch.n_cells >= len(self.module.pseudo_centroids):
            whole = hidden if share is None else share.gather(hidden)
            self._set_centroids(self._of_first(lambda: self._cluster(whole.cpu().numpy(), self._centroids)))
        return self.module.pseudo_labels(hidden)

    def configure_optimizers(self) -> dict | torch.optim.Optimizer:
        """Create AdamW, with a one-cycle schedule per step."""
        optimizer = torch.optim.AdamW(self.module.parameters(), lr=self._lr, weight_decay=self._weight_decay)
        if not self._one_cycle:
            return optimizer
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self._lr, total_steps=self._n_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
