"""Which values are taken as log-normalised expression, and how the others are made."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

from conftest import simulated_counts
from scclu.data.lognorm import log_normalised
from shared_checks import snapshot


def logarithms(adata):
    work = adata.copy()
    sc.pp.normalize_total(work)
    sc.pp.log1p(work)
    return work.X


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def everywhere():
    """Different values in each place: X is scaled, and raw, a layer and the counts can serve."""
    adata = simulated_counts()
    logged = logarithms(adata)
    adata.X = logged * 0.5
    adata.raw = adata.copy()
    adata.layers["twice"] = logged * 2
    adata.X = logged.toarray() - 1
    return adata, logged


@pytest.mark.parametrize(
    ("drop", "source", "factor"),
    [
        ((), "adata.layers['twice']", 2),
        (("twice",), "adata.raw.X", 0.5),
        (("twice", "raw"), "adata.layers['counts'], normalised and logged", 1),
    ],
)
def test_logarithms_are_preferred_to_counts_where_x_is_scaled(drop, source, factor):
    adata, logged = everywhere()
    if "raw" in drop:
        adata.raw = None
    if "twice" in drop:
        del adata.layers["twice"]
    before = snapshot(adata)
    matrix, names, found = log_normalised(adata)
    assert found == source and names.tolist() == adata.var_names.tolist()
    np.testing.assert_allclose(dense(matrix), factor * logged.toarray(), rtol=1e-5)
    assert snapshot(adata) == before


def test_an_explicit_place_is_the_only_one_that_is_read():
    adata, logged = everywhere()
    np.testing.assert_allclose(dense(log_normalised(adata, use_raw=True)[0]), 0.5 * logged.toarray(), rtol=1e-6)
    np.testing.assert_allclose(dense(log_normalised(adata, layer="counts")[0]), logged.toarray(), rtol=1e-5)
    adata.layers["scaled"] = adata.X
    with pytest.raises(ValueError, match=r"adata.layers\['scaled'\] holds scaled values"):
        log_normalised(adata, layer="scaled")
    adata.raw = None
    with pytest.raises(ValueError, match="adata.raw is None"):
        log_normalised(adata, use_raw=True)


def test_scaled_values_alone_are_refused():
    adata, _ = everywhere()
    adata.raw = None
    adata.layers.clear()
    with pytest.raises(ValueError, match=r"Keep the counts in adata.layers\['counts'\]"):
        log_normalised(adata)
