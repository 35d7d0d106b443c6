"""Tests of neighbouring clusters of any clustering, and merges of those that are not distinct."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scclu.cluster.core import TESTED_CELLS, p_value
from scclu.cluster.merges import rows_of_clusters, ward_cost
from scclu.cluster.space import cluster_means, whitened

# nearest clusters of a cluster that it is compared with
_N_NEIGHBORS = 5


class TestedPairs(NamedTuple):
    """Tests of pairs of clusters.

    Attributes
    ----------
    first, second
        The two clusters of each pair, ``(n_pairs,)`` int; `first` is the lower one.
    p
        P-value of the hypothesis that the two are one cluster, ``(n_pairs,)``.
    p_adjusted
        P-value corrected for the number of pairs by Holm's method.
    """

    first: np.ndarray
    second: np.ndarray
    p: np.ndarray
    p_adjusted: np.ndarray


class PairTests:
    """Clusters whose neighbours are tested, and which can be merged.

    The neighbours of a cluster are the five clusters with the nearest means. Clusters are compared in a space in which
    the covariance within them is close to the identity.

    Parameters
    ----------
    representations
        Arrays ``(n_cells, n_dims)`` of the same cells in random order.
    labels
        Cluster of each cell, 0 to n_clusters - 1.
    batches
        Batch of each cell, 0 to n_batches - 1, for which the representations were corrected; pairs are then compared
        within batches.
    """

    def __init__(
        self, representations: Sequence[np.ndarray], labels: np.ndarray, batches: np.ndarray | None = None
    ) -> None:
        self._points = np.hstack([whitened(values, labels) for values in representations])
        self._batches = batches
        self.sizes = np.bincount(labels).astype(np.float64)
        self._means = cluster_means(self._points, labels)
        self._rows = rows_of_clusters(labels)
        self._alive = np.ones(len(self.sizes), dtype=bool)
        self._known: dict[tuple[int, int], float] = {}

    def neighbors(self) -> np.ndarray:
        """Pairs of neighbouring clusters, ``(n_pairs, 2)`` int, in ascending order."""
        alive = np.flatnonzero(self._alive)
        pairs = set()
        for row in alive:
            distance = np.square(self._means[alive] - self._means[row]).sum(axis=1)
            nearest = alive[np.argsort(distance, kind="stable")]
            pairs |= {(min(row, other), max(row, other)) for other in nearest[nearest != row][:_N_NEIGHBORS]}
        return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)

    def tested(self) -> TestedPairs:
        """Test all pairs of neighbours; those that were tested before are not tested again."""
        first, second = self.neighbors().T
        for pair in zip(first.tolist(), second.tolist(), strict=True):
            if pair not in self._known:
                self._known[pair] = self._p_value(*pair)
        p = np.array([self._known[pair] for pair in zip(first.tolist(), second.tolist(), strict=True)])
        return TestedPairs(first, second, p, holm(p))

    def merge_until_distinct(self, alpha: float) -> np.ndarray:
        """Merge the neighbours that are cheapest by Ward's cost and not distinct, until all neighbours are distinct.

        Parameters
        ----------
        alpha
            Neighbours are distinct if their corrected p-value is below it. The correction is that for all pairs of
            neighbours that are left.

        Returns
        -------
        Cluster that each cluster was merged into, ``(n_clusters,)`` int.
        """
        group = np.arange(len(self.sizes))
        while self._alive.sum() > 1:
            pairs = self.tested()
            same = np.flatnonzero(pairs.p_adjusted >= alpha)
            if not len(same):
                break
            cost = [ward_cost(self._means, self.sizes, pairs.first[each])[pairs.second[each]] for each in same]
            cheapest = same[int(np.argmin(cost))]
            kept, gone = int(pairs.first[cheapest]), int(pairs.second[cheapest])
            self._merge(kept, gone)
            group[group == gone] = kept
        return group

    def _merge(self, kept: int, gone: int) -> None:
        share = self.sizes[[kept, gone]] / self.sizes[[kept, gone]].sum()
        self._means[kept] = share @ self._means[[kept, gone]]
        self.sizes[kept] += self.sizes[gone]
        self._rows[kept] = np.sort(np.concatenate((self._rows[kept], self._rows[gone])))
        self._alive[gone] = False
        self._known = {pair: p for pair, p in self._known.items() if not {kept, gone} & set(pair)}

    def _p_value(self, first: int, second: int) -> float:
        rows = self._rows[first], self._rows[second]
        tested = rows[0][:TESTED_CELLS], rows[1][:TESTED_CELLS]
        return p_value(self._points, self._batches, *tested, (len(rows[0]), len(rows[1])))


def holm(p: np.ndarray) -> np.ndarray:
    """P-values corrected by Holm's method, which bounds the probability of any false rejection, ``(n,)``."""
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1)
