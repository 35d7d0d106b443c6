"""Reading results that tools stored in ``adata.uns``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scclu._checks import check_adata, listed

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData

RUN_TOOL = "Run scclu.tl.cicl or scclu.tl.scsiameseclu with key_added={!r} first."


def read_stored(adata: AnnData, key: str, *path: str, hint: str) -> Any:
    """Read ``adata.uns[key]``, or an entry below it.

    Parameters
    ----------
    adata
        Annotated data.
    key
        Key of ``adata.uns``.
    *path
        Keys of nested entries below it.
    hint
        Sentence that tells how to compute the entry, for the error message.

    Returns
    -------
    The entry, as it is stored.

    Raises
    ------
    TypeError, ValueError
        If `adata` is not an AnnData or has no such entry.
    """
    check_adata(adata)
    value: Any = adata.uns
    name = "adata.uns"
    for part in (key, *path):
        if not isinstance(value, Mapping) or part not in value:
            available = listed(value) if isinstance(value, Mapping) else type(value).__name__
            raise ValueError(f"{name} has no {part!r}. There are: {available}. {hint}")
        value = value[part]
        name += f"[{part!r}]"
    return value


def read_snapshots(adata: AnnData, key: str) -> dict[str, np.ndarray]:
    """Read ``adata.uns[key]["snapshots"]``.

    Parameters
    ----------
    adata
        Annotated data.
    key
        Name of a clustering that was computed with ``n_snapshots=``.

    Returns
    -------
    ``"epoch"`` ``(n_snapshots,)``, ``"embedding"`` ``(n_snapshots, n_obs, n_dims)`` and ``"clusters"``
    ``(n_snapshots, n_obs)``.

    Raises
    ------
    TypeError, ValueError
        If there are no snapshots, or they are of another number of cells.
    """
    read_stored(adata, key, hint=RUN_TOOL.format(key))
    taken = read_stored(adata, key, "snapshots", hint="Run the tool again with n_snapshots= (at least 2).")
    n_cells = taken["clusters"].shape[1]
    if n_cells != adata.n_obs:
        raise ValueError(
            f"The snapshots in adata.uns[{key!r}] are of {n_cells} cells, but adata has {adata.n_obs}: "
            "uns is not subset with the cells. Pass all cells that were clustered."
        )
    return taken
