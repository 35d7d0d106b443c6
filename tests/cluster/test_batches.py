from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from scclu.cluster.batches import BatchCorrection, _ridge_shifts
from scclu.cluster.core import tree_clusters
from scclu.cluster.split_test import split_p_value, split_p_value_in_batches, without_shifts


def cells(n_cells=900, n_types=3, n_batches=2, shift=2.0, seed=0):
    """Types of cells in all batches, which shift each type in another direction."""
    rng = np.random.default_rng(seed)
    types, batches = rng.integers(0, n_types, n_cells), rng.integers(0, n_batches, n_cells)
    centers = 6 * rng.standard_normal((n_types, 8)) / np.sqrt(8) + 4 * np.eye(n_types, 8)
    shifts = shift * rng.standard_normal((n_types, n_batches, 8))
    points = centers[types] + shifts[types, batches] + 0.5 * rng.standard_normal((n_cells, 8))
    return points.astype(np.float32), types, batches


def test_shifts_are_those_of_a_ridge_regression():
    rng = np.random.default_rng(0)
    count, total = rng.uniform(0.1, 50, (3, 4)), rng.standard_normal((3, 4, 5))
    shift = _ridge_shifts(count, total)
    for cluster in range(3):
        n = count[cluster]
        normal = np.block([[n.sum(), n], [n[:, None], np.diag(n + 1)]])
        expected = np.linalg.solve(normal, np.vstack((total[cluster].sum(axis=0), total[cluster])))[1:]
        np.testing.assert_allclose(shift[cluster], expected, atol=1e-10)


def test_types_of_two_batches_become_one_cluster_each():
    points, types, batches = cells()
    before = tree_clusters([points], random_state=0).labels
    corrected = BatchCorrection.fit(points, batches, 2, random_state=0)(points, batches)
    after = tree_clusters([corrected], batches=batches, random_state=0).labels
    assert adjusted_rand_score(types, before) < 0.8 < 0.99 < adjusted_rand_score(types, after)


def test_a_type_of_one_batch_alone_stays():
    points, types, batches = cells(n_types=4, shift=1.0)
    keep = (types != 3) | (batches == 1)
    points, types, batches = points[keep], types[keep], batches[keep]
    corrected = BatchCorrection.fit(points, batches, 2, random_state=0)(points, batches)
    found = tree_clusters([corrected], batches=batches, random_state=0).labels
    assert adjusted_rand_score(types, found) > 0.95


def test_cells_are_corrected_one_by_one():
    points, _, batches = cells()
    correction = BatchCorrection.fit(points[:600], batches[:600], 2, random_state=0)
    some = correction(points[600:700], batches[600:700])
    np.testing.assert_allclose(correction(points, batches)[600:700], some, atol=1e-5)
    order = np.random.default_rng(1).permutation(len(points))
    np.testing.assert_allclose(correction(points[order], batches[order]), correction(points, batches)[order], atol=1e-5)


@pytest.mark.parametrize("sizes", [[1, 400], [20, 20_500], [5] * 100, [1, 1]])
def test_batches_of_any_size(sizes):
    rng = np.random.default_rng(0)
    batches = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = rng.standard_normal((len(batches), 3)).astype(np.float32)
    corrected = BatchCorrection.fit(points, batches, len(sizes), random_state=0)(points, batches)
    assert corrected.shape == points.shape and np.isfinite(corrected).all()


def test_equal_cells_and_zeros():
    points, batches = np.zeros((50, 3), np.float32), np.arange(50) % 2
    np.testing.assert_array_equal(BatchCorrection.fit(points, batches, 2, random_state=0)(points, batches), points)


def test_shifts_within_a_pair_are_removed():
    rng = np.random.default_rng(0)
    shift = np.array([[0.0, 0.0], [5.0, -3.0]])
    batch = rng.integers(0, 2, 400), rng.integers(0, 2, 300)
    first, second = shift[batch[0]], shift[batch[1]] + np.array([1.0, 2.0])
    first, second = without_shifts(first, second, *batch, np.array([0.5, 0.5]))
    np.testing.assert_allclose(first, np.broadcast_to(first[0], first.shape), atol=1e-12)
    np.testing.assert_allclose(second - first[0], np.broadcast_to([1.0, 2.0], second.shape), atol=1e-12)


def test_a_difference_between_batches_is_none_between_clusters():
    rng = np.random.default_rng(0)
    batch = rng.binomial(1, 0.1, 400), rng.binomial(1, 0.9, 400)
    first, second = (rng.standard_normal((400, 3)) + 8 * each[:, None] for each in batch)
    assert split_p_value(first, second) < 0.001
    assert split_p_value_in_batches(first, second, batch) > 0.05
    assert split_p_value_in_batches(first, second + 8, batch) < 0.001
    # without a common batch, nothing can be told apart
    none = np.zeros(400, int), np.ones(400, int)
    assert split_p_value_in_batches(first, second, none) == split_p_value(first, second)
