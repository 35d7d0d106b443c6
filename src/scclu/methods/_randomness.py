"""Randomness that neither depends on the global state nor changes it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from scclu._process import one_at_a_time, process_lock

__all__ = [
    "generator",
    "get_random_states",
    "isolated_randomness",
    "one_at_a_time",
    "randomness_is_isolated",
    "set_random_states",
]

_thread = threading.local()


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
def isolated_randomness(random_state: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed the global states of torch, numpy and Python inside the block, and restore them afterwards.

    Threads are inside one at a time, since the states belong to the process: meant for short steps, such as the
    initialisation of a network. Longer ones draw from a :func:`generator` of their own.

    Parameters
    ----------
    random_state
        Seed.
    device
        A CUDA device whose random state is seeded and restored too; those of other devices are not touched.
    """
    on_cuda = device is not None and device.type == "cuda"
    with process_lock(), torch.random.fork_rng(devices=[device] if on_cuda else []):
        python_state, numpy_state = random.getstate(), np.random.get_state()
        _thread.depth = getattr(_thread, "depth", 0) + 1
        try:
            random.seed(random_state)
            np.random.seed(random_state)
            # torch.manual_seed would seed all devices
            torch.default_generator.manual_seed(random_state)
            if on_cuda:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(random_state)
            yield
        finally:
            _thread.depth -= 1
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def randomness_is_isolated() -> bool:
    """Whether this thread is inside :func:`isolated_randomness`, and may change the global states."""
    return getattr(_thread, "depth", 0) > 0


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
    """Restore what :func:`get_random_states` returned; states of devices that do not exist are left out."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(int(number) for number in numbers), gauss))
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
