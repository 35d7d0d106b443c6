"""Means of clusters and whitening."""

from __future__ import annotations

import numpy as np

from scclu.cluster.space import cluster_means, whitened

RNG = np.random.default_rng(0)
LABELS = RNG.permutation(np.repeat(np.arange(3), [500, 300, 200]))
CELLS = (RNG.standard_normal((1000, 4)) @ RNG.standard_normal((4, 4)) + 9 * LABELS[:, None]).astype(np.float32)


def test_means():
    expected = [CELLS[LABELS == k].mean(axis=0, dtype=np.float64) for k in range(3)]
    np.testing.assert_allclose(cluster_means(CELLS, LABELS), expected, rtol=1e-6)


def test_covariance_within_clusters_is_close_to_the_identity():
    found = whitened(CELLS, LABELS)
    residual = found - cluster_means(found, LABELS)[LABELS]
    values = np.linalg.eigvalsh(residual.T @ residual / len(CELLS))
    # the shrinkage of a tenth leaves the largest variances slightly above 1, and lowers small ones
    assert found.dtype == np.float32 and values.max() < 1 / 0.9 and values.max() > 0.9


def test_no_variance_within_clusters():
    found = whitened(np.eye(3, dtype=np.float32)[LABELS], LABELS)
    assert np.isfinite(found).all() and len(np.unique(found, axis=0)) == 3
