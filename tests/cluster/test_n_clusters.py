from __future__ import annotations

import numpy as np
import pytest

from scclu.cluster.n_clusters import SAMPLE_CELLS, find_n_clusters, most_clusters


def blobs(n_cells, n_types, n_dims=8, seed=0):
    rng = np.random.default_rng(seed)
    return 10 * np.eye(n_dims)[rng.integers(0, n_types, n_cells)] + rng.standard_normal((n_cells, n_dims))


def test_bounded_by_leiden_or_by_the_user():
    values = blobs(300, 4)
    found = find_n_clusters(values, random_state=0)
    assert found.k == 4 and found.n_cells == 300
    low, high = found.leiden_range
    assert found.table["k"].tolist() == list(range(low, high + 1))
    wide = find_n_clusters(values, random_state=0, k_range=(2, 6))
    assert wide.k == 4 and wide.table["k"].tolist() == [2, 3, 4, 5, 6]
    assert wide.table["silhouette"].idxmax() == 2
    assert find_n_clusters(values, random_state=0, k_range=(2, 3)).k == 3


def test_only_a_sample_of_many_cells_is_read():
    values = blobs(SAMPLE_CELLS + 50, 3)
    values[SAMPLE_CELLS:] = np.nan
    found = find_n_clusters(values, random_state=0)
    assert found.k == 3 and found.n_cells == SAMPLE_CELLS


def test_seeds():
    values = np.random.default_rng(0).standard_normal((100, 5))
    first, second, other = (find_n_clusters(values, random_state=seed, k_range=(2, 4)) for seed in (1, 1, 42))
    assert first.table.equals(second.table) and not first.table.equals(other.table)


@pytest.mark.parametrize("n_cells", [2, 3, 4, 10])
@pytest.mark.parametrize("make", [np.ones, lambda shape: np.random.default_rng(0).standard_normal(shape)])
def test_few_or_equal_cells(n_cells, make):
    found = find_n_clusters(make((n_cells, 3)), random_state=0)
    assert 2 <= found.k <= most_clusters(n_cells)
    assert np.isfinite(found.table.to_numpy()).all()
