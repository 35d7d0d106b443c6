from __future__ import annotations

import numpy as np

from scclu.graph.shared_neighbors import other_neighbors, shared_neighbor_graph


def test_weights_by_brute_force():
    cells = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    neighbors = other_neighbors(cells, 5)
    lists = [{cell, *row} for cell, row in enumerate(neighbors.tolist())]
    expected = np.zeros((60, 60))
    for cell, row in enumerate(neighbors):
        for other in row:
            weight = len(lists[cell] & lists[other]) / len(lists[cell] | lists[other])
            expected[cell, other] = expected[other, cell] = weight
    found = shared_neighbor_graph([cells], n_neighbors=5)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-6)
    np.testing.assert_allclose(shared_neighbor_graph([cells, cells], n_neighbors=5).toarray(), 2 * expected, rtol=1e-6)


def test_a_cell_is_not_its_own_neighbor():
    """Also among equal cells, where it need not be the first."""
    cells = np.zeros((30, 2), np.float32)
    neighbors = other_neighbors(cells, 4)
    assert neighbors.shape == (30, 4) and (neighbors != np.arange(30)[:, None]).all()


def test_fewer_cells_than_neighbors():
    graph = shared_neighbor_graph([np.arange(6, dtype=np.float32).reshape(3, 2)])
    assert (
        graph.shape == (3, 3) and (graph.diagonal() == 0).all() and (graph.toarray()[~np.eye(3, dtype=bool)] > 0).all()
    )
