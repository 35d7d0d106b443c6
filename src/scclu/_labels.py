"""Reading columns of labels from ``adata.obs`` and building columns of labels to write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from natsort import natsorted

from scclu._checks import check_adata, listed


def read_labels(
    adata: Any, key: str, *, argument: str, source: str = "adata", allow_missing: bool = False
) -> pd.Categorical:
    """Read one label per cell from a column of ``adata.obs``.

    Parameters
    ----------
    adata
        Annotated data.
    key
        Column of ``adata.obs``: categories, strings, whole numbers or booleans.
    argument, source
        Names of the arguments `key` and `adata` in messages.
    allow_missing
        Keep missing values, whose code is -1, instead of raising.

    Returns
    -------
    Labels as strings, ``(n_obs,)``. The categories are those that occur; they keep the order of a categorical column
    and are in natural order otherwise.

    Raises
    ------
    TypeError
        If `adata` is not an AnnData, or the column holds real numbers, which measure something and label nothing.
    ValueError
        If `adata` has no cells, or the column is missing or has missing values.
    """
    check_adata(adata, source)
    if key not in adata.obs:
        raise ValueError(
            f"{argument} must be a column of {source}.obs, but {key!r} was passed. "
            f"There are: {listed(adata.obs.columns)}."
        )
    if adata.n_obs == 0:
        raise ValueError(f"{source} has no cells; at least one is needed.")
    column = obs_column(adata, key)
    missing = column.isna().to_numpy()
    if missing.any() and not allow_missing:
        raise ValueError(
            f"{source}.obs[{key!r}] has {int(missing.sum())} missing values. Drop those cells "
            f"({source}[{source}.obs[{key!r}].notna()]), or give them a label of their own."
        )
    if pd.api.types.is_float_dtype(column.dtype):
        raise TypeError(
            f"{source}.obs[{key!r}] must hold labels, but holds real numbers. "
            f"Convert clusters that are stored as numbers: {source}.obs[{key!r}].astype(int).astype(str)."
        )
    values = column.astype(str).to_numpy(dtype=object)
    values[missing] = None
    present = set(values[~missing])
    if isinstance(column.dtype, pd.CategoricalDtype):
        # 1 and "1" are two categories, but one label
        order = list(dict.fromkeys(map(str, column.cat.categories)))
    else:
        order = natsorted(present)
    return pd.Categorical(values, categories=[name for name in order if name in present])


def obs_column(adata: Any, key: str) -> pd.Series:
    """Column of ``adata.obs``, which anndata.experimental.read_lazy leaves on disk as a DataArray."""
    column = adata.obs[key]
    return column if isinstance(column, pd.Series) else column.to_series().astype(column.dtype)


def as_column(names: np.ndarray, order: list[str], unassigned: str) -> pd.Categorical:
    """Convert one name per cell to a categorical.

    Parameters
    ----------
    names
        Name of each cell, ``(n_cells,)``.
    order
        Order of the categories.
    unassigned
        Name that comes last.

    Returns
    -------
    Categorical ``(n_cells,)`` with the categories that occur.
    """
    present = set(names)
    categories = [name for name in order if name in present and name != unassigned]
    return pd.Categorical(names, categories=categories + [unassigned] * (unassigned in present))
