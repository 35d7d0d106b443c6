"""Training cells that a loaded model recognises, and new cells in other units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import scclu
from conftest import QUICK, simulated_counts
from scclu.methods._cells import CellDigests

MODELS = {"CICL": {}, "ScSiameseClu": {"zinb_weight": 0.0}}
every_model = pytest.mark.parametrize("name", MODELS)


def trained(name, adata):
    cls = getattr(scclu.model, name)
    cls.setup_anndata(adata)
    model = cls(adata, 3, **MODELS[name])
    model.train(max_epochs=2, accelerator="cpu", enable_progress_bar=False)
    return model


@every_model
def test_training_cells_in_another_order(name, tmp_path):
    adata = simulated_counts(80, 40)
    model = trained(name, adata)
    model.save(tmp_path / "model")
    order = np.random.default_rng(0).permutation(80)
    loaded = type(model).load(tmp_path / "model", simulated_counts(80, 40)[order].copy(), accelerator="cpu")
    np.testing.assert_array_equal(loaded.predict(), model.predict()[order])
    np.testing.assert_allclose(loaded.get_latent_representation(), model.get_latent_representation()[order], atol=1e-4)


@every_model
def test_other_cells_of_the_same_number(name, tmp_path):
    model = trained(name, simulated_counts(80, 40))
    model.save(tmp_path / "model")
    other = simulated_counts(80, 40)
    other.X = other.X[:, ::-1].copy()
    with pytest.raises(ValueError, match="their values are not those of the training cells"):
        type(model).load(tmp_path / "model", other, accelerator="cpu")


def test_digests_do_not_depend_on_storage_and_genes():
    values = np.random.default_rng(0).poisson(1.0, (30, 12)).astype(np.float32)
    genes = np.array([f"g{i}" for i in range(12)], dtype=object)
    names = [f"c{i}" for i in range(30)]
    one = CellDigests.of(values, genes, genes[:8], names)
    order = np.random.default_rng(1).permutation(12)
    again = CellDigests.of(sparse.csr_matrix(values[:, order]), genes[order], genes[:8], names)
    np.testing.assert_array_equal(one.values, again.values)
    changed = values.copy()
    changed[3, 2] += 1
    assert np.flatnonzero(one.values != CellDigests.of(changed, genes, genes[:8], names).values).tolist() == [3]
    changed = values.copy()
    changed[3, 10] += 1  # a gene that does not matter
    np.testing.assert_array_equal(one.values, CellDigests.of(changed, genes, genes[:8], names).values)


def test_equal_cells_are_matched_by_name():
    values = np.zeros((4, 3), np.float32)
    values[1:, 0] = 5
    genes = np.array(["a", "b", "c"], dtype=object)
    one = CellDigests.of(values, genes, genes, ["w", "x", "y", "z"])
    found = one.match(CellDigests.of(values[[1, 0, 2, 3]], genes, genes, ["z", "w", "x", "new"]))
    assert found is not None and found.tolist() == [3, 0, 1, 2]
    assert one.match(CellDigests.of(values[[1, 1, 2, 3]], genes, genes, ["a"] * 4)) is None


def test_new_cells_in_other_units():
    """Counts for a model of logarithms, and other values than scaled ones for a model of scaled values"""
    counts = simulated_counts(80, 40)
    counts.X = counts.X.toarray()
    logged = counts.copy()
    logged.X = np.log1p(1e4 * counts.X / counts.X.sum(axis=1, keepdims=True))
    model = trained("CICL", logged)
    with pytest.raises(ValueError, match="whole numbers only, as counts"):
        model.predict(counts)
    scaled = logged.copy()
    scaled.X = (logged.X - logged.X.mean(axis=0)) / np.maximum(logged.X.std(axis=0), 1e-3)
    model = trained("CICL", scaled)
    with pytest.raises(ValueError, match="no negative values"):
        model.predict(logged)
    model.predict(scaled[:5].copy())


def test_rounding_errors_of_counts():
    counts = simulated_counts(80, 40)
    counts.X = counts.X.toarray()
    rounded = counts.copy()
    rounded.X = (counts.X * np.float32(1 / 3)) * np.float32(3)
    assert (rounded.X != counts.X).any()
    for name in MODELS:
        model = trained(name, rounded)
        assert model.recipe.kind == "counts"
        model.predict(rounded[:10].copy())


def test_nullable_floats():
    adata = simulated_counts(60, 30)
    values = np.random.default_rng(0).standard_normal((60, 5))
    adata.obsm["X_pca"] = pd.DataFrame(values, index=adata.obs_names).astype("Float64")
    scclu.tl.cicl(adata, 3, use_rep="X_pca", **QUICK)
    assert adata.obs["cicl"].notna().all()


def test_keys_that_files_cannot_hold():
    adata = simulated_counts(60, 30)
    with pytest.raises(ValueError, match="without '/'"):
        scclu.tl.cicl(adata, 3, key_added="a/b", **QUICK)


def test_view_of_a_backed_file(tmp_path):
    import anndata

    simulated_counts(60, 30).write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    with pytest.raises(ValueError, match="view of a backed AnnData"):
        scclu.tl.cicl(backed[:30], 3, **QUICK)


def test_without_standard_error(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    adata = simulated_counts(60, 30)
    scclu.tl.cicl(adata, 3, **QUICK)
    assert adata.obs["cicl"].nunique() == 3
