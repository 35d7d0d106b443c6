"""Representations of the input."""

from __future__ import annotations

import numpy as np
import pytest

from scclu.cluster import representations
from scclu.cluster.representations import input_representations


def representations_of(counts, kind="counts"):
    names = np.array([f"gene{i}" for i in range(counts.shape[1])])
    return input_representations(counts, names, "X", kind=kind, is_representation=False, random_state=0)


@pytest.fixture
def counts():
    """Poisson counts of two types and of a third, rare one, none of whose 20 cells is among the first 100 of 500."""
    rng = np.random.default_rng(0)
    types = np.concatenate((rng.integers(2, size=480), np.full(20, 2)))
    mean = np.full((3, 200), 3.0)
    for one in range(3):
        mean[one, 20 * one : 20 * one + 20] *= 4
    return rng.poisson(mean[types]).astype(np.float32)


def test_axes_are_those_of_more_cells_than_genes_are_chosen_on(counts, monkeypatch):
    monkeypatch.setattr(representations, "CHOICE_CELLS", 100)
    monkeypatch.setattr(representations, "default_components", lambda n_cells: 2)
    separation = []
    for fitted in (500, 100):
        monkeypatch.setattr(representations, "_FITTED_CELLS", fitted)
        for values in representations_of(counts):
            assert values.shape == (500, 2) and abs(np.square(values).mean() - 1) < 1e-3
            rare, other = values[480:], values[:480]
            nearest = np.linalg.norm(rare[:, None] - other, axis=2).min(axis=1)
            separation.append(nearest.mean())
    assert min(separation[:2]) > 2 * max(separation[2:])


def test_scaled_values_of_many_genes(counts, monkeypatch):
    """Their covariance matrix would be too large: axes are fitted in passes over the cells that genes are chosen on."""
    monkeypatch.setattr(representations, "CHOICE_CELLS", 400)
    monkeypatch.setattr(representations, "default_components", lambda n_cells: 1)
    scaled = (counts - counts.mean(axis=0)) / counts.std(axis=0)
    (expected,) = representations_of(scaled, "scaled")
    monkeypatch.setattr(representations, "MOST_COLUMNS", 100)
    monkeypatch.setattr(representations, "_FITTED_CELLS", 0)
    (found,) = representations_of(scaled, "scaled")
    assert found.shape == (500, 1)
    assert abs(np.corrcoef(expected[:, 0], found[:, 0])[0, 1]) > 0.9
