from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from scclu.cluster.pair_tests import PairTests, holm
from scclu.cluster.stability import found_again, jaccard_table


def cells(*centers, n=300, n_dims=6, seed=0):
    """Normal cells around centers that differ in the first dimension."""
    rng = np.random.default_rng(seed)
    types = rng.permutation(np.repeat(np.arange(len(centers)), n))
    points = rng.standard_normal((len(types), n_dims))
    points[:, 0] += np.array(centers)[types]
    return points.astype(np.float32), types


def pieces(points, n_pieces):
    return KMeans(n_pieces, n_init=1, random_state=0).fit_predict(points)


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1, 1])


@pytest.mark.parametrize("seed", range(5))
def test_pieces_of_one_population_are_merged(seed):
    points, _ = cells(0.0, n=1000, seed=seed)
    group = PairTests((points,), pieces(points, 8)).merge_until_distinct(0.05)
    assert len(set(group)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_pieces_of_two_populations_are_merged_to_two(seed):
    points, types = cells(0.0, 8.0, seed=seed)
    labels = pieces(points, 8)
    merged = PairTests((points,), labels).merge_until_distinct(0.05)[labels]
    assert len(set(merged)) == 2 and adjusted_rand_score(merged, types) > 0.95


def test_only_neighbours_are_tested():
    points, types = cells(*range(0, 80, 8), n=40)
    pairs = PairTests((points,), types).tested()
    assert (pairs.first < pairs.second).all() and (pairs.p_adjusted >= pairs.p).all()
    tested = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert {(i, i + 1) for i in range(9)} <= tested and (0, 9) not in tested


def test_populations_in_all_batches_are_distinct():
    points, types = cells(0.0, 8.0)
    batch = np.arange(len(types)) % 3
    points[:, 1] += 8 * batch
    assert len(set(PairTests((points,), types, batch).merge_until_distinct(0.05))) == 2


def test_a_difference_of_batches_is_not_one_of_clusters():
    """Two clusters of one population, most cells of each in another batch."""
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 2, 1200)
    labels = np.where(rng.random(1200) < 0.9, batch, 1 - batch)
    points = rng.standard_normal((1200, 4)).astype(np.float32)
    points[:, 0] += 8 * batch
    assert PairTests((points,), labels).tested().p[0] < 0.001
    assert PairTests((points,), labels, batch).tested().p[0] > 0.05


def test_jaccard_by_hand():
    labels, other = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1])
    np.testing.assert_allclose(jaccard_table(labels, other, 3), [[2 / 3, 1 / 5], [0, 2 / 3], [0, 0]])


def test_found_again_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1])
    runs = [(np.array([0, 1, 2, 3]), np.array([0, 0, 1, 1])), (np.array([0, 1, 2]), np.array([0, 0, 0]))]
    found = found_again(labels, runs)
    np.testing.assert_allclose(found.jaccard, [[2 / 3, 1 / 2], [1, np.nan]])
    np.testing.assert_allclose(found.agreement, [1, 1, 1 / 2, 1, np.nan, np.nan])
