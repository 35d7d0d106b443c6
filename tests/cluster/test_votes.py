from __future__ import annotations

import numpy as np
from sklearn.metrics import adjusted_rand_score

from scclu.cluster.mixture import tied_mixture
from scclu.cluster.votes import mean_separations, mixture_of_means, partition_votes, separations


def test_mixture_of_single_cells_is_a_mixture_of_cells():
    rng = np.random.default_rng(0)
    cells = rng.standard_normal((300, 4)) + 6 * np.eye(4)[rng.integers(0, 4, 300)]
    cells -= cells.mean(axis=0)
    found = mixture_of_means(cells, np.ones(300, int), cells.T @ cells, 4, seed=0)
    assert adjusted_rand_score(found, tied_mixture(cells, cells, 4, 0)) > 0.99


def test_mixture_accounts_for_the_variance_within_fine_clusters():
    """Means that differ by less than the cells do along an axis are not divided along it."""
    rng = np.random.default_rng(0)
    fine = np.repeat(np.arange(40), 25)
    center = np.column_stack([np.repeat([-3.0, 3.0], 20), np.tile(np.linspace(-5, 5, 20), 2)])
    cells = center[fine] + rng.standard_normal((1000, 2)) * [0.3, 6.0]
    cells -= cells.mean(axis=0)
    means = np.array([cells[fine == each].mean(axis=0) for each in range(40)])
    found = mixture_of_means(means, np.full(40, 25), cells.T @ cells, 2, seed=0)
    assert adjusted_rand_score(found, np.repeat([0, 1], 20)) == 1


def test_votes_separate_types():
    rng = np.random.default_rng(0)
    fine = np.repeat(np.arange(24), 20)
    cells = rng.standard_normal((480, 5)) + 30 * np.eye(5)[np.arange(24) % 4][fine]
    votes = partition_votes([cells.astype(np.float32)], fine, random_state=0)
    distance = separations(votes)
    same = (np.arange(24) % 4)[:, None] == np.arange(24) % 4
    assert distance.shape == (24, 24) and (distance == distance.T).all() and (np.diag(distance) == 0).all()
    assert distance[same].max() < distance[~same].min()


def test_mean_separations_are_those_of_cells():
    rng = np.random.default_rng(0)
    votes, sizes, group = rng.integers(0, 4, (7, 9)), rng.integers(1, 6, 9), np.arange(9) % 3
    cells = np.repeat(np.arange(9), sizes)
    distance = (votes[:, cells, None] != votes[:, None, cells]).mean(axis=0)
    np.testing.assert_allclose(separations(votes)[np.ix_(cells, cells)], distance)
    for one, other in np.ndindex(3, 3):
        pairs = distance[np.ix_(group[cells] == one, group[cells] == other)]
        assert np.isclose(mean_separations(votes, sizes, group)[one, other], pairs.mean())


def test_few_fine_clusters():
    cells = np.random.default_rng(0).standard_normal((10, 2)).astype(np.float32)
    for n_fine in (1, 2, 3):
        distance = separations(partition_votes([cells], np.arange(10) % n_fine, random_state=0))
        assert distance.shape == (n_fine, n_fine) and np.isfinite(distance).all()


def test_mixture_without_cells_in_most_components_stands_for_larger_ones(monkeypatch):
    rng = np.random.default_rng(0)
    fine = np.repeat(np.arange(200), 10)
    cells = (rng.standard_normal((2000, 4)) + 20 * np.eye(4)[np.arange(200) % 4][fine]).astype(np.float32)
    numbers = []

    def mixture(means, sizes, scatter, n_clusters, seed):
        numbers.append(n_clusters)
        return mixture_of_means(means, sizes, scatter, n_clusters, seed)

    monkeypatch.setattr("scclu.cluster.votes.mixture_of_means", mixture)
    votes = partition_votes([cells], fine, random_state=0)
    by_ward, by_mixtures = np.split(votes, 2)
    last = len(numbers) - 1
    assert [len(set(vote)) for vote in by_ward[::-1]][: last + 1] == numbers
    assert numbers[last] > 4 * len(set(by_mixtures[last])) and len(by_mixtures) > len(numbers)
    assert (by_mixtures[last:] == by_mixtures[last]).all()
