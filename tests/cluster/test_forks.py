from __future__ import annotations

import numpy as np

from scclu.cluster.forks import branches_of, forks_between
from scclu.cluster.tree import MergeTree

TREE = MergeTree(
    np.array([[2, 3], [1, 4], [0, 5]]),
    np.array([1.2, 1.5, 2.0]),
    np.array([5, 8, 14]),
    np.array([0.01, np.nan, 0.3]),
    np.eye(4, dtype=np.float32),
)
FINE = np.repeat([0, 1, 2, 3], [6, 3, 3, 2])


def test_clusters_that_are_branches():
    branches = branches_of(TREE, FINE, np.array([0, 2, 1, 1])[FINE])
    assert branches == {0: 0, 1: 2, 4: 1}
    first, second = forks_between(TREE, branches)
    assert (first.number, first.first, first.second, first.height, first.p) == (1, (0,), (2, 1), 2.0, 0.3)
    assert (second.number, second.first, second.second, second.height) == (2, (2,), (1,), 1.5)


def test_some_cells_of_other_branches():
    clusters = np.array([0, 2, 1, 1])[FINE]
    clusters[[0, 8]] = 1
    assert branches_of(TREE, FINE, clusters) == {0: 0, 1: 2, 4: 1}


def test_a_branch_without_a_cluster_is_left_out():
    """A head gave the cells of fine cluster 1 to cluster 0, and divided the next branch to have three clusters."""
    branches = branches_of(TREE, FINE, np.array([0, 0, 1, 2])[FINE])
    assert branches == {0: 0, 2: 1, 3: 2}
    assert [(fork.number, fork.first, fork.second) for fork in forks_between(TREE, branches)] == [
        (1, (0,), (1, 2)),
        (3, (1,), (2,)),
    ]


def test_one_cluster():
    branches = branches_of(TREE, FINE, np.zeros(len(FINE), dtype=int))
    assert branches == {6: 0} and forks_between(TREE, branches) == []
