from __future__ import annotations

import numpy as np
import pytest

from scclu.cluster.tree import MergeTree, merge_tree


@pytest.fixture
def tree() -> MergeTree:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((30, 2)) + 10 * (np.arange(30) % 3)[:, None]
    votes = np.array([np.floor(points[:, 0] / width) for width in (1, 2, 4, 8)], dtype=int)
    votes -= votes.min()
    sizes = rng.integers(1, 50, 30)
    return merge_tree(votes, sizes, np.arange(30) % 3, np.eye(30), lambda *_: 0.5, min_cluster_size=10)


def test_cuts_are_nested_and_exact(tree):
    before = tree.cut(1)
    assert len(np.unique(before)) == 1
    for n_clusters in range(2, 31):
        now = tree.cut(n_clusters)
        assert len(np.unique(now)) == n_clusters
        assert len({*zip(now, before, strict=True)}) == n_clusters
        before = now


def test_groups_are_branches(tree):
    assert tree.n_distinct == 3
    assert len({*zip(tree.cut(3), np.arange(30) % 3, strict=True)}) == 3


def test_nodes_are_numbered_and_sized_as_in_scipy(tree):
    leaves = {node: {node} for node in range(tree.n_fine)}
    for step, (first, second) in enumerate(tree.children):
        leaves[tree.n_fine + step] = leaves[first] | leaves[second]
    assert leaves[tree.n_fine + len(tree.children) - 1] == set(range(30))
    assert tree.size[-1] == max(tree.size) and tree.size.min() >= 2


def test_heights_ascend_and_tell_distinct_clusters(tree):
    assert (np.diff(tree.height) >= 0).all() and 0 < tree.height[0] and tree.height[-1] == 2
    assert (tree.height > 1).sum() == 2
    # the merges of groups, and the last merge in each group, are tested
    assert np.isfinite(tree.p).sum() == 2 + 3 and np.isfinite(tree.p[-2:]).all()


def test_one_fine_cluster():
    tree = merge_tree(
        np.zeros((1, 1), int), np.array([5]), np.array([0]), np.eye(1), lambda *_: 0.5, min_cluster_size=10
    )
    assert (tree.n_fine, tree.n_distinct) == (1, 1) and tree.cut(1).tolist() == [0]


def test_equal_fine_clusters():
    """Without any distance, the groups are still branches."""
    tree = merge_tree(
        np.zeros((1, 6), int), np.full(6, 20), np.arange(6) // 2, np.eye(6), lambda *_: 0.0, min_cluster_size=1
    )
    assert tree.n_distinct == 3 and len({*zip(tree.cut(3), np.arange(6) // 2, strict=True)}) == 3
