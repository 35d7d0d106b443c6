"""Checks of arguments, with messages that say what was passed and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any


def check_choice(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    allowed = list(allowed)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, but {value!r} was passed.")


def check_training(matrix: Any, *, n_snapshots: int, **at_least_one: int | None) -> None:
    """Raise unless there are cells to train on, and numbers that training can be asked for."""
    if matrix is None:
        raise RuntimeError("A model that was loaded from a file has no cells to train on. Make a new one from adata.")
    for name, value in at_least_one.items():
        if value is not None:
            check_number(name, value, integer=True, low=1)
    if check_number("n_snapshots", n_snapshots, integer=True, low=0) == 1:
        raise ValueError("n_snapshots must be 0, or at least 2 (before and after training), but 1 was passed.")


def check_number(
    name: str,
    value: Any,
    *,
    integer: bool = False,
    low: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """Return `value` if it is a number >= `low`, > `above` and < `below`.

    Raises
    ------
    TypeError
        If it is no number, or no whole number where one is needed.
    ValueError
        If it is outside the bounds, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, Integral if integer else Real):
        kind = "a whole number" if integer else "a number"
        raise TypeError(f"{name} must be {kind}, but {value!r} ({type(value).__name__}) was passed.")
    number = float(value)
    bounds = [
        f"{word} {bound}"
        for word, bound in (("at least", low), ("above", above), ("below", below))
        if bound is not None
    ]
    outside = (
        not math.isfinite(number)
        or (low is not None and number < low)
        or (above is not None and number <= above)
        or (below is not None and number >= below)
    )
    if outside:
        raise ValueError(f"{name} must be {' and '.join(bounds) or 'finite'}, but {value!r} was passed.")
    return value
