"""Randomness that neither depends on the global state nor changes it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def isolated_randomness(random_state: int) -> Iterator[None]:
    """Seed torch, numpy and Python inside the block, and put their global states back afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
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
