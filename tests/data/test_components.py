"""Principal axes from blocks of rows."""

from __future__ import annotations

import numpy as np

from scclu.data.components import covariance_axes, fit_projection, make_projection, principal_axes
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
    mean, axes, variances = covariance_axes(np.split(values, 5), 40, 6)
    np.testing.assert_allclose(mean, expected[0], atol=1e-5)
    np.testing.assert_allclose(axes, expected[1], atol=1e-3)
    np.testing.assert_allclose(variances, (values @ axes).var(axis=0), rtol=1e-4)


def test_ways_to_fit_a_projection_agree(monkeypatch):
    """Passes over cells that are kept, passes over blocks, and the covariance of many cells."""
    rng = np.random.default_rng(0)
    values = np.exp(rng.standard_normal((500, 3)) @ rng.standard_normal((3, 40)) / 2).astype(np.float32)
    recipe, log = Recipe.fit(values, np.arange(40).astype(str), "X", kind="log")
    found = []
    for many, kept in ((500, 10**6), (500, 0), (499, 10**6)):
        monkeypatch.setattr("scclu.data.components._MANY_CELLS", many)
        monkeypatch.setattr("scclu.data.components._KEPT_VALUES", kept)
        projection = make_projection(recipe, 3, None, 0.5)
        components = fit_projection(projection, log, 0)
        assert abs(projection.temper(components).square().mean() - 1) < 1e-4
        found.append((projection.axes.numpy(), components.numpy()))
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-3)
