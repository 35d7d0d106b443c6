"""Clustering of some cells anew: which cells they are, the names of their clusters, and columns for all cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from natsort import natsorted

from scclu._checks import check_choices, check_name
from scclu._labels import read_labels

if TYPE_CHECKING:
    from anndata import AnnData

# cells that a clustering needs
_FEWEST_CELLS = 2


class Restriction(NamedTuple):
    """Cells that are clustered anew.

    Attributes
    ----------
    key
        Column of ``adata.obs`` that names them.
    names
        Names in that column.
    labels
        That column, ``(n_obs,)``; NaN for cells that have no label.
    cells
        Whether a cell is clustered anew, ``(n_obs,)`` bool.
    """

    key: str
    names: list[str]
    labels: pd.Categorical
    cells: np.ndarray


def restricted_key(key_added: str, default: str, restrict_to: Any) -> str:
    """The ``key_added`` of a clustering tool: with ``restrict_to``, its default is another one, as in scanpy."""
    return f"{default}_R" if restrict_to is not None and key_added == default else key_added


def read_restriction(
    adata: AnnData, restrict_to: tuple[str, Iterable[str]] | None, key_added: str, n_clusters: int | None = None
) -> Restriction | None:
    """Read ``restrict_to``, an argument of a clustering tool; ``None`` if it is None.

    Parameters
    ----------
    adata
        Annotated data.
    restrict_to
        Column of ``adata.obs``, and names in it.
    key_added
        Key under which the tool stores its results.
    n_clusters
        Number of clusters, which needs as many cells.

    Raises
    ------
    TypeError, ValueError
        If it is not a column of ``adata.obs`` and some of its names, would be overwritten, or names too few cells.
    """
    if restrict_to is None:
        return None
    if not isinstance(restrict_to, (tuple, list)) or len(restrict_to) != 2:
        raise TypeError(
            "restrict_to must be a column of adata.obs and a list of its names, such as ('cicl', ['3']), "
            f"but {restrict_to!r} was passed."
        )
    key, chosen = check_name("restrict_to[0]", restrict_to[0]), restrict_to[1]
    if not isinstance(chosen, Iterable):
        raise TypeError(f"restrict_to[1] must be a list of names in adata.obs[{key!r}], but {chosen!r} was passed.")
    labels = read_labels(adata, key, argument="restrict_to[0]", allow_missing=True)
    names = check_choices("restrict_to[1]", chosen, labels.categories)
    if key in (key_added, f"{key_added}_confidence", f"{key_added}_fine"):
        raise ValueError(
            f"adata.obs[{key!r}], which restrict_to names, would be overwritten by the results. "
            f"Pass a key_added other than {key_added!r}."
        )
    cells = labels.isin(names)
    n_cells = int(cells.sum())
    needed = max(_FEWEST_CELLS, n_clusters if isinstance(n_clusters, int) else 0)
    if n_cells < needed:
        raise ValueError(
            f"restrict_to must name at least {needed} cells, which are clustered anew, but {names!r} in "
            f"adata.obs[{key!r}] have {n_cells}. Pass more names{' or a smaller n_clusters' if n_cells > 1 else ''}."
        )
    prefix = _prefix(names)
    kept = [name for name in labels.categories if name.startswith(prefix) and name.removeprefix(prefix).isdigit()]
    if kept:
        raise ValueError(
            f"New clusters get the names '{prefix}0', '{prefix}1', ..., but {kept[0]!r} is in adata.obs[{key!r}]. "
            "Rename it first (adata.obs[...].cat.rename_categories)."
        )
    return Restriction(key, names, labels, cells)


def _prefix(names: Iterable[str]) -> str:
    return f"{'-'.join(names)},"


def new_names(names: Iterable[str], new: Iterable[Any]) -> list[str]:
    """Names of new clusters of the cells that had the given names, as in scanpy."""
    prefix = _prefix(names)
    return [prefix + str(each) for each in new]


def renamed(labels: pd.Categorical, cells: np.ndarray, names: Iterable[str], new: np.ndarray) -> pd.Categorical:
    """Give new names to the clusters of some cells, as scanpy does; the others keep their labels.

    Parameters
    ----------
    labels
        Labels of all cells, ``(n_obs,)``.
    cells
        Whether a cell is clustered anew, ``(n_obs,)`` bool.
    names
        Names of these cells before.
    new
        Their new clusters, ``(n_cells,)`` int.
    """
    values = np.asarray(labels, dtype=object).copy()
    values[cells] = new_names(names, new)
    return pd.Categorical(values, categories=natsorted(set(values[pd.notna(values)])))


def spread(values: np.ndarray, cells: np.ndarray | None) -> np.ndarray:
    """Values of all cells, NaN for those that were not clustered; `cells` is None if all were."""
    if cells is None:
        return values
    everywhere = np.full((len(cells), *values.shape[1:]), np.nan, dtype=values.dtype)
    everywhere[cells] = values
    return everywhere


def recorded_restriction(restriction: Restriction | None) -> dict[str, Any] | None:
    """The restriction as it is recorded in ``uns[key]["params"]["restrict_to"]``."""
    return None if restriction is None else {"key": restriction.key, "names": restriction.names}


def recorded_names(adata: AnnData, key: str) -> list[str] | None:
    """Names that were recorded with the clustering under `key`; None if it was not restricted."""
    results: Any = adata.uns.get(key)
    params = results.get("params") if isinstance(results, Mapping) else None
    restriction = params.get("restrict_to") if isinstance(params, Mapping) else None
    return [str(name) for name in restriction["names"]] if isinstance(restriction, Mapping) else None
