"""A training phase of scSiameseClu."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from scclu.module.scsiameseclu import CellBatch

from .plan import HistoryPlan


class PhasePlan(HistoryPlan):
    """Adam on the sum of named losses.

    Parameters
    ----------
    module
        The network, which moves to the device of the training.
    losses
        Named terms of a batch, whose sum is the loss.
    parameters
        What is trained.
    lr
        Learning rate, constant.
    refresh
        Called with the number of each epoch before it starts.
    """

    def __init__(
        self,
        module: nn.Module,
        losses: Callable[[CellBatch], dict[str, torch.Tensor]],
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        refresh: Callable[[int], None] | None = None,
    ):
        super().__init__()
        self.module = module
        self._losses = losses
        self._trained = list(parameters)
        self._lr = lr
        self._refresh = refresh

    def on_train_epoch_start(self) -> None:
        """Bring up to date what is kept during an epoch."""
        if self._refresh is not None:
            with torch.no_grad():
                self._refresh(self.current_epoch)

    def training_step(self, batch: CellBatch) -> torch.Tensor:
        """One batch, in float32: sparse products know no other precision."""
        with torch.autocast(batch.features.device.type, enabled=False):
            terms = self._losses(batch)
            loss = torch.stack(list(terms.values())).sum()
        self.record(loss=loss, **(terms if len(terms) > 1 else {}))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self._trained, lr=self._lr)
