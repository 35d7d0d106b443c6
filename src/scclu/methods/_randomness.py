"""Randomness that neither depends on the global state nor changes it, and calls that share a process."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

_P = ParamSpec("_P")
_T = TypeVar("_T")
# random states, warning filters and log levels belong to the whole process
_process_state = threading.RLock()


def _forget_other_threads() -> None:
    global _process_state
    _process_state = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    # the thread that held the lock is not in the child
    os.register_at_fork(after_in_child=_forget_other_threads)


def one_at_a_time(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """A function whose calls wait for each other, and for :func:`isolated_randomness`, where threads make them."""

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with _process_state:
            return function(*args, **kwargs)

    return call


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A seeded source of random numbers on a device, independent of the global state.

    Parameters
    ----------
    seed
        Seed, such as :func:`~scclu._rng.child_seed` returns.
    device
        Device of the tensors that are drawn.
    """
    return torch.Generator(device=device).manual_seed(seed)


@contextmanager
def isolated_randomness(random_state: int) -> Iterator[None]:
    """Seed torch, numpy and Python inside the block, and put their global states back afterwards."""
    with _process_state, torch.random.fork_rng():
        python_state, numpy_state = random.getstate(), np.random.get_state()
        try:
            random.seed(random_state)
            np.random.seed(random_state)
            torch.manual_seed(random_state)
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def get_random_states() -> dict[str, Any]:
    """The global states of Python, numpy and torch, on every device."""
    version, numbers, gauss = random.getstate()
    return {
        "python": [version, np.array(numbers, dtype=np.int64), gauss],
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Put back what :func:`get_random_states` gave; states of devices that are not there are left out."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(int(number) for number in numbers), gauss))
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
