"""Randomness that neither depends on the global state nor changes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


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


# functions and methods of torch that draw initial weights
_INITIALISERS = frozenset(
    ("uniform_", "normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_")
)


class SeededInitialisation(TorchFunctionMode):
    """Context manager in which the layers of torch draw their initial weights from a random stream of its own.

    The weights are those that follow ``torch.manual_seed(seed)``, but the global random state is neither used nor
    changed. Only the calling thread is affected, so several threads may initialise networks at the same time.

    Parameters
    ----------
    seed
        Random seed.
    """

    def __init__(self, seed: int):
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if getattr(func, "__name__", "") in _INITIALISERS:
            kwargs["generator"] = self._generator
        return func(*args, **kwargs)
