"""Consensus clustering: many partitions vote, and average linkage combines them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from scipy import sparse
from sklearn.cluster import KMeans, MiniBatchKMeans, kmeans_plusplus

from scclu._process import known_warnings_ignored
from scclu._rng import child_seed, spawn_seeds
from scclu.cluster.kmeans import limit_worker, one_thread
from scclu.cluster.mixture import tied_mixture
from scclu.data.components import fit_pca

_GROUPS = 300
_POWERS = (0.25, 0.5, 0.75)
_DIMENSIONS = (12, 15, 20)
_KMEANS_POWERS = (0.0, 0.25)
# partitions into fewer than K clusters are less likely to split a dominant cell type
_SHARES_OF_K = (0.7, 1.0)
# fraction of the votes that is kept; the votes that agree least with the others are discarded
_KEPT = 0.6
# exponent by which large branches of the tree are cut later
_TEMPER = 0.2


def consensus(
    embedding: np.ndarray,
    n_clusters: int,
    *,
    random_state: int,
    n_hidden: int | None = None,
    others: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Consensus of Gaussian mixtures and K-means.

    No single clustering is right for all data: K-means splits a dominant cell type, mixtures with one covariance follow
    elongated types, and the scaling of rows determines the influence of cells far from the origin. For each
    representation, nine mixtures with a shared covariance (three row scalings times three numbers of principal
    components) and two K-means vote, each with K clusters and with 0.7 K (rounded up). The two fifths of the votes with
    the lowest mean adjusted Rand index to all votes are discarded. Cells with similar votes form at most 300 groups,
    and average linkage on the fraction of votes that two groups have in common (co-association) gives a tree. The tree
    is cut from its root into `n_clusters`, at each step where the height times the number of cells to the power of -0.2
    is largest, and never into single cells. Time and memory are linear in the number of cells.

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``; cells in random order.
    n_clusters
        Number of clusters.
    random_state
        Random seed.
    n_hidden
        Number of leading columns that are not scaled. The others are scaled by rows as x / ||x||^power before
        clustering; ``None`` scales all columns.
    others
        Further representations of the same cells, ``(n_cells, n_dims)`` each; all their columns are scaled.

    Returns
    -------
    Labels ``(n_cells,)`` int.
    """
    representations = [(embedding, n_hidden or 0), *((other, 0) for other in others)]
    numbers = [math.ceil(share * n_clusters) for share in _SHARES_OF_K]
    # None as number of dimensions stands for K-means
    kinds = [*itertools.product(_POWERS, _DIMENSIONS), *((power, None) for power in _KMEANS_POWERS)]
    cast = list(itertools.product(representations, numbers, kinds))
    seeds = spawn_seeds(child_seed(random_state, "votes"), len(cast))
    # one vote is too small for several threads, so a few votes run at the same time
    pool = ThreadPoolExecutor(min(4, torch.get_num_threads()), initializer=limit_worker)
    with one_thread(), known_warnings_ignored.held(), pool:
        votes = np.column_stack([*pool.map(_vote, cast, seeds)])
        return _join(votes, n_clusters, child_seed(random_state, "groups"))


def _vote(cast: tuple[tuple[np.ndarray, int], int, tuple[float, int | None]], seed: int) -> np.ndarray:
    (embedding, n_hidden), n_clusters, (power, n_dims) = cast
    scaled = scale_rows(embedding, power, n_hidden)
    # numpy's error state belongs to the thread; equal cells have no variance to divide by
    with np.errstate(invalid="ignore"):
        if n_dims:
            return _mixture(scaled, n_clusters, n_dims, seed)
        return KMeans(n_clusters, n_init=3, random_state=seed).fit_predict(scaled)


def scale_rows(embedding: np.ndarray, power: float, n_hidden: int) -> np.ndarray:
    """Divide the columns from `n_hidden` on by their row norm to a power, keeping their mean squared row norm."""
    block = embedding[:, n_hidden:]
    norm = np.linalg.norm(block, axis=1, keepdims=True)
    scaled = block / np.maximum(norm, 1e-9) ** power
    ratio = np.sqrt((block**2).sum() / max(float((scaled**2).sum()), 1e-30))
    return np.hstack((embedding[:, :n_hidden], scaled * ratio))


def _mixture(values: np.ndarray, n_clusters: int, n_dims: int, seed: int) -> np.ndarray:
    """Assignment by a Gaussian mixture with one covariance, on principal components."""
    components = fit_pca(values, n_dims, seed).transform(values).astype(np.float64)
    return tied_mixture(components, components, n_clusters, seed)


