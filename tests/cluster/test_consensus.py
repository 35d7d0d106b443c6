from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.cluster import kmeans_plusplus

from scclu.cluster.consensus import consensus
from scclu.cluster.final import by_size, partition
from scclu.cluster.kmeans import kmeans
from scclu.metrics import ari

module = sys.modules["scclu.cluster.consensus"]
final = sys.modules["scclu.cluster.final"]


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    types = rng.choice(4, 600, p=[0.7, 0.2, 0.07, 0.03])
    centres = 8 * rng.standard_normal((4, 10))
    return (centres[types] + rng.standard_normal((600, 10))).astype(np.float32), types


@pytest.mark.parametrize("method", ["consensus", "kmeans"])
def test_finds_blobs_of_very_different_sizes(blobs, method):
    embedding, types = blobs
    labels = partition(embedding, 4, method=method, random_state=0)
    assert ari(types, labels) > (0.99 if method == "consensus" else 0.9)
    assert (np.diff(np.bincount(labels)) <= 0).all()


def test_average_linkage_equals_scipy(monkeypatch):
    monkeypatch.setattr(module, "_TEMPER", 0.0)
    rng = np.random.default_rng(0)
    points = rng.standard_normal((25, 3))
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    mine = module.average_linkage(distance.copy(), np.full(25, 2), 5)
    assert ari(fcluster(linkage(squareform(distance, checks=False), "average"), 5, "maxclust"), mine) == 1


def test_average_linkage_weighs_groups_by_their_cells():
    """A group of three cells is the same as the three cells."""
    points = np.array([[0.0], [0.0], [0.0], [1.0], [2.1], [2.1], [5.0]])
    groups, sizes = np.unique(points, return_counts=True)
    expanded = module.average_linkage(np.abs(points - points.T), np.full(7, 2), 2)
    grouped = module.average_linkage(np.abs(groups[:, None] - groups), 2 * sizes, 2)
    assert ari(expanded, np.repeat(grouped, sizes)) == 1


