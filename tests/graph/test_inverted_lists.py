from __future__ import annotations

import numpy as np
import pytest
import torch

from scclu.graph.inverted_lists import nearest_in_lists
from scclu.graph.knn import nearest_cells


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    rng = np.random.default_rng(0)
    # far from zero, where squares are large
    return (1000 + rng.standard_normal((3000, 8)) + 8 * np.eye(8)[rng.integers(0, 8, 3000)]).astype(np.float32)


def test_most_neighbors_are_found(cells):
    exact, found = nearest_cells(cells, cells, 16), nearest_in_lists(cells, cells, 16, random_state=0)
    assert np.mean([len(np.intersect1d(*rows)) for rows in zip(exact, found, strict=True)]) > 0.95 * 16
    distance = np.linalg.norm(cells[found] - cells[:, None], axis=2)
    assert (np.diff(distance, axis=1) > -1e-3).all()


def test_new_cells(cells):
    found = nearest_in_lists(cells[100:], cells[:100], 5, random_state=0)
    exact = nearest_cells(cells[100:], cells[:100], 5)
    assert np.mean(found[:, 0] == exact[:, 0]) > 0.9
    np.testing.assert_array_equal(nearest_in_lists(cells[100:], cells[:7], 5, random_state=0), found[:7])


def test_threads_do_not_change_the_result(cells, monkeypatch):
    found = [nearest_in_lists(cells, cells, 6, random_state=0)]
    for n_threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=n_threads: n)
        found.append(nearest_in_lists(cells, cells, 6, random_state=0))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("n_neighbors", [3, 200])
def test_equal_cells(n_neighbors):
    """All cells may be in one list, and a list may have fewer cells than are searched for."""
    cells = np.repeat(np.array([[0.0, 0.0], [1.0, 5.0]], np.float32), [190, 10], axis=0)
    found = nearest_in_lists(cells, cells, n_neighbors, random_state=0)
    assert all(len(set(row)) == n_neighbors for row in found.tolist())
    assert (cells[found[:, :3]] == cells[:, None]).all()
