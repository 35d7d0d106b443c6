"""Principal axes from blocks of rows."""

from __future__ import annotations

import numpy as np
import pytest

from scclu.data.components import Covariance, fit_projection, make_projection, principal_axes
from scclu.data.recipe import Recipe


def axes_of(values, n_block):
    blocks = [values[start : start + n_block] for start in range(0, len(values), n_block)]
    return principal_axes(lambda: blocks, values.shape[1], 6)


def test_axes_do_not_depend_on_the_blocks():
    """Not even their signs, which the decomposition of nearly orthogonal columns chooses by rounding."""
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((500, 40)) * np.linspace(9, 1, 40) + 3).astype(np.float32)
    mean, axes = axes_of(values, 500)
    expected = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)[2][:6].T
    np.testing.assert_allclose(mean, values.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(np.abs((axes * expected).sum(axis=0)), 1, atol=0.01)
    for n_block in (7, 50, 130):
        np.testing.assert_allclose(axes_of(rng.permutation(values), n_block)[1], axes, atol=1e-4)
    assert (axes.max(axis=0) == np.abs(axes).max(axis=0)).all()


def test_axes_of_the_covariance_are_those_of_the_passes():
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((500, 40)) * np.linspace(9, 1, 40) + 0.3).astype(np.float32)
    expected = principal_axes(lambda: [values], 40, 6, n_iter=100)
    mean, axes, variances = Covariance.of(np.split(values, 5), 40).axes(6)
    np.testing.assert_allclose(mean, expected[0], atol=1e-5)
    np.testing.assert_allclose(axes, expected[1], atol=1e-3)
    np.testing.assert_allclose(variances, (values @ axes).var(axis=0), rtol=1e-4)


@pytest.mark.parametrize("most_columns", [40, 39])
def test_projection_of_many_cells(most_columns, monkeypatch):
    """By one pass or by several, as by the passes over cells that are kept."""
    rng = np.random.default_rng(0)
    values = np.exp(rng.standard_normal((500, 3)) @ rng.standard_normal((3, 40)) / 2).astype(np.float32)
    recipe, log = Recipe.fit(values, np.arange(40).astype(str), "X", kind="log")
    found = []
    for kept in (10**6, 0):
        monkeypatch.setattr("scclu.data.components._KEPT_VALUES", kept)
        monkeypatch.setattr("scclu.data.components.MOST_COLUMNS", most_columns)
        projection = make_projection(recipe, 3, None, 0.5)
        components = fit_projection(projection, log, 0)
        found.append((projection.axes.numpy(), components.numpy(), projection.temper(components).square().mean()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)
    assert abs(found[0][2] - 1) < 1e-4
