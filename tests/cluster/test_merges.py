from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import adjusted_rand_score

from scclu.cluster.merges import Merges, average_merges, distinct_groups, rows_of_clusters, ward_merges
from scclu.cluster.space import cluster_means, whitened


def cut(merges: Merges, n_leaves: int, n_clusters: int) -> np.ndarray:
    label = np.arange(n_leaves)
    for kept, gone in list(zip(merges.kept, merges.gone, strict=True))[: n_leaves - n_clusters]:
        label[label == gone] = kept
    return label


@pytest.mark.parametrize("n_clusters", [2, 5, 13])
def test_ward_equals_scipy(n_clusters):
    points = np.random.default_rng(0).standard_normal((40, 3))
    expected = fcluster(linkage(points, "ward"), n_clusters, "maxclust")
    assert adjusted_rand_score(cut(ward_merges(points, np.arange(40)), 40, n_clusters), expected) == 1


@pytest.mark.parametrize("n_clusters", [2, 5, 13])
def test_average_linkage_equals_scipy(n_clusters):
    points = np.random.default_rng(0).standard_normal((40, 3))
    expected = fcluster(linkage(pdist(points), "average"), n_clusters, "maxclust")
    merges = average_merges(squareform(pdist(points)), np.ones(40))
    assert adjusted_rand_score(cut(merges, 40, n_clusters), expected) == 1
    assert (np.diff(merges.cost) >= -1e-12).all()


def test_small_clusters_are_merged_first():
    distance = squareform(pdist(np.array([[0.0], [1.0], [100.0], [200.0]])))
    merges = average_merges(distance, np.array([50, 50, 3, 50]), min_cluster_size=10)
    assert 2 in (merges.kept[0], merges.gone[0])


def test_pairs_that_a_test_separates_are_not_merged():
    rng = np.random.default_rng(0)
    fine = np.repeat(np.arange(8), 20)
    points = rng.standard_normal((160, 2)) + 100 * (fine // 4)[:, None]
    calls = []

    def p_value(first, second, sizes):
        calls.append(sizes)
        assert (len(first), len(second)) == tuple(min(size, 25) for size in sizes)
        return float(fine[first[0]] // 4 == fine[second[0]] // 4)

    group = distinct_groups(points, fine, p_value, alpha=0.05, min_cluster_size=10, max_cells=25)
    np.testing.assert_array_equal(group, np.arange(8) // 4)
    assert max(map(max, calls)) == 80


def test_clusters_below_the_smallest_size_are_merged_untested():
    fine = np.repeat([0, 1], [30, 5])

    def p_value(*_):
        raise AssertionError("tested")

    points = np.random.default_rng(0).standard_normal((35, 2))
    assert distinct_groups(points, fine, p_value, alpha=0.05, min_cluster_size=10, max_cells=9).tolist() == [0, 0]


def test_rows_and_means():
    labels = np.array([2, 0, 1, 0, 2])
    assert [rows.tolist() for rows in rows_of_clusters(labels)] == [[1, 3], [2], [0, 4]]
    points = np.arange(10.0).reshape(5, 2)
    np.testing.assert_allclose(
        cluster_means(points, labels), [points[[1, 3]].mean(0), points[2], points[[0, 4]].mean(0)]
    )


def test_covariance_within_clusters_is_spherical_after_whitening():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 3000)
    points = rng.standard_normal((3000, 4)) * [1, 1, 2, 3] + 20.0 * labels[:, None]
    white = whitened(points.astype(np.float32), labels)
    residual = white - cluster_means(white, labels)[labels]
    values = np.linalg.eigvalsh(residual.T @ residual / len(points))
    assert values.max() / values.min() < 2 < np.linalg.cond(np.cov(points.T))
    assert np.isfinite(whitened(np.ones((10, 3), np.float32), np.zeros(10, int))).all()
