"""Argument checks whose messages state what was passed and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from anndata import AnnData


def listed(keys: Iterable[Any]) -> str:
    """Names formatted for a message: the first ten and, if there are more, their number."""
    names = [str(key) for key in keys]
    shown = ", ".join(repr(name) for name in names[:10])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 10 else shown or "none"


def check_adata(adata: Any, name: str = "adata") -> None:
    """Raise TypeError unless `adata` is an AnnData; `name` is what the caller's argument is called."""
    if not isinstance(adata, AnnData):
        raise TypeError(f"{name} must be an AnnData, but a {type(adata).__name__} was passed.")


def check_choice(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    allowed = list(allowed)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, but {value!r} was passed.")


def check_choices(name: str, values: str | Iterable[str], allowed: Iterable[str]) -> list[str]:
    """Return `values`, which may be one name, as a list without repetitions.

    Raises
    ------
    ValueError
        If there are no values, or one of them is not in `allowed`.
    """
    chosen = [values] if isinstance(values, str) else list(dict.fromkeys(values))
    allowed = list(allowed)
    if not chosen:
        raise ValueError(f"{name} must name at least one of {', '.join(map(repr, allowed))}, but is empty.")
    for value in chosen:
        check_choice(f"Each of {name}", value, allowed)
    return chosen


def check_number(
    name: str,
    value: Any,
    *,
    integer: bool = False,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """Return `value` if it is a finite number that satisfies all bounds.

    Parameters
    ----------
    name
        Name of the argument in messages.
    value
        Value to check.
    integer
        Require a whole number.
    low, high
        Smallest and largest value that are allowed.
    above, below
        Bounds that are not allowed themselves.

    Raises
    ------
    TypeError
        If `value` is not a number, or not a whole number where one is required.
    ValueError
        If it is outside the bounds or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, Integral if integer else Real):
        kind = "a whole number" if integer else "a number"
        raise TypeError(f"{name} must be {kind}, but {value!r} ({type(value).__name__}) was passed.")
    number = float(value)
    bounds = [
        (f"at least {low}", low is None or number >= low),
        (f"at most {high}", high is None or number <= high),
        (f"above {above}", above is None or number > above),
        (f"below {below}", below is None or number < below),
    ]
    if not math.isfinite(number) or not all(holds for _, holds in bounds):
        given = [bound is not None for bound in (low, high, above, below)]
        allowed = " and ".join(text for (text, _), is_given in zip(bounds, given, strict=True) if is_given)
        raise ValueError(f"{name} must be {allowed or 'finite'}, but {value!r} was passed.")
    return value


def check_seed(name: str, value: Any) -> int:
    """Return `value` if it is a seed that numpy and scikit-learn accept: a whole number from 0 to 2**32 - 1."""
    return check_number(name, value, integer=True, low=0, below=2**32)


def check_name(name: str, value: Any) -> str:
    """Return `value` if it is a non-empty string; raise TypeError otherwise."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} must be a name, but {value!r} was passed.")
    return value


def check_key(key: Any, *reserved: str | None) -> str:
    """Return `key`, the ``key_added`` of a tool, if it is a name other than the `reserved` ones that the tool reads.

    Raises
    ------
    TypeError
        If it is not a non-empty string.
    ValueError
        If writing results under this key would overwrite input, or if it contains "/".
    """
    check_name("key_added", key)
    if "/" in key:
        raise ValueError(f"key_added must be a name without '/', which h5ad files cannot hold, but {key!r} was passed.")
    if key in reserved:
        raise ValueError(f"key_added must not be {key!r}, which this call reads: it would be overwritten.")
    return key


def check_training(matrix: Any, *, n_snapshots: int, **at_least_one: int | None) -> None:
    """Check the arguments of ``train`` that both methods share.

    Parameters
    ----------
    matrix
        Training cells of the model; None for a model that was loaded without data.
    n_snapshots
        Number of snapshots: 0, or at least 2.
    **at_least_one
        Arguments that must be None or whole numbers of at least 1.

    Raises
    ------
    RuntimeError
        If the model has no training cells.
    TypeError, ValueError
        If an argument is not allowed.
    """
    if matrix is None:
        raise RuntimeError("A model that was loaded from a file has no cells to train on. Make a new one from adata.")
    for name, value in at_least_one.items():
        if value is not None:
            check_number(name, value, integer=True, low=1)
    if check_number("n_snapshots", n_snapshots, integer=True, low=0) == 1:
        raise ValueError("n_snapshots must be 0, or at least 2 (before and after training), but 1 was passed.")
