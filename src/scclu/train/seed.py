"""Randomness that neither depends on the global state nor changes it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

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