def _join(votes: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """Average linkage on the co-association of groups of cells with similar votes."""
    agreement = _agreement(_one_hot(votes), votes.shape[1])
    votes = votes[:, np.sort(np.argsort(-agreement, kind="stable")[: max(1, round(_KEPT * votes.shape[1]))])]
    n_cells, n_votes = votes.shape
    _, group = np.unique(votes, axis=0, return_inverse=True)
    one_hot = _one_hot(votes)
    if group.max() >= _GROUPS:
        model = MiniBatchKMeans(_GROUPS, init=_start, random_state=seed, n_init=1, batch_size=1024)
        group = model.fit_predict(one_hot)
    _, group, sizes = np.unique(group, return_inverse=True, return_counts=True)
    member = sparse.csr_matrix((np.ones(n_cells), (group, np.arange(n_cells))), shape=(len(sizes), n_cells))
    share = (member @ one_hot).toarray() / sizes[:, None]
    return average_linkage(1 - share @ share.T / n_votes, sizes, n_clusters)[group]


def _start(one_hot: sparse.csr_matrix, n_groups: int, random_state: np.random.RandomState) -> np.ndarray:
    # scikit-learn's k-means++ would convert float32 to float64 for each centroid
    return kmeans_plusplus(one_hot.astype(np.float64), n_groups, random_state=random_state)[0]


def _one_hot(votes: np.ndarray) -> sparse.csr_matrix:
    """Votes ``(n_cells, n_votes)`` as indicators ``(n_cells, n_votes * K)``, a block of K columns for each vote."""
    n_cells, n_votes = votes.shape
    width = int(votes.max()) + 1
    columns = votes + np.arange(n_votes) * width
    return sparse.csr_matrix(
        (np.ones(votes.size, np.float32), columns.ravel(), np.arange(0, votes.size + 1, n_votes)),
        shape=(n_cells, n_votes * width),
    )


def _agreement(one_hot: sparse.csr_matrix, n_votes: int) -> np.ndarray:
    """Mean adjusted Rand index of each vote with all votes, ``(n_votes,)``."""
    n_cells = one_hot.shape[0]
    # the contingency tables of all pairs of votes are blocks of one product
    tables = (
        (one_hot.T @ one_hot).toarray().astype(np.float64).reshape(n_votes, -1, n_votes, one_hot.shape[1] // n_votes)
    )
    together = ((tables**2).sum((1, 3)) - n_cells) / 2
    own = together.diagonal()
    expected = np.outer(own, own) / max(n_cells * (n_cells - 1) / 2, 1)
    highest = (own[:, None] + own) / 2
    # votes that each put all cells in one cluster agree
    index = np.where(highest > expected, (together - expected) / np.maximum(highest - expected, 1e-12), 1.0)
    return index.mean(1)


def average_linkage(distance: np.ndarray, sizes: np.ndarray, n_clusters: int) -> np.ndarray:
    """Average linkage of groups that stand for `sizes` cells each, cut into `n_clusters` of two cells or more.

    The tree is cut from its root down where h W^-0.2 is largest; h is the mean distance between the two sides of a node
    and W its number of cells. Votes split a dominant cell type in different places, so that its parts are far apart,
    whereas they rarely split a small type. With h alone, the former would be split before the latter is separated. A
    single outlying cell would be cut off first; it is assigned to the nearest cluster instead. If there are too few
    groups for that, single cells count as clusters.

    Parameters
    ----------
    distance
        Mean distance between the cells of two groups, ``(n_groups, n_groups)``.
    sizes
        Cells in each group, ``(n_groups,)``.
    n_clusters
        How many to make.

    Returns
    -------
    Cluster of each group, ``(n_groups,)`` int.
    """
    tree = _Tree(distance, sizes)
    for smallest in (2, 1):
        labels = tree.cut(n_clusters, smallest)
        if labels.max() == n_clusters - 1:
            break
    member = (labels[:, None] == np.arange(labels.max() + 1)) * sizes[:, None]
    nearest = (distance @ member / member.sum(axis=0)).argmin(axis=1)
    return np.where(labels < 0, nearest, labels)


class _Tree:
    """Tree of average linkage: the leaves are the groups, the other nodes the merges, and the last node is the root."""

    def __init__(self, distance: np.ndarray, sizes: np.ndarray) -> None:
        self.n_leaves = len(sizes)
        self.weight = sizes.astype(float).tolist()
        self.height = [0.0] * self.n_leaves
        self.sides: list[tuple[int, ...]] = [()] * self.n_leaves
        between = distance.astype(np.float64)
        np.fill_diagonal(between, np.inf)
        node = np.arange(self.n_leaves)
        for _ in range(self.n_leaves - 1):
            i, j = np.unravel_index(between.argmin(), between.shape)
            sides = sorted((int(node[i]), int(node[j])), key=self.weight.__getitem__)
            weight = self.weight[node[i]], self.weight[node[j]]
            self.height.append(float(between[i, j]))
            self.weight.append(sum(weight))
            self.sides.append(tuple(sides))
            between[i] = between[:, i] = (weight[0] * between[i] + weight[1] * between[j]) / sum(weight)
            between[i, i] = np.inf
            between[j] = between[:, j] = np.inf
            node[i] = len(self.sides) - 1

    def cut(self, n_clusters: int, smallest: int) -> np.ndarray:
        """Labels of the leaves; -1 for branches of fewer than `smallest` cells. May return fewer than `n_clusters`."""
        labels = np.zeros(self.n_leaves, int)
        forks = self._fork(len(self.sides) - 1, 0, smallest)
        for new in range(1, n_clusters):
            if not forks:
                break
            _, fork, old = first = max(forks)
            forks.remove(first)
            lesser, greater = self.sides[fork]
            labels[labels == old] = -1
            labels[self._leaves(greater)] = old
            labels[self._leaves(lesser)] = new
            forks += self._fork(greater, old, smallest) + self._fork(lesser, new, smallest)
        return labels

    def _fork(self, node: int, label: int, smallest: int) -> list[tuple[float, int, int]]:
        """Next cut of cluster `label` with its priority; empty if it cannot be cut."""
        while self.sides[node]:
            lesser, greater = self.sides[node]
            if self.weight[lesser] >= smallest:
                return [(self.height[node] * self.weight[node] ** -_TEMPER, node, label)]
            node = greater
        return []

    def _leaves(self, node: int) -> list[int]:
        nodes = [node]
        for each in nodes:
            nodes += self.sides[each]
        return [each for each in nodes if each < self.n_leaves]
