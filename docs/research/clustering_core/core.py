"""Clusters of all cells: a graph, fine clusters of it, a tree of tested merges, a cut, a discriminant."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .fine import fine_clusters
from .graph import shared_neighbor_graph
from .space import refine, whiten
from .split_test import split_p
from .tree import Merges, tempered_merges, tested_merges

__all__ = ["CoreResult", "core", "cut"]

_LOG = logging.getLogger(__name__)
_N_FOLDS = 5
_MAX_CELLS = 2_000
# weight of the size in cuts finer than the tests support: none, distance alone decides
_POWER = 0.0


@dataclass(frozen=True)
class CoreResult:
    """Clusters and the tree that they were cut from.

    Attributes
    ----------
    labels
        Cluster of each cell; 0 is the largest.
    fine
        Fine cluster of each cell, 0 to F - 1; 0 is the largest.
    children
        The two nodes that each merge puts together, (F - 1, 2): below F a fine cluster, F + i what merge i made, as in
        :mod:`scipy.cluster.hierarchy`.
    height
        Of each merge, never falling. Up to 1: within a group that the tests do not divide. Above 1: between groups.
    size
        Cells of each merge's result.
    p
        Of the test that kept the two sides apart; NaN within groups, and where a side is itself several groups.
    """

    labels: np.ndarray
    fine: np.ndarray
    children: np.ndarray
    height: np.ndarray
    size: np.ndarray
    p: np.ndarray

    @property
    def n_groups(self) -> int:
        """Clusters that the tests keep apart: the K found."""
        return int((self.height > 1).sum()) + 1


def core(
    representations: Sequence[np.ndarray],
    n_clusters: int | None,
    *,
    alpha: float = 0.05,
    min_cluster_size: int = 10,
    random_state: int = 0,
) -> CoreResult:
    """Cluster cells described by one or more representations.

    Every cell takes part in every step but the tests, which take at most 2,000 cells of a cluster, drawn at random.

    Parameters
    ----------
    representations
        Arrays of shape (N, d), the same cells in the same order, such as the principal components after two recipes.
    n_clusters
        Clusters wanted, at most N; None to find their number by the tests.
    alpha
        Two clusters stay apart where the p-value of a test is below this.
    min_cluster_size
        With ``n_clusters`` None no cluster has fewer cells, but where there are fewer cells in all.
    random_state
        Seed.

    Returns
    -------
    The clusters and their tree. The order of the cells has no effect on them.
    """
    representations = _checked(representations, n_clusters, alpha, min_cluster_size)
    order = _shuffled(representations[0], random_state)
    representations = [values[order] for values in representations]
    graph = shared_neighbor_graph(representations, random_state=random_state)
    fine = _by_size(fine_clusters(graph, n_clusters or 1, random_state=random_state))
    del graph
    within, between = _merges(representations, fine, alpha, min_cluster_size)
    tree = _tree(fine, within, between)
    n_found = tree.n_groups if n_clusters is None else n_clusters
    labels = refine(representations, cut(tree, n_found), min_cluster_size=1 if n_clusters else min_cluster_size)
    back = np.argsort(order)
    return CoreResult(_by_size(labels)[back], fine[back], tree.children, tree.height, tree.size, tree.p)


def cut(result: CoreResult, n_clusters: int, representations: Sequence[np.ndarray] | None = None) -> np.ndarray:
    """Labels of another number of clusters from the same tree.

    Parameters
    ----------
    result
        What :func:`core` returned.
    n_clusters
        Clusters wanted, at most the number of fine clusters.
    representations
        Those given to :func:`core`: the labels are then refined by a discriminant, as its own are.

    Returns
    -------
    Integer labels of shape (N,); 0 is the largest cluster.
    """
    n_fine = len(result.children) + 1
    if not 1 <= n_clusters <= n_fine:
        raise ValueError(f"n_clusters must be from 1 to {n_fine}, the fine clusters, but {n_clusters} was passed.")
    n_merges = n_fine - n_clusters
    node = np.arange(n_fine + n_merges)
    for step in reversed(range(n_merges)):
        node[result.children[step]] = node[n_fine + step]
    labels = _by_size(node[result.fine])
    return labels if representations is None else _by_size(refine(representations, labels))


def _checked(
    representations: Sequence[np.ndarray], n_clusters: int | None, alpha: float, min_cluster_size: int
) -> list[np.ndarray]:
    """The representations as arrays, after a look at all arguments."""
    arrays = [np.asarray(values) for values in representations]
    if not arrays or any(values.ndim != 2 or len(values) != len(arrays[0]) for values in arrays):
        raise ValueError("representations must be one or more arrays of shape (N, d) with the same N.")
    if len(arrays[0]) < 2:
        raise ValueError(f"At least 2 cells are needed, but there are {len(arrays[0])}.")
    if not all(np.isfinite(values).all() for values in arrays):
        raise ValueError("The representations have values that are not finite.")
    if n_clusters is not None and not 1 <= n_clusters <= len(arrays[0]):
        raise ValueError(f"n_clusters must be from 1 to {len(arrays[0])}, the cells, but {n_clusters} was passed.")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], but {alpha} was passed.")
    if min_cluster_size < 1:
        raise ValueError(f"min_cluster_size must be at least 1, but {min_cluster_size} was passed.")
    return arrays


def _shuffled(points: np.ndarray, random_state: int) -> np.ndarray:
    """A random order of the cells that depends on their values, not on the order in which they come."""
    by_value = np.lexsort(points.T[::-1])
    return by_value[np.random.default_rng(random_state).permutation(len(points))]


def _merges(
    representations: list[np.ndarray], fine: np.ndarray, alpha: float, min_cluster_size: int
) -> tuple[Merges, Merges]:
    """Merges within the groups that the tests leave, and between them; the cells in random order."""
    points = np.hstack([whiten(values, fine) for values in representations])

    def test(first: np.ndarray, second: np.ndarray, sizes: tuple[int, int]) -> float:
        return split_p(points[first], points[second], (first % _N_FOLDS, second % _N_FOLDS), sizes)

    group, between = tested_merges(
        points, fine, test, alpha=alpha, min_cluster_size=min_cluster_size, max_cells=_MAX_CELLS
    )
    if len(fine) > _MAX_CELLS:
        _LOG.info("Clusters of more than %d cells were tested on that many of them, drawn at random.", _MAX_CELLS)
    points = np.hstack([whiten(values, group[fine]) for values in representations])
    within = tempered_merges(points, fine, group, power=_POWER, min_cluster_size=min_cluster_size)
    names = np.array([np.flatnonzero(group == name).min() for name in range(group.max() + 1)])
    return within, Merges(names[between.kept], names[between.gone], between.cost, between.p)


def _tree(fine: np.ndarray, within: Merges, between: Merges) -> CoreResult:
    """Merges as a tree; its labels are the fine clusters."""
    size = np.bincount(fine)
    n_fine, n_within = len(size), len(within.kept)
    kept, gone = np.concatenate((within.kept, between.kept)), np.concatenate((within.gone, between.gone))
    node, total = np.arange(n_fine), size.copy()
    children, sizes = np.empty((n_fine - 1, 2), dtype=int), np.empty(n_fine - 1, dtype=int)
    for step, (one, other) in enumerate(zip(kept, gone, strict=True)):
        children[step] = node[one], node[other]
        total[one] += total[other]
        node[one], sizes[step] = n_fine + step, total[one]
    height = np.empty(n_fine - 1)
    height[:n_within] = _rising(within.cost)
    height[n_within:] = 1 + _rising(between.cost)
    return CoreResult(fine, fine, children, height, sizes, np.concatenate((within.p, between.p)))


def _rising(cost: np.ndarray) -> np.ndarray:
    """Costs that never fall, in (0, 1]."""
    highest = np.maximum.accumulate(cost)
    return highest / highest[-1] if len(cost) and highest[-1] > 0 else np.ones(len(cost))


def _by_size(labels: np.ndarray) -> np.ndarray:
    """Labels 0, 1, ... from the largest cluster to the smallest."""
    _, labels, size = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=int)
    rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
    return rank[labels]
