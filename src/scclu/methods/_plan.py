"""Base of the training plans."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import lightning.pytorch as pl
import torch


class HistoryPlan(pl.LightningModule):
    """A training plan that stores the mean of each loss over each epoch in ``history``, a list of floats per loss.

    With several devices, the mean over devices is stored.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = defaultdict(list)
        self._epoch: dict[str, list[torch.Tensor]] = defaultdict(list)

    @property
    def n_epochs(self) -> int:
        """Number of completed epochs."""
        return len(self.history["loss"]) if "loss" in self.history else 0

    def get_extra_state(self) -> dict[str, Any]:
        """State besides the network, which Lightning returns with the weights from spawned processes."""
        return {"history": dict(self.history)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`get_extra_state` returned."""
        self.history = defaultdict(list, state["history"])

    def record(self, **values: torch.Tensor) -> None:
        """Record the losses of a step."""
        for name, value in values.items():
            self._epoch[name].append(value.detach())

    def on_train_epoch_end(self) -> None:
        """Store the means of the epoch, with one transfer from the device per loss."""
        for name, values in self._epoch.items():
            mean = torch.stack(values).float().mean()
            self.history[name].append(float(self.trainer.strategy.reduce(mean, reduce_op="mean")))
        self._epoch.clear()
        self.log("loss", self.history["loss"][-1], prog_bar=True, logger=False)
