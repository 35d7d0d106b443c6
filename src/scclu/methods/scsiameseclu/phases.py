"""Training phases of scSiameseClu: expression, graph, joint."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

from scclu.methods._plan import HistoryPlan
from scclu.methods.scsiameseclu.batches import GraphBatches
from scclu.methods.scsiameseclu.module import CellBatch, ScSiameseCluModule
from scclu.methods.scsiameseclu.refresh import JointRefresh


class PhasePlan(HistoryPlan):
    """Adam on the sum of named losses.

    Parameters
    ----------
    module
        The network, which is moved to the device used for training.
    losses
        Function that returns the named terms of a batch, whose sum is the loss.
    parameters
        Parameters to train.
    lr
        Learning rate, kept constant.
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
        """Call `refresh`."""
        if self._refresh is not None:
            with torch.no_grad():
                self._refresh(self.n_epochs)

    def training_step(self, batch: CellBatch) -> torch.Tensor:
        """Compute the loss of a batch in float32, the only precision of sparse products."""
        with torch.autocast(batch.features.device.type, enabled=False):
            terms = self._losses(batch)
            loss = torch.stack(list(terms.values())).sum()
        self.record(loss=loss, **(terms if len(terms) > 1 else {}))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam on the trained parameters."""
        return torch.optim.Adam(self._trained, lr=self._lr)


def _parameters(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]


def run_phases(
    module: ScSiameseCluModule,
    batches: GraphBatches,
    refresh: JointRefresh,
    run: Callable[..., None],
    *,
    lr: float,
    joint_lr: float,
) -> dict[str, np.ndarray]:
    """Train the gene autoencoders, then the graph autoencoders, then the whole network.

    Parameters
    ----------
    module, batches, refresh
        The network, its batches, and the callback of joint training.
    run
        :func:`~scclu.methods._trainer.fit` with its other arguments bound; called with a plan, the batches and a
        description.
    lr, joint_lr
        Learning rates of the first two phases and of the last.

    Returns
    -------
    A value for each epoch by ``"phase_loss"``, NaN before a loss has started; and the share of the cells that changed
    their cluster between refreshes.
    """
    phases = {
        "expression": PhasePlan(module, module.expression_loss, _parameters(module.gene_autoencoders), lr=lr),
        "graph": PhasePlan(module, module.graph_loss, _parameters(module.graph_autoencoders), lr=lr),
        "joint": PhasePlan(module, module.joint_loss, module.parameters(), lr=joint_lr, refresh=refresh),
    }
    history = {}
    for name, plan in phases.items():
        batches.with_counts = name == "joint"
        run(plan, batches, description=f"Training: {name}")
        n_epochs = len(plan.history["loss"])
        for term, values in plan.history.items():
            padded = np.full(n_epochs, np.nan)
            padded[n_epochs - len(values) :] = values
            history[f"{name}_{term}"] = padded
    history["joint_changed_cells"] = np.array(refresh.changed)
    return history
