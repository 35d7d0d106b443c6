"""Models that correct for batches, through the tools."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

import scclu
from conftest import simulated_counts
from shared_checks import snapshot

METHODS = {"cicl": {"max_epochs": 2}, "scsiameseclu": {"max_epochs": 2, "zinb_weight": 0}}


def cells(n_cells=400, n_genes=150, strength=1.5, seed=0):
    """Three types in two batches, the second of which has other levels of a third of the genes."""
    adata = simulated_counts(n_cells, n_genes)
    rng = np.random.default_rng(seed)
    batch = rng.integers(0, 2, n_cells)
    factor = np.exp(strength * rng.standard_normal(n_genes) * (rng.random(n_genes) < 0.33))
    counts = adata.X.toarray() * np.where(batch[:, None] == 1, factor, 1.0)
    adata = ad.AnnData(rng.poisson(counts).astype(np.float32), obs=adata.obs)
    adata.obs["donor"] = np.array(["A/1", "B"])[batch]
    return adata


@pytest.fixture(scope="module", params=METHODS)
def trained(request):
    adata = cells()
    tool, arguments = getattr(scclu.tl, request.param), METHODS[request.param]
    model = tool(adata, batch_key="donor", accelerator="cpu", return_model=True, **arguments)
    return request.param, adata, model


def test_batches_do_not_become_clusters(trained):
    method, adata, _ = trained
    without = cells()
    getattr(scclu.tl, method)(without, accelerator="cpu", **METHODS[method])
    scores = [adjusted_rand_score(each.obs["type"], each.obs[method]) for each in (without, adata)]
    assert scores[1] > 0.9 and scores[1] > scores[0] + 0.1
    about = adata.uns[method]["batches"]
    assert list(about["batches"]) == ["A/1", "B"] and not about["table"]["one_batch"].any()
    assert "batches" not in without.uns[method]
    counts = pd.crosstab(adata.obs[method], adata.obs["donor"])
    np.testing.assert_array_equal(counts.to_numpy(), about["counts"])


def test_training_and_new_cells_have_one_rule(trained, tmp_path):
    method, adata, model = trained
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model")
    new = adata[::2].copy()
    np.testing.assert_allclose(loaded.get_latent_representation(new), model.get_latent_representation(new), atol=1e-5)
    same = (loaded.predict(new) == adata.obs[method].astype(int)[::2]).mean()
    assert same == 1 if method == "cicl" else same > 0.95
    again = type(model).load(tmp_path / "model", adata[::-1].copy())
    np.testing.assert_array_equal(again.predict(), adata.obs[method].astype(int)[::-1])


def test_a_batch_never_seen(trained):
    method, adata, model = trained
    new = adata[:50].copy()
    new.obs["donor"] = "C"
    before = snapshot(new)
    with pytest.raises(ValueError, match=r"do not have: 'C'. Pass transform_batch="):
        scclu.tl.map_cells(new, model)
    del new.obs["donor"]
    with pytest.raises(ValueError, match=r"have no obs\['donor'\]"):
        model.predict(new)
    with pytest.raises(ValueError, match=r"transform_batch must be one of 'A/1', 'B'"):
        scclu.tl.map_cells(new, model, transform_batch="C")
    new.obs["donor"] = "C"
    assert snapshot(new) == before
    scclu.tl.map_cells(new, model, transform_batch="B")
    as_b = adata[:50].copy()
    as_b.obs["donor"] = "B"
    np.testing.assert_array_equal(new.obsm[f"X_{method}"], model.get_latent_representation(as_b))


def test_results_survive_a_file_and_are_plotted(trained, tmp_path):
    method, adata, _ = trained
    adata.write_h5ad(tmp_path / "cells.h5ad")
    read = ad.read_h5ad(tmp_path / "cells.h5ad")
    tables = (each.uns[method]["batches"]["table"] for each in (read, adata))
    pd.testing.assert_frame_equal(*tables, check_dtype=False)
    axes = scclu.pl.batches(read, method, show=False)
    widths = [bar.get_width() for bars in axes.containers for bar in bars]
    assert sum(widths) == pytest.approx(1 + read.obs[method].nunique())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("column", "error", "match"),
    [
        (None, ValueError, "batch_key must be a column"),
        (np.where(np.arange(400) < 3, None, "a"), ValueError, "3 missing values"),
        (np.linspace(0, 1, 400), TypeError, "real numbers"),
        ([f"cell{i}" for i in range(400)], ValueError, "400 batches for 400 cells"),
    ],
)
def test_bad_batches(method, column, error, match):
    adata = cells()
    if column is not None:
        adata.obs["plate"] = column
    before = snapshot(adata)
    with pytest.raises(error, match=match):
        getattr(scclu.tl, method)(adata, 3, batch_key="plate", **METHODS[method])
    assert snapshot(adata) == before


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "column",
    [
        np.zeros(400, int),
        np.where(np.arange(400) == 7, "alone", "rest"),
        np.arange(400) % 100,
        pd.Categorical(np.where(np.arange(400) < 20, 2, 1), categories=[3, 2, 1]),
    ],
    ids=["one", "one cell", "hundred", "numbers"],
)
def test_unusual_batches(method, column):
    adata = cells()
    adata.obs["plate"] = column
    getattr(scclu.tl, method)(adata, 3, batch_key="plate", accelerator="cpu", **METHODS[method])
    assert np.isfinite(adata.obsm[f"X_{method}"]).all()
    assert ("batches" in adata.uns[method]) == (adata.obs["plate"].nunique() > 1)


def test_a_batch_that_is_the_type():
    """Nothing can be told apart, but nothing fails, and the table says it."""
    adata = cells(strength=0.0)
    adata.obs["donor"] = adata.obs["type"].astype(str)
    scclu.tl.cicl(adata, 3, batch_key="donor", max_epochs=2, accelerator="cpu")
    assert adata.uns["cicl"]["batches"]["counts"].sum() == adata.n_obs


def test_order_of_cells_does_not_matter():
    adata = cells()
    order = np.random.default_rng(1).permutation(adata.n_obs)
    other = adata[order].copy()
    for each in (adata, other):
        scclu.tl.cicl(each, 3, batch_key="donor", max_epochs=2, accelerator="cpu")
    assert (adata.obs["cicl"].iloc[order] == other.obs["cicl"]).all()
