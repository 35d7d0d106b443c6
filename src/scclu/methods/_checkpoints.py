"""Checkpoints from which an interrupted training resumes: tensors in safetensors, the rest in JSON."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from scipy import sparse

from scclu._settings import warn
from scclu.data.disk import DiskMatrix
from scclu.methods._files import damage, read_model, write_model
from scclu.methods._lock import file_lock
from scclu.methods._plan import HistoryPlan

# largest fraction of the training time that saving may take
_SHARE = 0.05


class Stateful(Protocol):
    """An object whose state can be saved and restored."""

    def state_dict(self) -> dict[str, Any]:
        """Everything in the object that training changes."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Restore what :meth:`state_dict` returned."""


class Checkpoint(pl.Callback):
    """Saves the state of a training at the start of epochs, and restores it.

    One checkpoint serves all phases of a training, each of which has its own plan. It must be the first callback.

    Parameters
    ----------
    parts
        Objects that training changes, by name, other than its plans and optimizers: the network, the batches, random
        streams, other callbacks.
    save
        Called with the state: nested dictionaries (keys are strings or whole numbers) and lists of tensors, arrays and
        plain values. It is called at most so often that saving takes a twentieth of the training time.
    state
        A saved state to resume from; ``None`` starts a new training.
    """

    def __init__(
        self, parts: Mapping[str, Stateful], save: Callable[[dict[str, Any]], None], state: dict[str, Any] | None
    ):
        self._parts = parts
        self._save = save
        self._plans: list[HistoryPlan] = []
        self._state = state
        self._seconds = 0.0
        self._saved_at = time.monotonic()
        if state is not None:
            for name, part in parts.items():
                part.load_state_dict(state["parts"][name])

    def begin(self, plan: HistoryPlan) -> bool:
        """Restore the progress of a plan; returns whether the plan is still to be trained."""
        self._plans.append(plan)
        if self._state is None:
            return True
        saved = self._state["plans"]
        plan.set_extra_state(saved[len(self._plans) - 1])
        return len(self._plans) == len(saved)

    def on_train_start(self, trainer: pl.Trainer, plan: pl.LightningModule) -> None:
        """Restore the optimizer and the learning-rate schedule of this phase."""
        if self._state is not None:
            for name, part in _trained_with(trainer).items():
                part.load_state_dict(self._state["trainer"][name])

    def on_train_epoch_start(self, trainer: pl.Trainer, plan: pl.LightningModule) -> None:
        """Save the state, unless no epoch was completed yet or the last save was too recent."""
        start = time.monotonic()
        if self._state is not None:  # training resumes at this epoch
            self._state, self._saved_at = None, start
            return
        due = self._seconds <= _SHARE * (start - self._saved_at) and any(plan.n_epochs for plan in self._plans)
        if not due or not trainer.is_global_zero:
            return
        self._save(
            {
                "parts": {name: part.state_dict() for name, part in self._parts.items()},
                "plans": [plan.get_extra_state() for plan in self._plans],
                "trainer": {name: part.state_dict() for name, part in _trained_with(trainer).items()},
            }
        )
        self._saved_at = time.monotonic()
        self._seconds += self._saved_at - start


def _trained_with(trainer: pl.Trainer) -> dict[str, Stateful]:
    parts = {"precision": trainer.precision_plugin}
    parts |= {f"optimizer{i}": optimizer for i, optimizer in enumerate(trainer.optimizers)}
    return parts | {f"schedule{i}": config.scheduler for i, config in enumerate(trainer.lr_scheduler_configs)}


logger = logging.getLogger(__name__)
_STEM = "checkpoint"


@contextmanager
def checkpointing(
    checkpoint_dir: str | Path | None, run: Mapping[str, Any], parts: Mapping[str, Stateful]
) -> Iterator[Checkpoint | None]:
    """Context manager with the checkpoint of a training, whose files are removed when the block succeeds.

    Of several equal trainings, in threads or processes, one at a time is inside; the others wait for it, because they
    would write the same files. One that fails or is killed leaves its checkpoint to the next.

    Parameters
    ----------
    checkpoint_dir
        Directory for checkpoints, which several trainings may share; with ``None``, nothing is saved and the context is
        ``None``.
    run
        Everything that the result depends on. Trainings with different values do not use each other's files.
    parts
        Passed to :class:`~scclu.methods._checkpoints.Checkpoint`.

    Raises
    ------
    NotADirectoryError
        If `checkpoint_dir` is not a directory.
    ValueError
        If the checkpoint is damaged or belongs to another training.

    Warns
    -----
    UserWarning
        If the directory has checkpoints of other trainings only, or a checkpoint cannot be written.
    """
    if checkpoint_dir is None:
        yield None
        return
    files = _CheckpointFiles(Path(checkpoint_dir), json.loads(json.dumps(run)))
    # of the processes of one training on several devices, the first writes and removes files
    with files.locked() if rank_zero_only.rank == 0 else nullcontext():
        yield Checkpoint(parts, files.write, files.read())
        if rank_zero_only.rank == 0:
            files.remove()


