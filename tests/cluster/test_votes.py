from __future__ import annotations

import numpy as np
from sklearn.metrics import adjusted_rand_score

from scclu.cluster.mixture import tied_mixture
from scclu.cluster.votes import co_association, mixture_of_means


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


def test_co_association_separates_types():
    rng = np.random.default_rng(0)
    fine = np.repeat(np.arange(24), 20)
    cells = rng.standard_normal((480, 5)) + 30 * np.eye(5)[np.arange(24) % 4][fine]
    together = co_association([cells.astype(np.float32)], fine, random_state=0)
    same = (np.arange(24) % 4)[:, None] == np.arange(24) % 4
    assert together.shape == (24, 24) and (together == together.T).all() and (np.diag(together) == 1).all()
    assert together[same].min() > together[~same].max()


def test_few_fine_clusters():
    cells = np.random.default_rng(0).standard_normal((10, 2)).astype(np.float32)
    for n_fine in (1, 2, 3):
        together = co_association([cells], np.arange(10) % n_fine, random_state=0)
        assert together.shape == (n_fine, n_fine) and np.isfinite(together).all()
