"""Votes on which fine clusters belong together: partitions of the fine clusters at all scales."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numba import njit
from scipy import linalg, sparse
from sklearn.cluster import KMeans

from scclu._process import known_warnings_ignored, worker_threads
from scclu._rng import spawn_seeds
from scclu.cluster.merges import ward_merges
from scclu.cluster.space import cluster_means, whitened

_MAX_ITER = 60
_TOLERANCE = 1e-4
# ratio of successive numbers of clusters
_STEP = 1.4
# components of a mixture for each one that has cells, beyond which more of them change nothing
_SPARE = 4
# responsibilities in memory at a time, few enough for the processor's cache
_BLOCK = 2**17


def partition_votes(spaces: Sequence[np.ndarray], fine: np.ndarray, *, random_state: int) -> np.ndarray:
    """Partitions of the fine clusters, for :func:`separations` (evidence accumulation).

    In each space, Gaussian mixtures with a shared covariance and Ward's clustering in the whitened space partition the
    fine clusters into 3, 4, 6, 8, ... clusters, up to half the number of fine clusters, so that the votes cover all
    scales; a mixture most of whose components have no cells stands for those with more. Both methods weight a fine
    cluster by its number of cells and account for the variance within it; time does not depend on the number of cells
    otherwise.

    Parameters
    ----------
    spaces
        Arrays ``(n_cells, n_dims)`` with the same cells in the same order.
    fine
        Fine cluster of each cell, 0 to n_fine - 1.
    random_state
        Seed of the mixtures.

    Returns
    -------
    Cluster of each fine cluster in each partition, ``(n_votes, n_fine)`` int32.

    References
    ----------
    Fred and Jain (2005), Combining multiple clusterings using evidence accumulation.
    """
    sizes = np.bincount(fine)
    numbers = _numbers(len(sizes))
    seeds = np.array(spawn_seeds(random_state, len(spaces) * len(numbers))).reshape(len(spaces), -1).tolist()
    with known_warnings_ignored.held(), worker_threads() as pool:
        votes = pool.map(partial(_votes_of_space, fine, sizes, numbers), spaces, seeds)
        return np.concatenate(list(votes))


def _votes_of_space(
    fine: np.ndarray, sizes: np.ndarray, numbers: Sequence[int], points: np.ndarray, seeds: Sequence[int]
) -> np.ndarray:
    votes = _ward_votes(whitened(points, fine), fine, numbers)
    centered = points - points.mean(axis=0)
    means = cluster_means(centered, fine)
    scatter = np.asarray(centered.T @ centered, dtype=np.float64)
    full = True
    for number, seed in zip(numbers, seeds, strict=True):
        # where there are many more components than kinds of cells, most lie on others and have no cells: with more of
        # them, the mixture would be of the same kinds
        votes.append(mixture_of_means(means, sizes, scatter, number, seed) if full else votes[-1])
        full = full and number <= _SPARE * len(np.unique(votes[-1]))
    return np.array(votes, dtype=np.int32).reshape(-1, len(sizes))


@njit(cache=True)
def separations(votes: np.ndarray) -> np.ndarray:  # pragma: no cover
    """Share of the votes that separate two fine clusters, ``(n_fine, n_fine)``; `votes` is ``(n_votes, n_fine)``."""
    n_votes, n_fine = votes.shape
    votes = votes.T.copy()
    distance = np.zeros((n_fine, n_fine))
    for first in range(n_fine):
        for second in range(first):
            n_apart = 0
            for vote in range(n_votes):
                n_apart += votes[first, vote] != votes[second, vote]
            distance[first, second] = distance[second, first] = n_apart / n_votes
    return distance


def mean_separations(votes: np.ndarray, sizes: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Share of the votes that separate two cells of two groups of fine clusters, on average over the cells.

    Parameters
    ----------
    votes
        ``(n_votes, n_fine)`` int.
    sizes
        Number of cells of each fine cluster, ``(n_fine,)``.
    group
        Group of each fine cluster, 0 to n_groups - 1.

    Returns
    -------
    ``(n_groups, n_groups)``.
    """
    weight = sizes / np.bincount(group, sizes)[group]
    n_groups = int(group.max()) + 1
    together = np.zeros((n_groups, n_groups))
    for vote in votes:
        share = sparse.csr_matrix((weight, (group, vote)), shape=(n_groups, int(vote.max()) + 1))
        together += (share @ share.T).toarray()
    return 1 - together / len(votes)