class _CheckpointFiles:
    def __init__(self, checkpoint_dir: Path, run: dict[str, Any]):
        if checkpoint_dir.exists() and not checkpoint_dir.is_dir():
            raise NotADirectoryError(f"checkpoint_dir must be a folder, but {str(checkpoint_dir)!r} is a file.")
        self.run = run
        name = run["model"].lower()
        digest = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = checkpoint_dir / f"{name}-{digest}"
        self._lock = checkpoint_dir / f".{name}-{digest}.lock"
        self._others = sorted(
            path.parent.name
            for path in checkpoint_dir.glob(f"{name}-*/{_STEM}.json")
            if path.parent.name != self.folder.name
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        with file_lock(self._lock, f"Waiting for an equal training, which has its checkpoint in {self.folder}."):
            self.folder.mkdir(parents=True, exist_ok=True)  # raises before training if it cannot be written
            yield

    def remove(self) -> None:
        # the training has its result: what cannot be removed, or is gone, must not take it away
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            logger.warning("The checkpoint in %s could not be removed. It is not needed any more.", self.folder)

    def read(self) -> dict[str, Any] | None:
        if not (self.folder / f"{_STEM}.json").exists():
            if self._others:
                warn(
                    f"{self.folder.parent} has checkpoints of other trainings only ({', '.join(self._others)}): other "
                    "cells, settings or seed, or another version of scclu. They are kept, and a new training starts.",
                )
            return None
        try:
            saved, tensors = read_model(self.folder, self.run["model"], stem=_STEM)
        except FileNotFoundError:
            if (self.folder / f"{_STEM}.json").exists():
                raise
            return None  # removed in between
        with damage(self.folder, _STEM):
            found, state = saved["run"], _unpack(saved["state"], tensors)
        if found != self.run:
            differ = sorted(name for name in {*found, *self.run} if found.get(name) != self.run.get(name))
            raise ValueError(
                f"{self.folder} holds the checkpoint of another training, which differs in {', '.join(differ)}. "
                "Delete it, or pass another checkpoint_dir."
            )
        logger.info("Resuming from the checkpoint in %s.", self.folder)
        return state

    def write(self, state: dict[str, Any]) -> None:
        tensors: dict[str, torch.Tensor] = {}
        saved = {"class": self.run["model"], "run": self.run, "state": _pack(state, tensors)}
        try:
            write_model(self.folder, saved, tensors, overwrite=True, stem=_STEM)
        except OSError as error:
            warn(
                f"No checkpoint could be written to {self.folder} ({error}). Training continues; if it is stopped, it "
                "resumes from the last checkpoint that was written.",
            )


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Convert a state to values that JSON can store; its tensors and arrays are moved to `tensors`."""
    if isinstance(value, Mapping):
        return {"items": [[key, _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_pack(item, tensors) for item in value]
    if isinstance(value, (torch.Tensor, np.ndarray)):
        name = str(len(tensors))
        tensors[name] = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
        return {"tensor": name} if isinstance(value, torch.Tensor) else {"array": name}
    return value.item() if isinstance(value, np.generic) else value


def _unpack(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """Invert :func:`_pack`; tuples become lists."""
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "array" in value:
        return tensors[value["array"]].numpy()
    return {key: _unpack(item, tensors) for key, item in value["items"]}


def data_digest(*matrices: Any) -> str:
    """SHA-256 of the values of arrays, CSR matrices and matrices on disk, and of their shapes."""
    digest = hashlib.sha256()
    for matrix in matrices:
        digest.update(repr(matrix.shape).encode())
        for part in _parts(matrix):
            digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _parts(matrix: Any) -> Iterator[np.ndarray]:
    if isinstance(matrix, DiskMatrix):
        yield matrix.order
        for _, block in matrix.blocks():
            yield from _parts(block)
    elif sparse.issparse(matrix):
        yield from (matrix.data, matrix.indices, matrix.indptr)
    else:
        yield matrix
