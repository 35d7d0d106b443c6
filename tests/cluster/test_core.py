from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from scclu.cluster.core import cut_cells, tree_clusters
from scclu.cluster.fine import fine_clusters
from scclu.cluster.head import head_of_cut
from scclu.graph.shared_neighbors import shared_neighbor_graph
from scclu.methods._clusters import assigned


def cells_of_types(n_cells: int, n_types: int, distance: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    types = rng.integers(0, n_types, n_cells)
    centers = np.eye(max(n_types, 8))[:n_types] * distance
    return (rng.standard_normal((n_cells, centers.shape[1])) + centers[types]).astype(np.float32), types


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_cells", [150, 1500])
def test_one_type_is_one_cluster(n_cells, seed):
    cells, _ = cells_of_types(n_cells, 1, 0, seed)
    found = tree_clusters([cells], random_state=seed)
    assert found.tree.n_distinct == 1 and (found.labels == 0).all()


@pytest.mark.parametrize("n_types", [2, 7])
def test_distant_types_are_found(n_types):
    cells, types = cells_of_types(1200, n_types, 12)
    found = tree_clusters([cells, cells[:, :6]])
    assert adjusted_rand_score(types, found.labels) > 0.99 and found.tree.n_distinct == n_types


def test_a_rare_type_is_found():
    rng = np.random.default_rng(0)
    cells = rng.standard_normal((4000, 10)).astype(np.float32)
    rare = np.zeros(4000, bool)
    rare[rng.permutation(4000)[:25]] = True
    cells[rare] += 5
    found = tree_clusters([cells])
    assert found.tree.n_distinct == 2 and ((found.labels == 1) == rare).all()


@pytest.mark.parametrize("n_clusters", [1, 2, 9, 60, 300])
def test_a_given_number_is_kept(n_clusters):
    cells, _ = cells_of_types(300, 3, 6)
    found = tree_clusters([cells], n_clusters)
    assert np.unique(found.labels).tolist() == list(range(n_clusters))
    assert (np.diff(np.bincount(found.labels)) <= 0).all()
    np.testing.assert_array_equal(found.labels, cut_cells(found.tree, found.fine, n_clusters))


def test_no_found_cluster_is_smaller_than_allowed():
    cells, types = cells_of_types(400, 5, 15)
    keep = (types > 0) | (np.cumsum(types == 0) <= 12)
    for min_cluster_size in (5, 30):
        found = tree_clusters([cells[keep]], min_cluster_size=min_cluster_size)
        assert np.bincount(found.labels).min() >= min_cluster_size


def test_level_of_the_tests():
    """A smaller alpha cannot find more clusters here, and 0 finds one."""
    cells, _ = cells_of_types(600, 4, 5)
    numbers = [tree_clusters([cells], alpha=alpha).tree.n_distinct for alpha in (0.0, 0.05, 0.5)]
    assert numbers[0] == 1 < numbers[1] <= numbers[2]


def test_seed():
    cells, _ = cells_of_types(500, 5, 4)
    one, again = (tree_clusters([cells], random_state=3) for _ in range(2))
    np.testing.assert_array_equal(one.labels, again.labels)
    np.testing.assert_array_equal(one.tree.p, again.tree.p)


@pytest.mark.parametrize("n_cells", [2, 3, 4, 11])
def test_few_cells(n_cells):
    cells, _ = cells_of_types(n_cells, 1, 0)
    assert (tree_clusters([cells]).labels == 0).all()
    assert len(np.unique(tree_clusters([cells], n_cells).labels)) == n_cells


def test_equal_cells():
    found = tree_clusters([np.ones((50, 3), np.float32)])
    assert found.tree.n_distinct == 1


def test_fine_clusters_are_many_enough():
    cells, _ = cells_of_types(200, 2, 5)
    graph = shared_neighbor_graph([cells])
    for n_least in (1, 40, 200):
        labels = fine_clusters(graph, n_least)
        assert labels.max() + 1 >= n_least and len(np.unique(labels)) == labels.max() + 1


def test_head_reproduces_separated_clusters():
    cells, types = cells_of_types(700, 4, 9)
    found = tree_clusters([cells], 4)
    probability = assigned(head_of_cut(cells, found.tree, found.fine, 4), cells)
    assert adjusted_rand_score(probability.argmax(axis=1), types) > 0.99
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert (np.diff(np.bincount(probability.argmax(axis=1))) <= 0).all()


@pytest.mark.parametrize("n_clusters", [1, 2, 3, 12, 40])
def test_head_has_the_given_number_of_clusters(n_clusters):
    """Also where the clusters are arbitrary parts of one type."""
    cells, _ = cells_of_types(600, 1, 0)
    found = tree_clusters([cells], n_clusters)
    labels = assigned(head_of_cut(cells, found.tree, found.fine, n_clusters), cells).argmax(axis=1)
    assert len(np.unique(labels)) == n_clusters


def test_neighbor_shares_of_fine_clusters():
    cells, types = cells_of_types(600, 2, 5)
    found = tree_clusters([cells])
    shares = found.tree.neighbors
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    type_of_fine = np.array([np.bincount(types[found.fine == each]).argmax() for each in range(len(shares))])
    within = type_of_fine[:, None] == type_of_fine
    assert shares[within].sum() > 0.99 * len(shares) and (shares.diagonal() == shares.max(axis=1)).mean() > 0.8


def test_cells_between_clusters_have_a_low_confidence():
    """Also new cells; the labels are those of the types that were simulated"""
    rng = np.random.default_rng(0)
    types = rng.integers(0, 2, 6000)
    cells = (rng.standard_normal((6000, 5)) + 1.2 * types[:, None]).astype(np.float32)
    found = tree_clusters([cells[:3000]], 2)
    probability = assigned(head_of_cut(cells[:3000], found.tree, found.fine, 2), cells[3000:])
    right = probability.argmax(axis=1) == types[3000:]
    right = right if right.mean() > 0.5 else ~right
    confidence = probability.max(axis=1)
    assert right.mean() > 0.85 and roc_auc_score(right, confidence) > 0.8
    assert abs(confidence.mean() - right.mean()) < 0.1


def test_equal_cells_have_one_label():
    cells = np.repeat(np.random.default_rng(0).standard_normal((20, 4)), 10, axis=0).astype(np.float32)
    found = tree_clusters([cells], 30)
    labels = assigned(head_of_cut(cells, found.tree, found.fine, 30), cells).argmax(axis=1)
    assert all(len(set(labels[start : start + 10])) == 1 for start in range(0, 200, 10))
