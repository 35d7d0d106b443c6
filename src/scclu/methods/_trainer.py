"""Training a plan with scvi-tools' Trainer."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import lightning.pytorch as pl
import torch
from tqdm.auto import tqdm

from scclu._process import known_warnings_ignored, quiet_loggers
from scclu.methods._checkpoints import Checkpoint
from scclu.methods._plan import HistoryPlan
from scclu.methods._scvi import ProgressBar, Trainer, parse_device_args


class _Unbreakable:
    """A stream whose failures, such as a closed pipe or a full device, do not stop a training."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def progress_bar(
    n_steps: int | None, description: str, steps: Iterable[Any] | None = None, *, disable: bool = False
) -> tqdm:
    """Progress bar on standard error, if there is one; iterates over `steps`."""
    file = None if sys.stderr is None else _Unbreakable(sys.stderr)  # services and pythonw have none
    return tqdm(steps, total=n_steps, desc=description, file=file, disable=disable or file is None)


class StderrProgressBar(ProgressBar):
    """The progress bar of scvi-tools, written to standard error if there is one."""

    description = "Training"

    def init_train_tqdm(self, trainer: pl.Trainer) -> tqdm:
        """Create a progress bar with one step per epoch."""
        return progress_bar(trainer.max_epochs, self.description, disable=self.is_disabled)

    def on_exception(self, trainer: pl.Trainer, plan: pl.LightningModule, exception: BaseException) -> None:
        """Close the progress bar."""
        if getattr(self, "main_progress_bar", None) is not None:
            self.main_progress_bar.close()


def resolve_precision(precision: str, accelerator: str) -> str:
    """Resolve ``"auto"`` to a precision of Lightning: bfloat16 autocast on hardware that is fast at it, else float32.

    Fast hardware has matrix units or dot products for bfloat16, which is queried from the device. Elsewhere bfloat16 is
    emulated, and up to a hundred times slower than float32.
    """
    if precision != "auto":
        return precision
    if accelerator in ("cuda", "gpu"):
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif accelerator == "cpu":
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        fast = bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    else:
        fast = False
    return "bf16-mixed" if fast else "32-true"


def fit(
    plan: HistoryPlan,
    data: pl.LightningDataModule,
    *,
    max_epochs: int,
    accelerator: str,
    devices: int | list[int] | str,
    precision: str,
    enable_progress_bar: bool = True,
    description: str = "Training",
    callbacks: Sequence[pl.Callback] = (),
    checkpoint: Checkpoint | None = None,
    **trainer_kwargs: Any,
) -> None:
    """Train a plan with a progress bar and without log files; with a checkpoint, only the epochs that are left.

    Raises
    ------
    KeyboardInterrupt
        If the user interrupts. Lightning itself would end the Python process.
    """
    if checkpoint is not None:
        if not checkpoint.begin(plan):
            return
        callbacks = [checkpoint, *callbacks]
    accelerator, lightning_devices, _ = parse_device_args(
        accelerator=accelerator, devices=devices, return_device="torch"
    )
    handler = signal.getsignal(signal.SIGINT)
    bar = StderrProgressBar()
    bar.description = description
    callbacks = [*callbacks, bar] if enable_progress_bar else list(callbacks)
    try:
        with quiet_loggers.held(), known_warnings_ignored.held():
            trainer = Trainer(
                accelerator=accelerator,
                devices=lightning_devices,
                max_epochs=max_epochs - plan.n_epochs,
                precision=resolve_precision(precision, accelerator),
                benchmark=False,
                logger=False,
                simple_progress_bar=False,
                callbacks=callbacks,
                enable_progress_bar=enable_progress_bar,
                use_distributed_sampler=False,
                **trainer_kwargs,
            )
            trainer.fit(plan, data)
    except RuntimeError as error:
        # if the data loader of an epoch cannot start, Lightning's teardown fails too and hides the cause
        if error.__context__ is None or "combined_loader" not in str(error):
            raise
        raise error.__context__ from None
    except SystemExit as exit_:
        if isinstance(exit_.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