@pytest.mark.parametrize(
    ("sizes", "n_clusters", "expected"),
    [
        # the cell at 9 is alone, and goes to the nearest cluster
        ([1, 1, 1, 1, 1, 1, 1], 3, [0, 0, 1, 1, 2, 2, 2]),
        # where there are two of it, it is one
        ([1, 1, 1, 1, 1, 1, 2], 3, [0, 0, 0, 0, 1, 1, 2]),
        # cells alone are clusters where there are no others
        ([1, 1, 1, 1, 1, 1, 1], 6, [0, 0, 1, 2, 3, 4, 5]),
        ([1, 1, 1, 1, 1, 1, 1], 1, [0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_average_linkage_makes_no_cluster_of_one_cell(sizes, n_clusters, expected):
    points = np.array([0.0, 0.05, 1.0, 1.1, 2.2, 2.3, 9.0])[:, None]
    labels = module.average_linkage(np.abs(points - points.T), np.array(sizes), n_clusters)
    assert ari(expected, labels) == 1
    assert labels.max() == n_clusters - 1


def test_average_linkage_cuts_a_small_cluster_before_a_large_one():
    """The halves of the large cluster are a little farther apart than those of the small one."""
    points = np.array([0.0, 1.1, 10.0, 11.0])[:, None]
    distance = np.abs(points - points.T)
    assert ari([0, 1, 2, 2], module.average_linkage(distance, np.full(4, 10), 3)) == 1
    assert ari([0, 0, 1, 2], module.average_linkage(distance, np.array([100, 100, 10, 10]), 3)) == 1


def test_more_votes_than_groups(blobs, monkeypatch):
    monkeypatch.setattr(module, "_GROUPS", 5)
    assert ari(blobs[1], consensus(blobs[0], 4, random_state=0)) > 0.9


def test_groups_start_from_the_centroids_of_scikit_learn():
    votes = np.random.default_rng(0).integers(0, 6, (400, 7))
    one_hot = module._one_hot(votes)
    expected, _ = kmeans_plusplus(one_hot, 30, random_state=np.random.RandomState(3))
    np.testing.assert_array_equal(module._start(one_hot, 30, np.random.RandomState(3)), expected)


def test_votes_beside_each_other_are_those_of_one_thread(blobs, monkeypatch):
    embedding = np.random.default_rng(0).standard_normal((300, 10)).astype(np.float32)
    vote, labels = module._vote, []
    for n_threads in (1, 2):
        # 44 votes, in pairs: a vote begins when another does
        together = threading.Barrier(n_threads, timeout=60)
        monkeypatch.setattr(module, "_vote", lambda *cast, together=together: (together.wait(), vote(*cast))[1])
        monkeypatch.setattr(torch, "get_num_threads", lambda n=n_threads: n)
        before = set(threading.enumerate())
        labels.append(consensus(embedding, 4, random_state=0, others=[blobs[0][:300]]))
        assert set(threading.enumerate()) <= before
    np.testing.assert_array_equal(*labels)


def test_a_failing_vote_ends_the_others(blobs, monkeypatch):
    seeds = []

    def fail(_, seed):
        seeds.append(seed)
        if len(seeds) == 1:
            raise MemoryError("no room")
        time.sleep(0.2)

    monkeypatch.setattr(module, "_vote", fail)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    before = set(threading.enumerate())
    with pytest.raises(MemoryError, match="no room"):
        consensus(blobs[0], 4, random_state=0)
    assert set(threading.enumerate()) <= before
    assert len(seeds) < 22


def test_cells_beyond_the_reference(blobs, monkeypatch):
    monkeypatch.setattr(final, "REFERENCE_CELLS", 200)
    assert ari(blobs[1], partition(blobs[0], 4, method="consensus", random_state=0)) > 0.95


def test_identical_cells_are_one_cluster():
    assert consensus(np.ones((50, 5), np.float32), 3, random_state=0).max() == 0


def test_any_seed_of_numpy_works(blobs):
    assert ari(blobs[1], consensus(blobs[0], 4, random_state=2**32 - 1)) > 0.9


def test_scale_rows():
    x = np.array([[1.0, 3.0, 4.0], [2.0, 30.0, 40.0]])
    np.testing.assert_allclose(module.scale_rows(x, 0.0, 1), x)
    unit = module.scale_rows(x, 1.0, 1)
    np.testing.assert_array_equal(unit[:, 0], x[:, 0])
    norms = np.linalg.norm(unit[:, 1:], axis=1)
    assert norms[0] == pytest.approx(norms[1])
    assert (norms**2).sum() == pytest.approx((x[:, 1:] ** 2).sum())


def test_by_size():
    np.testing.assert_array_equal(by_size(np.array([5, 5, 2, 9, 9, 9])), [1, 1, 2, 0, 0, 0])


def test_kmeans_warm_start_keeps_the_order_of_its_centroids():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [10, 0], [0, 10]], dtype=np.float32)
    embedding = (centres[rng.integers(0, 3, 90)] + rng.standard_normal((90, 2))).astype(np.float32)
    _, found = kmeans(embedding, 3, random_state=0, init=centres)
    np.testing.assert_allclose(found, centres, atol=0.6)


def test_other_representations_outvote_a_bad_one(blobs):
    embedding, types = blobs
    noise = np.random.default_rng(1).standard_normal(embedding.shape).astype(np.float32)
    alone = consensus(noise, 4, random_state=0)
    helped = consensus(noise, 4, random_state=0, others=(embedding, embedding))
    assert ari(types, alone) < 0.2
    assert ari(types, helped) > 0.99


def test_agreement_is_the_mean_adjusted_rand_index():
    rng = np.random.default_rng(0)
    votes = rng.integers(0, 4, (200, 6))
    votes[:, 5], votes[:, 3] = votes[:, 4], 0
    expected = [np.mean([ari(one, other) for other in votes.T]) for one in votes.T]
    np.testing.assert_allclose(module._agreement(module._one_hot(votes), 6), expected, atol=1e-12)


def test_the_votes_that_agree_least_are_left_out(blobs, monkeypatch):
    _, types = blobs
    rng = np.random.default_rng(0)
    noise = [rng.permutation(types) for _ in range(2)]
    votes = np.column_stack([types] * 8 + noise)
    seen = []
    monkeypatch.setattr(
        module, "average_linkage", lambda distance, *rest: seen.append(distance) or np.arange(len(distance))
    )
    module._join(votes, 4, 0)
    # with the noise gone, cells of two types have no vote in common
    np.testing.assert_allclose(seen[0], 1 - np.eye(4), atol=1e-6)
