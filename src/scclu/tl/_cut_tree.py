"""The tool ``cut_tree``: another number of clusters from a stored tree."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scclu._checks import check_key, check_number
from scclu._labels import obs_column, read_labels
from scclu.cluster.forks import stored_tree
from scclu.cluster.head import head_of_cut
from scclu.methods._clusters import assigned
from scclu.tl._restrict import recorded_names, renamed, spread
from scclu.tl._write import check_writable, write_results

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)


def cut_tree(
    adata: AnnData,
    key: str = "cicl",
    *,
    n_clusters: int | None = None,
    resolution: float | None = None,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Get another number of clusters from the tree of a clustering, without training.

    The tree is cut, and a head assigns the cells by their embedding, as at the end of training. A call with this number
    has the same tree, unless the number is larger than that of the fine clusters.

    Parameters
    ----------
    adata
        Annotated data with the results of :func:`~scclu.tl.cicl` or :func:`~scclu.tl.scsiameseclu`.
    key
        Key under which they are stored.
    n_clusters
        Number of clusters, from 1 to the number of fine clusters.
    resolution
        Height at which the tree is cut instead, in [0, 2]: 1 gives the clusters that are distinct by the tests, larger
        values fewer and smaller values more.
    key_added
        Key under which the new clusters are stored; ``f"{key}_{n_clusters}"`` or ``f"{key}_r{resolution}"`` if None.
    copy
        Return a copy with the results instead of writing to `adata`.

    Returns
    -------
    None, or the copy if `copy` is True. Sets the following fields:

    ``adata.obs[key_added]``
        Clusters, categorical of strings; ``"0"`` is the largest.
    ``adata.obs[f"{key_added}_confidence"]``
        Probability of the cell's cluster, in [0, 1], float32.
    ``adata.uns[key_added]``
        ``"n_clusters"``; ``"params"``.

    If the clustering was called with ``restrict_to``, the number is that of the clusters of these cells, and the other
    cells keep their names and have no confidence (NaN).

    Raises
    ------
    TypeError, ValueError
        If there is no tree under `key`, or an argument is not allowed. `adata` is then unchanged.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.cicl(adata, max_epochs=2)
    >>> scclu.tl.cut_tree(adata, n_clusters=5)
    >>> adata.obs["cicl_5"].nunique()
    5
    """
    check_writable(adata, copy=copy)
    cells = _restricted_cells(adata, key)
    tree, fine = stored_tree(adata if cells is None else adata[cells], key)
    if f"X_{key}" not in adata.obsm:
        raise ValueError(f"A cut of the tree in adata.uns[{key!r}] needs adata.obsm['X_{key}'] as well.")
    embedding = np.asarray(adata.obsm[f"X_{key}"], dtype=np.float32)
    embedding = embedding if cells is None else embedding[cells]
    if (n_clusters is None) == (resolution is None):
        raise ValueError(
            f"Pass n_clusters or resolution, one of them, but n_clusters={n_clusters!r} and resolution={resolution!r} "
            "were passed."
        )
    if resolution is None:
        check_number("n_clusters", n_clusters, integer=True, low=1, high=tree.n_fine)
        number, name = int(n_clusters or 1), f"{key}_{n_clusters}"
    else:
        check_number("resolution", resolution, low=0, high=2)
        number, name = int((tree.height > resolution).sum()) + 1, f"{key}_r{resolution:g}"
    key_added = check_key(name if key_added is None else key_added, key, f"{key}_fine", f"{key}_confidence")
    probability = assigned(head_of_cut(embedding, tree, fine, number), embedding)
    n_found = probability.shape[1]
    params = {"key": key, "n_clusters": number} | ({} if resolution is None else {"resolution": float(resolution)})
    adata = write_results(
        adata,
        copy=copy,
        obs={
            key_added: _named(adata, key, cells, probability.argmax(axis=1), n_found),
            f"{key_added}_confidence": spread(probability.max(axis=1), cells),
        },
        uns={key_added: {"n_clusters": n_found, "params": params}},
    )
    logger.info("Wrote obs[%r], obs['%s_confidence'] and uns[%r].", key_added, key_added, key_added)
    return adata if copy else None


def _restricted_cells(adata: AnnData, key: str) -> np.ndarray | None:
    """Whether a cell was clustered, ``(n_obs,)`` bool; None if the clustering was not restricted."""
    column = f"{key}_fine"
    if recorded_names(adata, key) is None or column not in adata.obs:
        return None
    return obs_column(adata, column).notna().to_numpy()


def _named(adata: AnnData, key: str, cells: np.ndarray | None, labels: np.ndarray, n_clusters: int) -> pd.Categorical:
    """Names of the clusters `labels` of the cells that were clustered, and of all others."""
    names = recorded_names(adata, key)
    if cells is None or names is None:
        return pd.Categorical(labels.astype(str), categories=[str(each) for each in range(n_clusters)])
    return renamed(read_labels(adata, key, argument="key", allow_missing=True), cells, names, labels)
