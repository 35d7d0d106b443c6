"""Cells on disk: the same as in memory, and never all of them in memory."""

from __future__ import annotations

import warnings
from functools import partial

import anndata as ad
import h5py
import numpy as np
import pytest
import torch
import zarr
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem
from scipy import sparse

import scclu
from conftest import QUICK, QUICK_SIAMESE, simulated_counts
from scclu.data import matrix
from scclu.data.disk import DiskMatrix
from scclu.data.matrix import blocks, canonical_order, read_matrix, reordered
from scclu.data.recipe import Recipe
from shared_checks import assert_equal_results, result

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
        for cells in (current, values):
            first = {}
            for rows, block in blocks(cells, 50):
                first |= dict(zip(np.arange(len(values))[rows].tolist(), rows_of(block), strict=True))
            assert sorted(first) == list(range(50))
            np.testing.assert_array_equal([first[row] for row in range(50)], values[:50])


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


# numbers of cells that a method holds in memory, lowered below the number of cells of the tests
HELD = {
    "cluster.representations.CHOICE_CELLS": 60,
    "methods.cicl.model._REFERENCE_CELLS": 60,
    "methods.cicl.final._INPUT_CELLS": 60,
    "data.components._KEPT_VALUES": 60 * 60,
    "data.components._MANY_CELLS": 60,
}
METHODS = {"cicl": QUICK, "scsiameseclu": QUICK_SIAMESE}


@pytest.mark.parametrize("method", METHODS)
def test_never_reads_all_cells(pair, method, monkeypatch):
    adata, backed = pair
    adata.X = adata.X.astype(np.float32)
    reads = []
    read = DiskMatrix._read
    for name, number in HELD.items():
        monkeypatch.setattr(f"scclu.{name}", number)
    tool = partial(getattr(scclu.tl, method), n_clusters=3, batch_size=40, **METHODS[method])
    before = set(backed.obs), set(backed.obsm)
    with monkeypatch.context() as patch:
        patch.setattr(DiskMatrix, "_read", lambda self, wanted: reads.append(len(wanted)) or read(self, wanted))
        patch.setattr("scclu.tl._write.in_memory", None)
        patch.setattr("scclu.data.matrix.in_memory", None)
        model = tool(backed, return_model=True)
        soft = model.predict(backed, soft=True)
    written = set(backed.obs) - before[0], set(backed.obsm) - before[1]
    assert written == ({method, f"{method}_confidence"}, {f"X_{method}"})
    assert 0 < max(reads) <= 60
    trained = tool(adata, return_model=True)
    assert backed.obs[method].tolist() == adata.obs[method].tolist()
    np.testing.assert_allclose(backed.obsm[f"X_{method}"], adata.obsm[f"X_{method}"], atol=1e-4)
    np.testing.assert_allclose(soft, trained.predict(adata, soft=True), atol=1e-4)


@pytest.mark.parametrize(("method", "most"), [("cicl", 15), ("scsiameseclu", 14)])
def test_number_of_passes(adata, method, most, tmp_path, monkeypatch):
    """Passes over all cells before and after training, which do not depend on the number of epochs."""
    passes = []
    blocks = DiskMatrix.blocks
    monkeypatch.setattr(DiskMatrix, "blocks", lambda self, *rows: passes.append(self.shape) or blocks(self, *rows))
    for name, number in HELD.items():
        monkeypatch.setattr(f"scclu.{name}", number)
    backed = on_disk(adata, "h5ad", tmp_path)
    getattr(scclu.tl, method)(backed, **METHODS[method] | {"cluster_method": "tree"})
    backed.file.close()
    assert len(passes) <= most


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", METHODS)
def test_free_number_of_clusters(adata, method, threads, tmp_path):
    """Cells of which all fit in memory: equal to the bit."""
    backed = on_disk(adata, "h5ad", tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for cells in (adata, backed):
            cells.obs["batch"] = adata.obs["batch"]
            getattr(scclu.tl, method)(cells, batch_key="batch", **METHODS[method] | {"cluster_method": "tree"})
    finally:
        torch.set_num_threads(before)
        backed.file.close()
    assert_equal_results(result(backed, method), result(adata, method))


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
@pytest.mark.filterwarnings("ignore:.*zarr:UserWarning")
def test_cells_that_anndata_reads_lazily(adata, form, tmp_path, monkeypatch):
    """X, layers and obs on disk, in a file or in a zarr store of version 3."""
    pytest.importorskip("dask")
    pytest.importorskip("xarray")
    with ad.settings.override(zarr_write_format=3):
        getattr(adata, f"write_{form}")(tmp_path / f"cells.{form}")
    lazy = ad.experimental.read_lazy(tmp_path / f"cells.{form}")
    model = scclu.tl.scsiameseclu(lazy, 3, batch_key="batch", return_model=True, **QUICK_SIAMESE)
    assert isinstance(model._matrix, DiskMatrix) and isinstance(model._counts.matrix, DiskMatrix)
    scclu.tl.scsiameseclu(adata, 3, batch_key="batch", **QUICK_SIAMESE)
    tree = QUICK | {"cluster_method": "tree"}
    for cells in (lazy, adata):
        scclu.tl.cicl(cells, **tree)
        scclu.tl.cut_tree(cells, n_clusters=3, key_added="three")
        scclu.tl.map_cells(cells, model, key_added="mapped")
        scclu.tl.test_clusters(cells, "type")
    read = lazy.to_memory()
    for name in ("scsiameseclu", "cicl", "three", "mapped"):
        assert read.obs[name].tolist() == adata.obs[name].tolist(), name
    for key in ("X_scsiameseclu", "X_cicl", "X_mapped"):
        np.testing.assert_array_equal(read.obsm[key], adata.obsm[key])
    scclu.pl.cluster_sizes(lazy, "cicl", show=False)


def test_counts_on_disk(adata, tmp_path):
    """Logarithms in X and counts in a layer, both on disk."""
    adata.X = np.log1p(adata.X)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, values in {"x": adata.X, "counts": adata.layers["counts"]}.items():
            write_elem(file, name, values)
        parts = {"layers": {"counts": sparse_dataset(file["counts"])}, "obs": adata.obs[[]], "var": adata.var}
        backed = AnnData(sparse_dataset(file["x"]), **parts)
        model = scclu.tl.scsiameseclu(backed, 3, return_model=True, **QUICK_SIAMESE)
        assert isinstance(model._counts.matrix, DiskMatrix)
    scclu.tl.scsiameseclu(adata, 3, **QUICK_SIAMESE)
    assert_equal_results(result(backed, "scsiameseclu"), result(adata, "scsiameseclu"))


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
