"""Clusters of cells from a tree of tested merges."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from scclu._process import one_thread
from scclu._rng import child_seed, spawn_seeds
from scclu.cluster.fine import fine_clusters
from scclu.cluster.merges import distinct_groups, rows_of_clusters
from scclu.cluster.numbering import by_size
from scclu.cluster.space import whitened
from scclu.cluster.split_test import split_p_value, split_p_value_in_batches
from scclu.cluster.tree import MergeTree, merge_tree
from scclu.cluster.votes import partition_votes
from scclu.graph.shared_neighbors import shared_neighbor_graph

logger = logging.getLogger(__name__)

ALPHA = 0.05
MIN_CLUSTER_SIZE = 10
# cells of a cluster that a test uses
TESTED_CELLS = 2_000
# repetitions of the steps that depend on the seed; fewer if the cells of all of them were more than _REPEATED_CELLS
_REPETITIONS = 5
_REPEATED_CELLS = 50_000
# leading dimensions of a representation that also take part in the votes by themselves
_LEADING_DIMS = 15


class TreeClusters(NamedTuple):
    """Clusters, and the tree that they are a cut of.

    Attributes
    ----------
    labels
        Cluster of each cell, ``(n_cells,)`` int; 0 is the largest.
    fine
        Fine cluster of each cell, ``(n_cells,)`` int; 0 is the largest.
    tree
        Merges of the fine clusters.
    """

    labels: np.ndarray
    fine: np.ndarray
    tree: MergeTree

    def distinct(self) -> np.ndarray:
        """Clusters that the tests separate, ``(n_cells,)`` int; 0 is the largest."""
        return cut_cells(self.tree, self.fine, self.tree.n_distinct)


class _Groups(NamedTuple):
    """Fine clusters of the cells, the space in which they are compared, and groups of them that tests do not divide."""

    fine: np.ndarray
    points: np.ndarray
    group: np.ndarray


def tree_clusters(
    representations: Sequence[np.ndarray],
    n_clusters: int | None = None,
    *,
    alpha: float = ALPHA,
    min_cluster_size: int = MIN_CLUSTER_SIZE,
    n_repetitions: int | None = None,
    batches: np.ndarray | None = None,
    random_state: int = 0,
) -> TreeClusters:
    """Cluster cells by over-clustering a neighbour graph and merging what a test does not separate.

    1. The shared-nearest-neighbour graphs of the representations are summed, and Leiden at a high resolution finds fine
       clusters.
    2. The pair of clusters that is cheapest by Ward's cost is tested (:func:`split_p_value`) and merged unless its
       p-value is below `alpha`, until all pairs are separated: these clusters are distinct.
    3. Mixtures and Ward's method partition the fine clusters at all scales. Average linkage on the share of partitions
       in which two fine clusters are together gives a tree in which each distinct cluster is a branch.
    4. The tree is cut into `n_clusters`, or into the distinct clusters.

    Clusters are compared in a space in which the covariance within the fine clusters is the identity. Steps 1 and 2
    are repeated with up to five seeds (so that all repetitions process at most 50,000 cells); the result that agrees
    best with the others is used. All cells take part in all steps except for the tests, which use at most 2,000 cells
    of a cluster. Memory is linear in the number of cells N; time is as well, but for the neighbour search (N^1.5).

    Parameters
    ----------
    representations
        Arrays ``(n_cells, n_dims)`` with the same cells in the same, random order; dimensions by decreasing variance.
    n_clusters
        Number of clusters, at most the number of cells; ``None`` uses the number of distinct clusters.
    alpha
        Level of the tests.
    min_cluster_size
        Clusters with fewer cells are merged without a test.
    n_repetitions
        Number of repetitions of steps 1 and 2; ``None`` is as described above.
    batches
        Batch of each cell, ``(n_cells,)`` int; the tests then compare clusters within batches. The representations
        should be corrected for batches already (:class:`~scclu.cluster.batches.BatchCorrection`).
    random_state
        Seed.

    Returns
    -------
    The clusters and the tree.
    """
    representations = [np.ascontiguousarray(values, dtype=np.float32) for values in representations]
    graph = shared_neighbor_graph(representations, random_state=child_seed(random_state, "neighbors"))
    if n_repetitions is None:
        n_repetitions = int(np.clip(_REPEATED_CELLS // graph.shape[0], 1, _REPETITIONS))
    if graph.shape[0] > TESTED_CELLS:
        logger.info("Clusters of more than %d cells are tested on a random sample of that many.", TESTED_CELLS)
    found = [
        _groups(graph, representations, batches, n_clusters or 1, alpha, min_cluster_size, seed)
        for seed in spawn_seeds(child_seed(random_state, "leiden"), n_repetitions)
    ]
    fine, points, group = _most_typical(found)
    neighbors = _neighbor_shares(graph, fine)
    del graph
    spaces = [*representations, *(values[:, :_LEADING_DIMS] for values in representations)]
    votes = partition_votes(spaces, fine, random_state=child_seed(random_state, "votes"))
    members = rows_of_clusters(fine)

    def compare(first: np.ndarray, second: np.ndarray) -> float:
        rows = [np.sort(np.concatenate([members[each] for each in side])) for side in (first, second)]
        tested = [each[:TESTED_CELLS] for each in rows]
        return p_value(points, batches, tested[0], tested[1], (len(rows[0]), len(rows[1])))

    tree = merge_tree(votes, np.bincount(fine), group, neighbors, compare, min_cluster_size=min_cluster_size)
    return TreeClusters(cut_cells(tree, fine, n_clusters or tree.n_distinct), fine, tree)


def cut_cells(tree: MergeTree, fine: np.ndarray, n_clusters: int) -> np.ndarray:
    """Clusters of the cells at a cut of the tree, ``(n_cells,)`` int; 0 is the largest."""
    return by_size(tree.cut(n_clusters)[fine])


def _groups(
    graph: sparse.csr_matrix,
    representations: Sequence[np.ndarray],
    batches: np.ndarray | None,
    n_least: int,
    alpha: float,
    min_cluster_size: int,
    seed: int,
) -> _Groups:
    fine = by_size(fine_clusters(graph, n_least, random_state=seed))
    points = np.hstack([whitened(values, fine) for values in representations])

    # the matrices of a test are so small that threads mostly wait for each other
    with one_thread():
        group = distinct_groups(
            points,
            fine,
            partial(p_value, points, batches),
            alpha=alpha,
            min_cluster_size=min_cluster_size,
            max_cells=TESTED_CELLS,
        )
    return _Groups(fine, points, group)


def p_value(
    points: np.ndarray, batches: np.ndarray | None, first: np.ndarray, second: np.ndarray, sizes: tuple[int, int]
) -> float:
    """Test of two clusters, given by the rows of their cells."""
    cells = points[first], points[second]
    if batches is None:
        return split_p_value(*cells, sizes)
    return split_p_value_in_batches(*cells, (batches[first], batches[second]), sizes)


def _neighbor_shares(graph: sparse.csr_matrix, fine: np.ndarray) -> np.ndarray:
    """Share of the weights of each fine cluster that connect its cells to those of each, ``(n_fine, n_fine)``."""
    members = sparse.csr_matrix((np.ones(len(fine), np.float32), (fine, np.arange(len(fine)))))
    weights = sparse.csr_matrix(members @ graph @ members.T)
    weights.data /= np.repeat(np.asarray(weights.sum(axis=1, dtype=np.float64)), np.diff(weights.indptr))
    return weights.toarray()


def _most_typical(found: Sequence[_Groups]) -> _Groups:
    """The result with the highest mean adjusted Rand index to all results."""
    if len(found) == 1:
        return found[0]
    labels = [each.group[each.fine] for each in found]
    agreement = [np.mean([adjusted_rand_score(one, other) for other in labels]) for one in labels]
    return found[int(np.argmax(agreement))]
