"""Tempered Ward merging."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from scclu.cluster.tempered_ward import merge_clusters, tempered_ward


@pytest.mark.parametrize(("temper", "method"), [(1.0, "ward"), (0.0, "centroid")])
def test_ends_are_ward_and_centroid_linkage(temper, method):
    points = np.random.default_rng(0).normal(size=(40, 5))
    merged = merge_clusters(points, np.arange(40), 6, temper=temper)
    assert adjusted_rand_score(merged, fcluster(linkage(points, method), 6, "maxclust")) == 1.0


def test_dominant_type_is_cut_less_than_by_kmeans():
    rng = np.random.default_rng(0)
    sizes, centers = [800, 60, 40, 20], 7 * np.eye(4, 8)
    truth = np.repeat(np.arange(4), sizes)
    cells = centers[truth] + rng.normal(size=(sum(sizes), 8)) * np.where(truth == 0, 2.0, 0.7)[:, None]
    plain = KMeans(4, n_init=10, random_state=0).fit_predict(cells)
    assert adjusted_rand_score(truth, tempered_ward(cells, 4)) > adjusted_rand_score(truth, plain)


@pytest.mark.parametrize("temper", [0.0, 0.3, 0.75, 1.0])
def test_merging_equals_plain_python(temper):
    """Twin of the compiled loop, which computes every cost from the cells at every merge."""
    rng = np.random.default_rng(1)
    points, fine = rng.normal(size=(60, 4)), rng.integers(0, 15, 60)
    clusters = [set(np.flatnonzero(fine == k)) for k in range(15)]

    def cost(a, b):
        square = np.square(points[list(a)].mean(0) - points[list(b)].mean(0)).sum()
        return square * (len(a) * len(b) / (len(a) + len(b))) ** temper

    for n_clusters in range(14, 0, -1):
        pairs = [(cost(a, b), i, i + 1 + j) for i, a in enumerate(clusters) for j, b in enumerate(clusters[i + 1 :])]
        _, i, j = min(pairs)
        clusters[i] |= clusters.pop(j)
        expected = np.empty(60, dtype=int)
        for k, members in enumerate(clusters):
            expected[list(members)] = k
        found = merge_clusters(points, fine, n_clusters, temper=temper)
        assert adjusted_rand_score(found, expected) == 1.0


def test_shuffling_the_cells_shuffles_the_merge():
    rng = np.random.default_rng(0)
    points, fine = rng.normal(size=(200, 5)), rng.integers(0, 20, 200)
    order = rng.permutation(200)
    a, b = merge_clusters(points, fine, 6)[order], merge_clusters(points[order], fine[order], 6)
    assert adjusted_rand_score(a, b) == 1.0


def test_edges():
    points = np.random.default_rng(0).normal(size=(5, 3))
    assert len(set(tempered_ward(points, 5))) == 5
    assert set(tempered_ward(points, 1)) == {0}
    with pytest.raises(ValueError, match="temper"):
        merge_clusters(points, np.arange(5), 2, temper=2.0)
