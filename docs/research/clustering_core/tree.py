"""Merge trees of fine clusters: tested first, then complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["Merges", "PairCosts", "tempered_merges", "tested_merges", "ward_cost"]


class Merges(NamedTuple):
    """Merges of clusters in order: each puts ``gone`` into ``kept``."""

    kept: np.ndarray
    gone: np.ndarray
    cost: np.ndarray
    p: np.ndarray


def ward_cost(center: np.ndarray, size: np.ndarray, row: int, power: float = 1.0) -> np.ndarray:
    """Costs of merging a cluster with each: squared distance times a power of half the harmonic mean of the sizes.

    Parameters
    ----------
    center
        Means of shape (F, d).
    size
        Cells of each cluster.
    row
        The cluster.
    power
        1 is Ward's cost; below, size counts for less.
    """
    distance = np.square(center - center[row]).sum(axis=1)
    return distance * (size * size[row] / (size + size[row])) ** power


class PairCosts:
    """Symmetric costs of pairs of clusters, with each row's least kept.

    Parameters
    ----------
    cost
        ``cost(row)`` gives the costs of a cluster with each cluster.
    n_clusters
        Clusters at the start.
    """

    def __init__(self, cost: Callable[[int], np.ndarray], n_clusters: int) -> None:
        self._cost = cost
        self.alive = np.ones(n_clusters, dtype=bool)
        self.value = np.array([cost(row) for row in range(n_clusters)]).reshape(n_clusters, n_clusters)
        np.fill_diagonal(self.value, np.inf)
        self.blocked = np.zeros((n_clusters, n_clusters), dtype=bool)
        self._arg = self.value.argmin(axis=1)
        self._least = self.value[np.arange(n_clusters), self._arg]

    def cheapest(self) -> tuple[int, int, float]:
        """The cheapest pair that is not blocked, the lower index first, and its cost; infinite where none is left."""
        row = int(self._least.argmin())
        other = int(self._arg[row])
        return min(row, other), max(row, other), float(self._least[row])

    def block(self, first: int, second: int) -> None:
        """Take a pair out of the choice until one of the two changes."""
        self.blocked[first, second] = self.blocked[second, first] = True
        self._refresh(first)
        self._refresh(second)

    def merged(self, kept: int, gone: int) -> None:
        """Renew the costs after ``gone`` went into ``kept``."""
        self.alive[gone] = False
        self.value[gone] = self.value[:, gone] = np.inf
        row = np.where(self.alive, self._cost(kept), np.inf)
        row[kept] = np.inf
        self.value[kept] = self.value[:, kept] = row
        self.blocked[kept] = self.blocked[:, kept] = False
        self._least[gone] = np.inf
        self._refresh(kept)
        stale = self.alive & ((self._arg == gone) | (self._arg == kept))
        for other in np.flatnonzero(stale):
            self._refresh(int(other))
        better = row < self._least
        self._arg[better], self._least[better] = kept, row[better]

    def _refresh(self, row: int) -> None:
        free = np.where(self.blocked[row], np.inf, self.value[row])
        self._arg[row] = free.argmin()
        self._least[row] = free[self._arg[row]]


def tested_merges(
    points: np.ndarray,
    fine: np.ndarray,
    test: Callable[[np.ndarray, np.ndarray, tuple[int, int]], float],
    *,
    alpha: float,
    min_cluster_size: int,
    max_cells: int = 2_000,
) -> tuple[np.ndarray, Merges]:
    """Merge the cheapest pair by Ward's cost that a test does not separate, until all pairs are separated.

    Parameters
    ----------
    points
        Cells of shape (N, d), in random order.
    fine
        Fine cluster of each cell, 0 to F - 1.
    test
        Takes the row numbers of the cells of two clusters and the clusters' sizes, gives a p-value.
    alpha
        A pair with a p-value below it stays apart.
    min_cluster_size
        A cluster with fewer cells is merged with the nearest, untested.
    max_cells
        The first so many cells of a cluster are tested.

    Returns
    -------
    The group of each fine cluster, 0 to G - 1, and the G - 1 merges of the groups by Ward's cost, each with the
    p-value of the test of its two sides, or NaN where they were not tested, since they are not groups themselves.
    """
    size = np.bincount(fine).astype(np.float64)
    members = np.split(np.argsort(fine, kind="stable"), np.cumsum(size).astype(int)[:-1])
    center = np.array([points[rows].mean(axis=0) for rows in members])
    members = [rows[:max_cells] for rows in members]
    costs = PairCosts(lambda row: ward_cost(center, size, row), len(size))
    group, p_values = np.arange(len(size)), {}
    while costs.alive.sum() > 1:
        kept, gone, cost = costs.cheapest()
        if not np.isfinite(cost):
            break
        if min(size[kept], size[gone]) >= min_cluster_size:
            p = test(members[kept], members[gone], (int(size[kept]), int(size[gone])))
            if p < alpha:
                p_values[kept, gone] = p
                costs.block(kept, gone)
                continue
        members[kept] = np.sort(np.concatenate((members[kept], members[gone])))[:max_cells]
        _join(center, size, kept, gone)
        group[group == gone] = kept
        costs.merged(kept, gone)
    names, group = np.unique(group, return_inverse=True)
    return group, _ward_merges(center[names], size[names], names, p_values)


def _join(center: np.ndarray, size: np.ndarray, kept: int, gone: int) -> None:
    """Mean and size of two clusters put together, in place."""
    total = size[kept] + size[gone]
    center[kept] = (size[kept] * center[kept] + size[gone] * center[gone]) / total
    size[kept] = total


def _ward_merges(center: np.ndarray, size: np.ndarray, names: np.ndarray, p_values: dict) -> Merges:
    """All merges of the groups by Ward's cost."""
    costs = PairCosts(lambda row: ward_cost(center, size, row), len(size))
    changed = np.zeros(len(size), dtype=bool)
    steps = []
    for _ in range(len(size) - 1):
        kept, gone, cost = costs.cheapest()
        known = not (changed[kept] or changed[gone])
        steps.append((kept, gone, cost, p_values.get((names[kept], names[gone]), np.nan) if known else np.nan))
        changed[kept] = True
        _join(center, size, kept, gone)
        costs.merged(kept, gone)
    return _as_merges(steps)


