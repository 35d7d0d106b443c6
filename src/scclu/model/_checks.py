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
