"""Reading a column of labels from ``adata.obs``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from natsort import natsorted

from scclu.data.matrix import listed


def read_labels(adata: Any, key: str, *, argument: str, source: str = "adata") -> pd.Categorical:
    """One label a cell, as strings, with the categories that occur.

    Parameters
    ----------
    adata
        Where from.
    key
        A column of ``adata.obs``.
    argument, source
        What `key` and `adata` are called in messages.

    Returns
    -------
    Labels ``(n_obs,)``; categories keep their order where there is one, and are in natural order otherwise.

    Raises
    ------
    TypeError, ValueError
        If `adata` is no AnnData or has no cells, or the column is missing or has missing values.
    """
    if not isinstance(adata, AnnData):
        raise TypeError(f"{source} must be an AnnData, but a {type(adata).__name__} was passed.")
    if key not in adata.obs:
        raise ValueError(
            f"{argument} must be a column of {source}.obs, but {key!r} was passed. "
            f"There are: {listed(adata.obs.columns)}."
        )
    if adata.n_obs == 0:
        raise ValueError(f"{source} has no cells.")
    column = adata.obs[key]
    missing = int(column.isna().sum())
    if missing:
        raise ValueError(
            f"{source}.obs[{key!r}] has {missing} missing values. Drop those cells "
            f"({source}[{source}.obs[{key!r}].notna()]), or give them a label of their own."
        )
    values = column.astype(str).to_numpy(dtype=object)
    if isinstance(column.dtype, pd.CategoricalDtype):
        order = [str(name) for name in column.cat.categories]
    else:
        order = natsorted(np.unique(values.astype(str)).tolist())
    present = set(values)
    return pd.Categorical(values, categories=[name for name in order if name in present])


def check_key(key: Any, *taken: str | None) -> str:
    """Return `key` if it is a name and not that of a column that the call reads."""
    if not isinstance(key, str) or not key:
        raise TypeError(f"key_added must be a name, but {key!r} was passed.")
    if key in taken:
        raise ValueError(f"key_added must not be {key!r}, which this call reads: it would be overwritten.")
    return key


def as_column(names: np.ndarray, order: list[str], unassigned: str) -> pd.Categorical:
    """Names of cells as a categorical of those that occur, `unassigned` at the end."""
    present = set(names)
    categories = [name for name in order if name in present and name != unassigned]
    return pd.Categorical(names, categories=categories + [unassigned] * (unassigned in present))
