"""Cells on disk: the same as in memory, and never all of them in memory."""

from __future__ import annotations

import warnings

import anndata as ad
import h5py
import numpy as np
import pytest
import zarr
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem
from scipy import sparse

import scclu
from conftest import QUICK, simulated_counts
from scclu.data import matrix
from scclu.data.disk import DiskMatrix
from scclu.data.matrix import canonical_order, read_matrix, reordered
from scclu.data.recipe import Recipe

KINDS = ["h5ad", "h5ad dense", "zarr", "zarr dense", "dask"]


def on_disk(adata, kind, folder):
    """An AnnData whose X is on disk; `to_memory` and the like of the whole are not needed for anything."""
    source = AnnData(adata.X.toarray() if "dense" in kind else adata.X, obs=adata.obs[[]], var=adata.var[[]])
    if kind.startswith("h5ad"):
        source.write_h5ad(folder / "cells.h5ad")
        return ad.read_h5ad(folder / "cells.h5ad", backed="r")
    with ad.settings.override(zarr_write_format=3), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr, about strings
        source.write_zarr(folder / "cells.zarr")
    group = zarr.open_group(folder / "cells.zarr", mode="r")
    if kind == "dask":
        pytest.importorskip("dask")
        x = ad.experimental.read_elem_lazy(group["X"], chunks=(50, adata.n_vars))
    else:
        x = group["X"] if "dense" in kind else sparse_dataset(group["X"])
    return AnnData(x, obs=source.obs, var=source.var)


def rows_of(values):
    return values.toarray() if sparse.issparse(values) else values


@pytest.fixture(params=KINDS)
def pair(adata, request, tmp_path, monkeypatch):
    """Cells in memory and on disk, blocks of 16 cells."""
    monkeypatch.setattr(matrix, "_BLOCK_VALUES", 1000)
    backed = on_disk(adata, request.param, tmp_path)
    yield adata, backed
    if backed.isbacked:
        backed.file.close()


def test_rows_in_any_order(pair):
    adata, backed = pair
    expected = adata.X.toarray()
    found, _, _ = read_matrix(backed, by_block=True)
    assert isinstance(found, DiskMatrix) and found.shape == expected.shape and found.block_rows == 16
    order = np.random.default_rng(0).permutation(len(expected))
    for current, values in ((found, expected), (reordered(found, order), expected[order])):
        for rows in (slice(5, 90), slice(0, 0), np.array([7]), np.array([90, 3, 3, 50]), np.array([0, 119])):
            np.testing.assert_array_equal(rows_of(current[rows]), values[rows])
        again = np.full_like(values, -1)
        for rows, block in current.blocks():
            assert block.shape[0] <= 16
            again[rows] = rows_of(block)
        np.testing.assert_array_equal(again, values)


