"""What figures read from an AnnData, with messages that say what is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from natsort import natsorted

from scclu.data.matrix import listed


def check_adata(adata: Any) -> None:
    """Raise TypeError unless `adata` is an AnnData."""
    if not isinstance(adata, AnnData):
        raise TypeError(f"adata must be an AnnData, but a {type(adata).__name__} was passed.")


def categories(adata: AnnData, name: str, *, argument: str = "key") -> pd.Categorical:
    """A column of ``adata.obs`` as categories that all occur, in the order of the column or the natural order.

    Raises
    ------
    TypeError, ValueError
        If there is no such column, if it holds real numbers, or if values are missing.
    """
    check_adata(adata)
    if name not in adata.obs:
        raise ValueError(
            f"{argument} must be a column of adata.obs, but {name!r} was passed. There are: {listed(adata.obs)}."
        )
    column = adata.obs[name]
    missing = int(column.isna().sum())
    if missing:
        raise ValueError(
            f"adata.obs[{name!r}] has {missing} missing values. Drop those cells, as in "
            f"adata[adata.obs[{name!r}].notna()], or give them a label of their own."
        )
    if len(column) == 0:
        raise ValueError("adata has no cells; at least one is needed.")
    if pd.api.types.is_float_dtype(column.dtype):
        raise TypeError(
            f"adata.obs[{name!r}] must hold labels, but holds real numbers. "
            "For clusters kept as numbers: adata.obs[...].astype(int).astype(str)."
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        found = column.cat.remove_unused_categories()
        return pd.Categorical(found.astype(str), categories=found.cat.categories.astype(str))
    values = column.astype(str)
    return pd.Categorical(values, categories=natsorted(values.unique()))


def stored(adata: AnnData, key: str, *path: str, hint: str) -> Any:
    """``adata.uns[key]``, or what lies deeper at `path`.

    Raises
    ------
    TypeError, ValueError
        If it is not there; `hint` says how to get it.
    """
    check_adata(adata)
    value: Any = adata.uns
    name = "adata.uns"
    for part in (key, *path):
        if not isinstance(value, Mapping) or part not in value:
            there = listed(value) if isinstance(value, Mapping) else type(value).__name__
            raise ValueError(f"{name} has no {part!r}. There are: {there}. {hint}")
        value = value[part]
        name += f"[{part!r}]"
    return value


def representation(adata: AnnData, use_rep: str) -> np.ndarray:
    """An ``adata.obsm``, ``(n_obs, n_dims)`` float32.

    Raises
    ------
    ValueError
        If it is not there, or holds NaN or infinite values.
    """
    check_adata(adata)
    if use_rep not in adata.obsm:
        raise ValueError(
            f"use_rep must be a key of adata.obsm, but {use_rep!r} was passed. There are: {listed(adata.obsm)}."
        )
    values = np.asarray(adata.obsm[use_rep], dtype=np.float32)
    if not np.isfinite(values).all():
        raise ValueError(f"adata.obsm[{use_rep!r}] holds values that are NaN or infinite.")
    return values


def sample_cells(n_obs: int, n_cells: int, random_state: int) -> tuple[np.ndarray, str]:
    """At most `n_cells` random positions, increasing, and how many they are, in words."""
    if n_obs <= n_cells:
        return np.arange(n_obs), f"{n_obs:,} cells"
    rows = np.sort(np.random.default_rng(random_state).choice(n_obs, n_cells, replace=False))
    return rows, f"{n_cells:,} of {n_obs:,} cells (random sample)"


def matched(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order of rows and columns that puts the Hungarian match of a table on the diagonal.

    Parameters
    ----------
    table
        ``(n_rows, n_columns)``; the match has the largest sum.

    Returns
    -------
    Positions of all rows and of all columns: first those with a partner, in the order of the rows; then the others,
    each after those of the partner that they are most like.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    rank = {int(column): i for i, column in enumerate(columns)}
    more_rows = sorted(set(range(table.shape[0])) - set(rows.tolist()), key=lambda i: rank[int(table[i].argmax())])
    place = {int(row): i for i, row in enumerate(rows)}
    more_columns = sorted(
        set(range(table.shape[1])) - set(columns.tolist()), key=lambda j: place[int(table[:, j].argmax())]
    )
    return np.array([*rows, *more_rows], dtype=int), np.array([*columns, *more_columns], dtype=int)


def crossed(rows: pd.Categorical, columns: pd.Categorical) -> pd.DataFrame:
    """Cells of each pair of categories."""
    table = np.zeros((len(rows.categories), len(columns.categories)), dtype=np.int64)
    np.add.at(table, (rows.codes, columns.codes), 1)
    return pd.DataFrame(table, index=rows.categories, columns=columns.categories)


def check_words(name: str, values: Iterable[str], allowed: Iterable[str]) -> None:
    """Raise ValueError unless all `values` are among `allowed`."""
    allowed = list(allowed)
    for value in values:
        if value not in allowed:
            raise ValueError(f"{name} must be among {', '.join(map(repr, allowed))}, but {value!r} was passed.")


def check_positive(name: str, value: Any) -> None:
    """Raise unless `value` is a whole number above 0."""
    # not scclu.model's check: drawing must not load torch
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, but {value!r} ({type(value).__name__}) was passed.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, but {value!r} was passed.")
