"""Randomness that neither depends on the global state nor changes it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from scclu._process import process_lock


class RandomStream:
    """A source of random numbers of its own, independent of the global state, whose state is saved in checkpoints.

    Parameters
    ----------
    seed
        Seed, such as :func:`~scclu._rng.child_seed` returns.
    """

    def __init__(self, seed: int):
        self._seed = seed
        # made when it is needed: a generator belongs to a device, and cannot be sent to another process
        self._generator: torch.Generator | None = None

    def on(self, device: torch.device) -> torch.Generator:
        """The generator, for draws on this device; on another device than before, the stream starts again."""
        if self._generator is None or self._generator.device != device:
            self._generator = torch.Generator(device=device).manual_seed(self._seed)
        return self._generator

    def state_dict(self) -> dict[str, Any]:
        """Position in the stream; empty before the first draw."""
        if self._generator is None:
            return {}
        return {"device": str(self._generator.device), "state": self._generator.get_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self._generator = None
        if state_dict:
            self.on(torch.device(state_dict["device"])).set_state(state_dict["state"])


@contextmanager
def isolated_randomness(random_state: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed the global states of torch, numpy and Python inside the block, and restore them afterwards.

    Threads are inside one at a time, since the states belong to the process: meant for short steps, such as the
    initialisation of a network. Longer ones draw from a :class:`RandomStream`.

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
            random.setstate(python_state)
            np.random.set_state(numpy_state)