def test_statistics_equal_those_in_memory(pair):
    adata, backed = pair
    settings = {"n_top_genes": 30, "min_cells": 5, "max_library": 1e4, "max_share": 0.05, "max_value": 2.0}
    here, there = (read_matrix(cells, by_block=True) for cells in (adata, backed))
    np.testing.assert_array_equal(canonical_order(here[0]), canonical_order(there[0]))
    (recipe, values), (other, lazy) = (Recipe.fit(*read, **settings) for read in (here, there))
    assert recipe.genes.tolist() == other.genes.tolist() and recipe.target_sum == other.target_sum
    np.testing.assert_allclose(recipe.moments, other.moments, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(rows_of(lazy[:]), rows_of(values))
    np.testing.assert_array_equal(rows_of(recipe.transform(*there)[:]), rows_of(values))


def test_cicl_never_reads_all_cells(pair, monkeypatch):
    adata, backed = pair
    adata.X = adata.X.astype(np.float32)
    reads = []
    read = DiskMatrix._read
    monkeypatch.setattr(DiskMatrix, "_read", lambda self, wanted: reads.append(len(wanted)) or read(self, wanted))
    monkeypatch.setattr("scclu.tl._write.in_memory", None)
    monkeypatch.setattr("scclu.data.matrix.in_memory", None)
    for name in ("cluster.representations.FITTED_CELLS", "methods.cicl.model._REFERENCE_CELLS"):
        monkeypatch.setattr(f"scclu.{name}", 60)
    before = set(backed.obs), set(backed.obsm)
    model = scclu.tl.cicl(backed, 3, batch_size=40, return_model=True, **QUICK)
    assert (set(backed.obs) - before[0], set(backed.obsm) - before[1]) == ({"cicl", "cicl_confidence"}, {"X_cicl"})
    assert 0 < max(reads) <= 60
    soft = model.predict(backed, soft=True)
    np.testing.assert_allclose(soft, model.predict(soft=True), atol=1e-5)
    monkeypatch.undo()
    for name in ("cluster.representations.FITTED_CELLS", "methods.cicl.model._REFERENCE_CELLS"):
        monkeypatch.setattr(f"scclu.{name}", 60)
    scclu.tl.cicl(adata, 3, batch_size=40, **QUICK)
    assert backed.obs["cicl"].tolist() == adata.obs["cicl"].tolist()
    np.testing.assert_allclose(backed.obsm["X_cicl"], adata.obsm["X_cicl"], atol=1e-4)


def test_a_layer_on_disk(adata, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_elem(file, "x", adata.X)
        backed = AnnData(obs=adata.obs, var=adata.var, layers={"raw": sparse_dataset(file["x"])})
        scclu.tl.cicl(backed, 3, layer="raw", **QUICK)
    scclu.tl.cicl(adata, 3, **QUICK)
    assert backed.obs["cicl"].tolist() == adata.obs["cicl"].tolist()


def test_columns_on_disk_are_read_into_memory(adata, tmp_path):
    adata.X = adata.X.tocsc()
    backed = on_disk(adata, "h5ad", tmp_path)
    assert not isinstance(read_matrix(backed, by_block=True)[0], DiskMatrix)
    backed.file.close()


def test_bad_values_on_disk_are_said_before_anything_is_written(tmp_path):
    adata = simulated_counts()
    adata.X.data[3] = np.nan
    backed = on_disk(adata, "h5ad", tmp_path)
    with pytest.raises(ValueError, match="adata.X holds 1 values that are NaN"):
        scclu.tl.cicl(backed, 3, **QUICK)
    assert not backed.obs.columns.size and not backed.uns
    backed.file.close()


def test_large_data_in_memory_are_not_copied(adata, monkeypatch):
    adata.X = adata.X.astype(np.float32)
    expected, dense = adata.copy(), adata.copy()
    scclu.tl.cicl(expected, 3, **QUICK)
    monkeypatch.setattr("scclu.data.matrix._LARGE_VALUES", 100)
    dense.X = dense.X.toarray()
    for cells in (adata, dense):
        found = read_matrix(cells, by_block=True)[0]
        assert isinstance(found, DiskMatrix) and not isinstance(read_matrix(cells)[0], DiskMatrix)
        before = cells.X.copy()
        scclu.tl.cicl(cells, 3, **QUICK)
        assert (cells.X != before).sum() == 0
        assert cells.obs["cicl"].tolist() == expected.obs["cicl"].tolist()
        np.testing.assert_allclose(cells.obsm["X_cicl"], expected.obsm["X_cicl"], atol=1e-5)


def test_moments_are_those_of_the_first_cells(adata, monkeypatch, caplog):
    monkeypatch.setattr("scclu.data.recipe.FITTED_CELLS", 60)
    read = read_matrix(adata)
    with caplog.at_level("INFO", logger="scclu"):
        recipe, values = Recipe.fit(*read)
    assert "random sample of 60 cells" in caplog.text
    np.testing.assert_allclose(recipe.moments[0], rows_of(values)[:60].mean(axis=0), rtol=1e-5)
