"""Agglomerative merges of clusters, by a cost of pairs and by tests of pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit

from scclu.cluster.space import cluster_means

# factor of the cost of what is merged first
_FIRST = 1e-9


class Merges(NamedTuple):
    """Merges of clusters in order.

    Attributes
    ----------
    kept, gone
        The two clusters of each merge; `kept` stands for both from then on.
    cost
        Cost of each merge.
    """

    kept: np.ndarray
    gone: np.ndarray
    cost: np.ndarray


class PairCosts:
    """Costs of pairs of clusters, of which the lowest is found without a matrix of all pairs.

    The cheapest partner of each cluster is kept. When one of the two is merged, the cost of the other's next partner is
    known to be no lower, and it is determined only once that cost is the lowest of all.

    Parameters
    ----------
    cost
        ``cost(i)`` returns the costs of cluster i with each cluster, ``(n_clusters,)``; what it returns for i itself,
        and for clusters that were merged into others, is not used.
    n_clusters
        Number of clusters.
    """

    def __init__(self, cost: Callable[[int], np.ndarray], n_clusters: int) -> None:
        self._cost = cost
        self.alive = np.ones(n_clusters, dtype=bool)
        self._blocked: list[set[int]] = [set() for _ in range(n_clusters)]
        # cheapest partner of each cluster and its cost, which is a lower bound where the partner was merged since
        self._partner = np.empty(n_clusters, dtype=np.int64)
        self._lowest = np.empty(n_clusters)
        self._stale = np.zeros(n_clusters, dtype=bool)
        for row in range(n_clusters):
            self._refresh(row)

    def cheapest(self) -> tuple[int, int, float]:
        """The cheapest pair that is not blocked, the lower index first, and its cost; infinite if there is none."""
        row = int(self._lowest.argmin())
        while self._stale[row]:
            self._refresh(row)
            row = int(self._lowest.argmin())
        other = int(self._partner[row])
        return min(row, other), max(row, other), float(self._lowest[row])

    def block(self, first: int, second: int) -> None:
        """Exclude a pair until one of the two is merged with another cluster."""
        self._blocked[first].add(second)
        self._blocked[second].add(first)
        self._refresh(first)
        self._refresh(second)

    def merge(self, kept: int, gone: int) -> None:
        """Update the costs after `gone` was merged into `kept`."""
        self.alive[gone] = False
        self._lowest[gone] = np.inf
        for each in (kept, gone):
            for other in self._blocked[each]:
                self._blocked[other].discard(each)
            self._blocked[each] = set()
        self._stale |= (self._partner == gone) | (self._partner == kept)
        self._stale[gone] = False
        row = self._refresh(kept)
        better = row < self._lowest
        self._partner[better], self._lowest[better], self._stale[better] = kept, row[better], False

    def _refresh(self, row: int) -> np.ndarray:
        """Determine the cheapest partner of a cluster; returns its costs, infinite where it cannot be merged."""
        costs = np.where(self.alive, self._cost(row), np.inf)
        costs[row] = np.inf
        costs[list(self._blocked[row])] = np.inf
        self._partner[row] = costs.argmin()
        self._lowest[row] = costs[self._partner[row]]
        self._stale[row] = False
        return costs


def distinct_groups(
    points: np.ndarray,
    fine: np.ndarray,
    p_value: Callable[[np.ndarray, np.ndarray, tuple[int, int]], float],
    *,
    alpha: float,
    min_cluster_size: int,
    max_cells: int,
) -> np.ndarray:
    """Merge the cheapest pair by Ward's cost that a test does not separate, until all pairs are separated.

    Parameters
    ----------
    points
        ``(n_cells, n_dims)``, cells in random order.
    fine
        Fine cluster of each cell, 0 to n_fine - 1.
    p_value
        Test of two clusters: takes the rows of their cells in `points`, and the numbers of their cells.
    alpha
        Pairs with a p-value below it are not merged.
    min_cluster_size
        A smaller cluster is merged without a test.
    max_cells
        Number of cells of a cluster, the first ones, that are tested.

    Returns
    -------
    Group of each fine cluster, ``(n_fine,)`` int.
    """
    sizes = np.bincount(fine).astype(np.float64)
    means = cluster_means(points, fine)
    members = [rows[:max_cells] for rows in rows_of_clusters(fine)]
    costs = PairCosts(lambda row: ward_cost(means, sizes, row), len(sizes))
    group = np.arange(len(sizes))
    while costs.alive.sum() > 1:
        kept, gone, cost = costs.cheapest()
        if not np.isfinite(cost):
            break
        if min(sizes[kept], sizes[gone]) >= min_cluster_size:
            both = int(sizes[kept]), int(sizes[gone])
            if p_value(members[kept], members[gone], both) < alpha:
                costs.block(kept, gone)
                continue
        members[kept] = np.sort(np.concatenate((members[kept], members[gone])))[:max_cells]
        _join(means, sizes, kept, gone)
        group[group == gone] = kept
        costs.merge(kept, gone)
    return np.unique(group, return_inverse=True)[1]


def ward_merges(points: np.ndarray, labels: np.ndarray) -> Merges:
    """Merge clusters by Ward's cost until one is left.

    Parameters
    ----------
    points
        ``(n_cells, n_dims)``.
    labels
        Cluster of each cell, 0 to n_clusters - 1.
    """
    sizes = np.bincount(labels).astype(np.float64)
    means = cluster_means(points, labels)
    costs, steps = PairCosts(lambda row: ward_cost(means, sizes, row), len(sizes)), []
    for _ in range(len(sizes) - 1):
        kept, gone, cost = costs.cheapest()
        steps.append((kept, gone, cost))
        _join(means, sizes, kept, gone)
        costs.merge(kept, gone)
    return _as_merges(steps)


def average_merges(distance: np.ndarray, sizes: np.ndarray, *, min_cluster_size: int = 1) -> Merges:
    """Average linkage of clusters until one is left; clusters with fewer than `min_cluster_size` cells merge first.

    Parameters
    ----------
    distance
        Mean distance between the cells of two clusters, ``(n_clusters, n_clusters)``.
    sizes
        Number of cells of each cluster, ``(n_clusters,)``.
    min_cluster_size
        Number of cells.
    """
    weights = sizes.astype(np.float64)
    total = np.outer(weights, weights)
    total *= distance

    def cost(row: int) -> np.ndarray:
        value = total[row] / (weights * weights[row])
        value[np.minimum(weights, weights[row]) < min_cluster_size] *= _FIRST
        return value

    costs, steps = PairCosts(cost, len(weights)), []
    for _ in range(len(weights) - 1):
        kept, gone, value = costs.cheapest()
        steps.append((kept, gone, value))
        total[kept] += total[gone]
        total[:, kept] = total[kept]
        weights[kept] += weights[gone]
        costs.merge(kept, gone)
    return _as_merges(steps)


# sums in another order are computed on several dimensions at once
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def ward_cost(means: np.ndarray, sizes: np.ndarray, row: int) -> np.ndarray:  # pragma: no cover
    """Ward's cost of merging cluster `row` with each cluster, ``(n_clusters,)``; infinite for those without cells."""
    n_clusters, n_dims = means.shape
    cost = np.full(n_clusters, np.inf)
    for other in range(n_clusters):
        if sizes[other] > 0:
            distance = 0.0
            for dim in range(n_dims):
                distance += (means[row, dim] - means[other, dim]) ** 2
            cost[other] = distance * sizes[other] * sizes[row] / (sizes[other] + sizes[row])
    return cost


def rows_of_clusters(labels: np.ndarray) -> list[np.ndarray]:
    """Rows of the cells of each cluster, in ascending order; the labels are 0 to n_clusters - 1."""
    return np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])


def _join(means: np.ndarray, sizes: np.ndarray, kept: int, gone: int) -> None:
    """Move the cells of `gone` to `kept`, whose mean and size are updated."""
    total = sizes[kept] + sizes[gone]
    means[kept] = (sizes[kept] * means[kept] + sizes[gone] * means[gone]) / total
    sizes[kept], sizes[gone] = total, 0


def _as_merges(steps: list[tuple[int, int, float]]) -> Merges:
    table = np.array(steps, dtype=np.float64).reshape(-1, 3)
    return Merges(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2])
