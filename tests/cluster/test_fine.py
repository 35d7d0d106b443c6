"""Fine clusters of graphs."""

from __future__ import annotations

import numpy as np
import pytest

from scclu.cluster.fine import fine_clusters
from scclu.graph.shared_neighbors import shared_neighbor_graph


@pytest.fixture(scope="module")
def graph():
    return shared_neighbor_graph([np.random.default_rng(0).standard_normal((300, 5)).astype(np.float32)])


@pytest.mark.parametrize("n_least", [1, 120, 300])
def test_enough_fine_clusters(graph, n_least):
    labels = fine_clusters(graph, n_least)
    sizes = np.bincount(labels)
    assert len(labels) == 300 and sizes.all() and len(sizes) >= n_least


def test_sizes(graph):
    assert 4 <= 300 / len(np.bincount(fine_clusters(graph))) <= 60


def test_many_cells_are_put_next_to_their_neighbours(graph, monkeypatch):
    def weight_within(labels):
        member = np.eye(labels.max() + 1)[labels]
        return (member * (graph @ member)).sum()

    expected = fine_clusters(graph)
    monkeypatch.setattr("scclu.cluster.fine._MANY", 100)
    labels = fine_clusters(graph)
    assert not np.array_equal(labels, expected)
    assert weight_within(labels) == pytest.approx(weight_within(expected), rel=0.1)
