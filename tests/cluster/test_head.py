"""Heads that assign cells to clusters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scclu.cluster.core import tree_clusters
from scclu.cluster.head import head_of_cut


def blobs(sizes, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    cells = 10 * rng.standard_normal((len(sizes), 6))[labels] + rng.standard_normal((len(labels), 6))
    order = rng.permutation(len(labels))
    return cells[order].astype(np.float32), labels[order]


def head(cells, n_clusters):
    found = tree_clusters([cells])
    return head_of_cut(cells, found.tree, found.fine, n_clusters)


@pytest.mark.parametrize("sizes", [[50], [60, 40], [60, 40, 30, 12]])
def test_heads_of_separate_clusters(sizes):
    cells, labels = blobs(sizes)
    q = head(cells, len(sizes))(torch.from_numpy(cells)).numpy()
    assert q.shape == (len(cells), len(sizes))
    np.testing.assert_allclose(q.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(q.argmax(axis=1), labels)


def test_heads_do_not_depend_on_location_and_scale():
    cells, _ = blobs([60, 40, 30])
    found = tree_clusters([cells])
    moved = 100 * cells + 5
    q, of_moved = (
        head_of_cut(points, found.tree, found.fine, 3)(torch.from_numpy(points)) for points in (cells, moved)
    )
    torch.testing.assert_close(of_moved, q, atol=1e-2, rtol=0)


def test_exact_number_of_clusters():
    cells, _ = blobs([60, 40, 30, 25])
    found = tree_clusters([cells])
    for k in range(1, 9):
        fitted = head_of_cut(cells, found.tree, found.fine, k)
        sizes = np.bincount(fitted(torch.from_numpy(cells)).argmax(dim=1).numpy(), minlength=k)
        assert len(sizes) == k and sizes.all() and (np.diff(sizes) <= 0).all()
