"""The state of a training between two epochs, and going on from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Protocol

import lightning.pytorch as pl

from .plan import HistoryPlan
from .seed import get_random_states, set_random_states

# saving takes at most this share of the time of training
_SHARE = 0.05


class Stateful(Protocol):
    """What can say all that training changes in it, and take it back."""

    def state_dict(self) -> dict[str, Any]:
        """All that training changes."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take back what :meth:`state_dict` gave."""


class Checkpoint(pl.Callback):
    """Hands out the state of a training at starts of epochs, and puts a training back where it was.

    It serves all phases of a training, each a plan of its own, and must be the first callback.

    Parameters
    ----------
    parts
        What a training changes beside its plans and its optimizer, by name: the network, the batches, other callbacks.
    save
        Called with the state: nested dicts with strings or whole numbers as keys, and lists, of tensors, arrays and
        plain values. It is called so often that it takes at most a twentieth of the time.
    state
        What was saved; ``None`` starts anew.
    """

    def __init__(
        self, parts: Mapping[str, Stateful], save: Callable[[dict[str, Any]], None], state: dict[str, Any] | None
    ):
        self._parts = parts
        self._save = save
        self._plans: list[HistoryPlan] = []
        self._state = state
        self._copy: dict[str, Any] | None = None
        self._seconds = 0.0
        self._saved_at = time.monotonic()
        if state is not None:
            for name, part in parts.items():
                part.load_state_dict(state["parts"][name])

    def begin(self, plan: HistoryPlan) -> bool:
        """Give a plan its progress; whether it is still to be trained."""
        self._plans.append(plan)
        if self._state is None:
            return True
        saved = self._state["plans"]
        plan.set_extra_state(saved[len(self._plans) - 1])
        return len(self._plans) == len(saved)

    def on_train_start(self, trainer: pl.Trainer, plan: pl.LightningModule) -> None:
        """Take back what belongs to this phase: the optimizer and its schedule."""
        if self._state is not None:
            for name, part in _trained_with(trainer).items():
                part.load_state_dict(self._state["trainer"][name])

    def on_train_epoch_start(self, trainer: pl.Trainer, plan: pl.LightningModule) -> None:
        """Copy the state, unless nothing is done since it was saved last, or that is a short while ago."""
        start = time.monotonic()
        due = self._seconds <= _SHARE * (start - self._saved_at) and any(plan.n_epochs for plan in self._plans)
        if self._state is not None or not due or not trainer.is_global_zero:
            return
        state = {
            "parts": {name: part.state_dict() for name, part in self._parts.items()},
            "plans": [plan.get_extra_state() for plan in self._plans],
            "trainer": {name: part.state_dict() for name, part in _trained_with(trainer).items()},
        }
        self._copy = deepcopy(state)
        self._seconds = time.monotonic() - start

    def on_train_batch_start(self, trainer: pl.Trainer, plan: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Save the copy with the random states, or take these back.

        That is at the first step, since Lightning draws a number for the loader before the first epoch starts, but
        after the start of each later one. What is brought up to date at starts of epochs has seeds of its own.
        """
        if self._state is not None:
            set_random_states(self._state["random"])
            self._state = None
            self._saved_at = time.monotonic()
        elif self._copy is not None:
            start = time.monotonic()
            self._save(self._copy | {"random": get_random_states()})
            self._copy = None
            self._saved_at = time.monotonic()
            self._seconds += self._saved_at - start


def _trained_with(trainer: pl.Trainer) -> dict[str, Stateful]:
    parts = {"precision": trainer.precision_plugin}
    parts |= {f"optimizer{i}": optimizer for i, optimizer in enumerate(trainer.optimizers)}
    return parts | {f"schedule{i}": config.scheduler for i, config in enumerate(trainer.lr_scheduler_configs)}