def tempered_merges(
    points: np.ndarray, fine: np.ndarray, group: np.ndarray, *, power: float, min_cluster_size: int
) -> Merges:
    """All merges of fine clusters within their groups, for cuts finer than the tests support.

    The cost is the squared distance of the means, less what the cells' noise adds to it, times a power of half the
    harmonic mean size (:func:`ward_cost`). Clusters of fewer than ``min_cluster_size`` cells are merged first.

    Parameters
    ----------
    points
        Cells of shape (N, d), where the covariance within the groups is the identity.
    fine
        Fine cluster of each cell, 0 to F - 1.
    group
        Group of each fine cluster.
    power
        Of the size.
    min_cluster_size
        Cells.
    """
    size = np.bincount(fine).astype(np.float64)
    center = np.zeros((len(size), points.shape[1]))
    np.add.at(center, fine, points)
    center /= size[:, None]
    noise = points.shape[1]

    def cost(row: int) -> np.ndarray:
        weight = size * size[row] / (size + size[row])
        distance = np.square(center - center[row]).sum(axis=1) - noise / weight
        value = np.maximum(distance, 1e-9) * weight**power
        value[np.minimum(size, size[row]) < min_cluster_size] *= 1e-12
        value[group != group[row]] = np.inf
        return value

    costs, steps = PairCosts(cost, len(size)), []
    for _ in range(len(size) - (group.max() + 1)):
        kept, gone, value = costs.cheapest()
        steps.append((kept, gone, value, np.nan))
        _join(center, size, kept, gone)
        costs.merged(kept, gone)
    return _as_merges(steps)


def _as_merges(steps: list[tuple[int, int, float, float]]) -> Merges:
    table = np.array(steps, dtype=np.float64).reshape(-1, 4)
    return Merges(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2], table[:, 3])
