"""The merge tree: fine clusters, the order in which they are merged, and its cuts."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scclu.cluster.merges import average_merges
from scclu.cluster.votes import mean_separations, separations

# exponent by which large branches are divided later
_TEMPER = 0.2


@dataclass(frozen=True)
class MergeTree:
    """Merges of fine clusters into one.

    The first nodes are the fine clusters, 0 to n_fine - 1; merge i makes node n_fine + i, as in
    :mod:`scipy.cluster.hierarchy`.

    Attributes
    ----------
    children
        The two nodes of each merge, ``(n_fine - 1, 2)`` int.
    height
        ``(n_fine - 1,)``, ascending: in (0, 1] for merges within a cluster that the tests do not divide, in (1, 2] for
        merges of clusters that are distinct.
    size
        Number of cells of each merge, ``(n_fine - 1,)`` int.
    p
        P-value of the hypothesis that the two sides of a merge are one cluster, ``(n_fine - 1,)``; NaN if they were not
        tested.
    neighbors
        Share of the weights of the neighbour graph by which the cells of a fine cluster (row) are connected to those of
        each (column), ``(n_fine, n_fine)`` float32. Rows sum to one.
    """

    children: np.ndarray
    height: np.ndarray
    size: np.ndarray
    p: np.ndarray
    neighbors: np.ndarray

    @property
    def n_fine(self) -> int:
        """Number of fine clusters."""
        return len(self.children) + 1

    @property
    def n_distinct(self) -> int:
        """Number of clusters that the tests separate."""
        return int((self.height > 1).sum()) + 1

    def check(self) -> None:
        """Raise ValueError if the attributes, which may come from a file, are not those of a tree."""
        n_merges = len(self.children)
        if self.children.shape != (n_merges, 2) or self.children.dtype.kind not in "iu":
            raise ValueError("children are not two nodes a merge")
        once = np.array_equal(np.sort(self.children, axis=None), np.arange(2 * n_merges))
        if not once or (self.children >= self.n_fine + np.arange(n_merges)[:, None]).any():
            raise ValueError("children are not nodes of earlier merges, each of them once")
        if any(
            values.shape != (n_merges,) or values.dtype.kind not in "iuf" for values in (self.height, self.size, self.p)
        ):
            raise ValueError("there is not one height, size and p-value a merge")
        if not (np.diff(self.height) >= 0).all() or not np.isfinite(self.height).all():
            raise ValueError("heights do not ascend")
        if self.neighbors.shape != (self.n_fine, self.n_fine) or not np.isfinite(self.neighbors).all():
            raise ValueError("there is not one share of neighbours for each pair of fine clusters")

    def cut(self, n_clusters: int) -> np.ndarray:
        """Undo the last merges.

        Parameters
        ----------
        n_clusters
            From 1 to :attr:`n_fine`.

        Returns
        -------
        Node above each fine cluster, ``(n_fine,)`` int.
        """
        n_merges = self.n_fine - n_clusters
        node = np.arange(self.n_fine + n_merges)
        for step in reversed(range(n_merges)):
            node[self.children[step]] = node[self.n_fine + step]
        return node[: self.n_fine]


class _Linkage:
    """Average linkage of the fine clusters of each group, then of the groups; nodes as in :class:`MergeTree`."""

    def __init__(self, votes: np.ndarray, sizes: np.ndarray, group: np.ndarray, min_cluster_size: int) -> None:
        self.n_fine = len(sizes)
        self.size = sizes.tolist()
        self.cost = [0.0] * self.n_fine
        self.sides: list[tuple[int, int] | None] = [None] * self.n_fine
        tops = []
        for each in range(int(group.max()) + 1):
            members = np.flatnonzero(group == each)
            tops.append(self._merge(separations(votes[:, members]), members, min_cluster_size))
        self.n_within = len(self.sides)
        self._merge(mean_separations(votes, sizes, group), np.array(tops), 1)

    def _merge(self, distance: np.ndarray, nodes: np.ndarray, min_cluster_size: int) -> int:
        """Merge nodes until one is left, which is returned."""
        node = nodes.copy()
        merges = average_merges(distance, np.array(self.size)[nodes], min_cluster_size=min_cluster_size)
        for kept, gone, cost in zip(*merges, strict=True):
            self.sides.append((int(node[kept]), int(node[gone])))
            self.size.append(self.size[node[kept]] + self.size[node[gone]])
            self.cost.append(float(cost))
            node[kept] = len(self.sides) - 1
        return int(node[0])

    def order(self) -> list[tuple[int, float]]:
        """Nodes in the order in which the tree is cut from its root, with their priorities."""
        order, open_nodes = [], [self._entry(len(self.sides) - 1)]
        while open_nodes:
            (_, priority, node) = heapq.heappop(open_nodes)
            sides = self.sides[node]
            if sides is None:
                continue
            order.append((node, -priority))
            for side in sides:
                heapq.heappush(open_nodes, self._entry(side))
        return order

    def _entry(self, node: int) -> tuple[bool, float, int]:
        # merges of groups are cut before merges within groups
        return node < self.n_within, -self.cost[node] * self.size[node] ** -_TEMPER, node


def merge_tree(
    votes: np.ndarray,
    sizes: np.ndarray,
    group: np.ndarray,
    neighbors: np.ndarray,
    p_value: Callable[[np.ndarray, np.ndarray], float],
    *,
    min_cluster_size: int,
) -> MergeTree:
    """Tree of average linkage in which each group of fine clusters is a branch.

    The tree is cut from its root where the mean distance of the two sides times the number of cells to the power of
    -0.2 is largest. Many partitions divide a large cluster in different places, so that its parts are far apart, but
    rarely a small one: with the distance alone, the large one would be divided before the small one is separated.

    Parameters
    ----------
    votes
        Partitions of the fine clusters, ``(n_votes, n_fine)`` int; the distance of two fine clusters is the share of
        the partitions that separate them.
    sizes
        Number of cells of each fine cluster, ``(n_fine,)``.
    group
        Group of each fine cluster, 0 to n_groups - 1.
    neighbors
        As in :class:`MergeTree`.
    p_value
        Test of two clusters; takes the fine clusters of the two sides. It is applied to all merges of groups, and to
        the last merge in each group.
    min_cluster_size
        Fine clusters with fewer cells are merged before the others of their group.
    """
    linkage = _Linkage(votes, sizes, group, min_cluster_size)
    order = linkage.order()[::-1]
    n_fine = linkage.n_fine
    number = {node: node for node in range(n_fine)}
    leaves = {node: np.array([node]) for node in range(n_fine)}
    children, p = np.empty((n_fine - 1, 2), dtype=np.int64), np.full(n_fine - 1, np.nan)
    for step, (node, _) in enumerate(order):
        first, second = linkage.sides[node] or (node, node)
        leaves[node] = np.concatenate((leaves[first], leaves[second]))
        children[step] = number[first], number[second]
        number[node] = n_fine + step
        if node >= linkage.n_within or len(leaves[node]) == np.count_nonzero(group == group[leaves[node][0]]):
            p[step] = p_value(leaves[first], leaves[second])
    priority = np.array([value for _, value in order])
    n_within = linkage.n_within - n_fine
    height = np.concatenate((_ascending(priority[:n_within]), 1 + _ascending(priority[n_within:])))
    size = np.array([linkage.size[node] for node, _ in order], dtype=np.int64)
    return MergeTree(children, height, size, p, neighbors)


def _ascending(values: np.ndarray) -> np.ndarray:
    """Values made monotone and scaled to (0, 1]."""
    # sides that no partition divides have a distance of zero
    highest = np.maximum.accumulate(np.maximum(values, 1e-6))
    return highest / highest[-1] if len(values) else highest
