from __future__ import annotations

import numpy as np
import pytest

from scclu.cluster.split_test import (
    cross_fitted_scores,
    dip_p_value,
    log_concave_separation,
    separation_p_value,
    split_p_value,
)


def halves(cells: np.ndarray, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Cells cut in two along the first dimension, as a clustering of one cell type would."""
    low = cells[:, 0] <= np.quantile(cells[:, 0], share)
    return cells[low], cells[~low]


@pytest.mark.parametrize("n_cells", [40, 200, 2000])
def test_parts_of_one_population_are_rarely_distinct(n_cells):
    rng = np.random.default_rng(0)
    p = [split_p_value(*halves(rng.standard_normal((n_cells, 10)))) for _ in range(60)]
    assert np.mean(np.array(p) < 0.05) <= 0.1


@pytest.mark.parametrize("sizes", [(15, 15), (12, 300), (200, 200), (40, 2000)])
def test_distant_populations_are_distinct(sizes):
    rng = np.random.default_rng(0)
    first, second = (rng.standard_normal((n, 10)) for n in sizes)
    second[:, 0] += 8
    assert split_p_value(first, second) < 0.01


def test_too_few_cells_are_not_distinct():
    assert split_p_value(np.zeros((2, 3)), np.ones((50, 3))) == 1.0


def test_scores_do_not_use_the_cell_itself():
    """A direction found on noise separates the cells that it was fitted to, but not others."""
    rng = np.random.default_rng(0)
    scores = cross_fitted_scores(rng.standard_normal((30, 40)), rng.standard_normal((30, 40)))
    assert scores is not None
    first, second = scores
    pooled = np.sqrt((first.var() + second.var()) / 2)
    assert abs(second.mean() - first.mean()) / pooled < 1


def test_scores_of_the_means_are_zero_and_one():
    rng = np.random.default_rng(0)
    scores = cross_fitted_scores(rng.standard_normal((500, 3)), rng.standard_normal((500, 3)) + 5)
    assert scores is not None
    np.testing.assert_allclose([each.mean() for each in scores], [0, 1], atol=0.02)


def test_dip_ignores_the_far_cells_of_the_larger_cluster():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 0.1, 60), rng.normal(1, 0.1, 5000)
    assert dip_p_value(first, second) < 0.05
    assert dip_p_value(1 - second, 1 - first) == dip_p_value(first, second)


@pytest.mark.parametrize(("share", "expected"), [(0.5, np.sqrt(12)), (0.01, None)])
def test_largest_separation_of_one_mode(share, expected):
    """A uniform density cut in the middle: its halves are 1/2 apart and have the variance 1/48 each."""
    if expected is not None:
        assert log_concave_separation(share) == pytest.approx(expected)
    assert log_concave_separation(share) == pytest.approx(log_concave_separation(1 - share))
    rng = np.random.default_rng(0)
    for values in (rng.standard_normal(200_000), rng.random(200_000), rng.exponential(size=200_000)):
        for cut in (np.quantile(values, share), np.quantile(values, 1 - share)):
            low, high = values[values <= cut], values[values > cut]
            pooled = np.sqrt((low.var() * len(low) + high.var() * len(high)) / len(values))
            assert (high.mean() - low.mean()) / pooled < log_concave_separation(share) * 1.05


def test_separation_by_hand():
    """A difference equal to the largest has the p-value one half."""
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal(4000), rng.standard_normal(4000)
    first, second = (first - first.mean()) / first.std(), (second - second.mean()) / second.std()
    largest = log_concave_separation(0.5) * np.sqrt(8000 / 7998)
    assert separation_p_value(first, second + largest, (4000, 4000)) == pytest.approx(0.5, abs=0.01)
    assert separation_p_value(first, second + 2 * largest, (4000, 4000)) < 1e-6
