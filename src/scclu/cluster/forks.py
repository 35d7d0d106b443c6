"""Stored merge trees: reading them, and the forks between the clusters of a cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from scclu._checks import check_adata, check_number, listed
from scclu._labels import obs_column, read_labels
from scclu.cluster.numbering import by_size
from scclu.cluster.tree import MergeTree

if TYPE_CHECKING:
    from anndata import AnnData

_TREE = ("children", "height", "size", "p", "neighbors")
# cuts that are compared with clusters, because a head may assign no cell to some branches
_MOST_CUTS = 10


class Fork(NamedTuple):
    """A merge above a cut.

    Attributes
    ----------
    number
        Number of clusters that are left before the merge is undone; 1 is the root.
    first, second
        Clusters on the two sides, in an order in which no branches cross. The side with the largest fine cluster is
        first, in all cuts.
    height
        Height of the merge.
    p
        P-value of the hypothesis that the two sides are one cluster.
    """

    number: int
    first: tuple[int, ...]
    second: tuple[int, ...]
    height: float
    p: float


def stored_tree(adata: AnnData, key: str) -> tuple[MergeTree, np.ndarray]:
    """Tree, and fine cluster of each cell, that a clustering tool stored under `key`.

    Raises
    ------
    TypeError, ValueError
        If `adata` is not an AnnData, one of them is missing, or they do not fit each other.
    """
    check_adata(adata)
    results: Any = adata.uns.get(key)
    if not isinstance(results, Mapping) or results.get("tree") is None:
        raise ValueError(
            f"adata.uns[{key!r}] has no tree. Call scclu.tl.cicl(adata, key_added={key!r}) or "
            f'scclu.tl.scsiameseclu first, with cluster_method="tree". There are: {listed(adata.uns)}.'
        )
    column = f"{key}_fine"
    if column not in adata.obs:
        raise ValueError(f"A cut of the tree in adata.uns[{key!r}] needs adata.obs[{column!r}] as well.")
    cells = obs_column(adata, column)
    clustered = cells.notna()
    if not clustered.all():
        raise ValueError(
            f"The tree in adata.uns[{key!r}] is of {int(clustered.sum())} of the {adata.n_obs} cells, those that "
            f"restrict_to named. Pass these cells: adata[adata.obs[{column!r}].notna()].copy()."
        )
    try:
        tree = MergeTree(*(np.asarray(results["tree"][name]) for name in _TREE))
        tree.check()
        fine = cells.astype(int).to_numpy()
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"The tree in adata.uns[{key!r}], or adata.obs[{column!r}], is not what scclu writes ({error}). "
            "Cluster again."
        ) from error
    if not np.array_equal(np.unique(fine), np.arange(tree.n_fine)):
        raise ValueError(
            f"adata.obs[{column!r}] does not have the {tree.n_fine} fine clusters of the tree in adata.uns[{key!r}]: "
            "cells were removed after clustering. Cluster again."
        )
    return tree, fine


def branches_of(tree: MergeTree, fine: np.ndarray, clusters: np.ndarray) -> dict[int, int]:
    """Match clusters with the branches of the tree that they come from.

    A head assigns the cells by their embedding, so that clusters differ from branches in some cells, and a branch may
    have no cluster. The cut and the one-to-one match with the most cells in the branch of their cluster are used.

    Parameters
    ----------
    tree, fine
        The tree, and the fine cluster of each cell, ``(n_cells,)`` int.
    clusters
        Cluster of each cell, ``(n_cells,)`` int, from 0.

    Returns
    -------
    The cluster of each branch, which is given by its node.
    """
    n_clusters = int(clusters.max()) + 1
    shared = np.zeros((tree.n_fine, n_clusters))
    np.add.at(shared, (fine, clusters), 1)
    best, most = {}, -1.0
    for cut in range(n_clusters, min(n_clusters + _MOST_CUTS, tree.n_fine) + 1):
        nodes, branch = np.unique(tree.cut(cut), return_inverse=True)
        table = np.zeros((cut, n_clusters))
        np.add.at(table, branch, shared)
        rows, columns = linear_sum_assignment(table, maximize=True)
        if table[rows, columns].sum() > most:
            most = table[rows, columns].sum()
            best = dict(zip(nodes[rows].tolist(), columns.tolist(), strict=True))
    return best


def forks_between(tree: MergeTree, branches: Mapping[int, int]) -> list[Fork]:
    """Merges above the branches that have clusters, the root first; one less than there are branches."""
    below: dict[int, tuple[int, ...]] = {node: (cluster,) for node, cluster in branches.items()}
    lowest = list(range(tree.n_fine))  # fine cluster below each node
    found = []
    for step, sides in enumerate(tree.children.tolist()):
        node = tree.n_fine + step
        lowest.append(min(lowest[side] for side in sides))
        if node in branches:
            continue
        first, second = (below.get(side, ()) for side in sorted(sides, key=lowest.__getitem__))
        below[node] = first + second
        if first and second:
            number = tree.n_fine - 1 - step
            found.append(Fork(number, first, second, float(tree.height[step]), float(tree.p[step])))
    return found[::-1]


def clusters_of_cut(adata: AnnData, key: str, n_clusters: int | None) -> tuple[pd.Categorical, str]:
    """Clusters of a cut as :func:`scclu.tl.cut_tree` names them, and their column in ``adata.obs``.

    Parameters
    ----------
    adata, key
        Annotated data, and the key of a clustering with a tree.
    n_clusters
        Number of clusters; None for those in ``adata.obs[key]``.

    Returns
    -------
    The clusters in the column; if there is no such column, the branches of the cut, the largest of which is ``"0"``.
    """
    tree, fine = stored_tree(adata, key)
    stored = read_labels(adata, key, argument="key")
    if n_clusters is None or check_number("n_clusters", n_clusters, integer=True, low=1, high=tree.n_fine) == len(
        stored.categories
    ):
        return stored, key
    column = f"{key}_{n_clusters}"
    if column in adata.obs:
        return read_labels(adata, column, argument="key"), column
    labels = by_size(tree.cut(n_clusters)[fine])
    return pd.Categorical(labels.astype(str), categories=[str(each) for each in range(n_clusters)]), column