def _numbers(n_fine: int) -> list[int]:
    """Numbers of clusters of the votes, in a geometric series."""
    series = 3 * _STEP ** np.arange(60)
    return [int(each) for each in np.unique(np.rint(series[series <= n_fine / 2]))] or [min(2, n_fine)]


def _ward_votes(points: np.ndarray, fine: np.ndarray, numbers: Sequence[int]) -> list[np.ndarray]:
    merges = ward_merges(points, fine)
    n_fine = len(merges.kept) + 1
    votes, label = [], np.arange(n_fine)
    wanted = set(numbers)
    for left, (kept, gone) in zip(range(n_fine - 1, 0, -1), zip(merges.kept, merges.gone, strict=True), strict=True):
        label[label == gone] = kept
        if left in wanted:
            votes.append(label.copy())
    return votes


def mixture_of_means(
    means: np.ndarray, sizes: np.ndarray, scatter: np.ndarray, n_clusters: int, seed: int
) -> np.ndarray:
    r"""Gaussian mixture with a shared covariance, fitted to clusters of cells instead of cells.

    The quadratic term of the log-density is the same for all components, so that the E-step needs the means
    alone and the cells of a fine cluster have the same responsibilities. The M-step is
    :math:`\Sigma = (S - \sum_k n_k \mu_k \mu_k^\top) / N` with the scatter S of all cells.

    Parameters
    ----------
    means
        Mean of each fine cluster, ``(n_fine, n_dims)``.
    sizes
        Number of cells of each, ``(n_fine,)``.
    scatter
        S, the sum of the outer products of the cells, ``(n_dims, n_dims)``.
    n_clusters
        Number of components, at most n_fine.
    seed
        Seed of the K-means clustering that initialises the mixture.

    Returns
    -------
    Component of each fine cluster, ``(n_fine,)`` int.
    """
    weights = sizes.astype(np.float64)
    n_cells, weighted = weights.sum(), means * weights[:, None]
    start = KMeans(n_clusters, n_init=1, random_state=seed).fit(means, sample_weight=weights).labels_
    # numbers of cells and sums of the components
    total: np.ndarray = np.bincount(start, weights, n_clusters)
    sums = np.column_stack([np.bincount(start, values, n_clusters) for values in weighted.T])
    # keeps the covariance of identical cells invertible
    ridge = 1e-4 * max(float(np.trace(scatter)) / scatter.shape[0] / n_cells, 1e-6) * np.eye(len(scatter))
    size = max(1, _BLOCK // n_clusters)
    blocks = [slice(first, first + size) for first in range(0, len(means), size)]
    likelihood = -np.inf
    for _ in range(_MAX_ITER):
        total += 10 * np.finfo(float).eps
        center = sums / total[:, None]
        covariance = (scatter - (center.T * total) @ center) / n_cells + ridge
        factor = linalg.cho_factor(covariance, lower=True)
        slope = linalg.cho_solve(factor, center.T)
        offset = np.log(total / n_cells) - 0.5 * (center.T * slope).sum(axis=0)
        before, likelihood = likelihood, 0.0
        total, sums = np.zeros_like(total), np.zeros_like(sums)
        for rows in blocks:
            share = means[rows] @ slope
            share += offset
            top = share.max(axis=1, keepdims=True)
            np.exp(np.subtract(share, top, out=share), out=share)
            normalizer = share.sum(axis=1, keepdims=True)
            share /= normalizer
            total += weights[rows] @ share
            sums += share.T @ weighted[rows]
            likelihood += float(weights[rows] @ (top + np.log(normalizer))[:, 0]) / n_cells
        likelihood -= np.log(factor[0].diagonal()).sum() + 0.5 * np.trace(linalg.cho_solve(factor, scatter)) / n_cells
        if abs(likelihood - before) < _TOLERANCE:
            break
    return np.concatenate([(means[rows] @ slope + offset).argmax(axis=1) for rows in blocks])
