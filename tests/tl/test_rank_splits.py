from __future__ import annotations

import logging

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

import scclu
from figure_checks import clustered
from shared_checks import snapshot


@pytest.fixture
def adata():
    return clustered(6)


def _table(adata, **arguments):
    return scclu.tl.rank_splits(adata, copy=True, **arguments).uns["cicl_splits"]["table"]


def test_equals_scanpy_on_the_two_sides(adata):
    table = _table(adata, n_genes=4)
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    for fork, rows in table.groupby("fork"):
        side, other = rows[["side", "other"]].iloc[0]
        cells = adata[adata.obs["cicl"].isin([*side.split(", "), *other.split(", ")])].copy()
        cells.obs["side"] = np.where(cells.obs["cicl"].isin(side.split(", ")), "one", "two")
        sc.tl.rank_genes_groups(cells, "side", method="wilcoxon", n_genes=4)
        expected = sc.get.rank_genes_groups_df(cells, "one")
        found = rows[rows["side"] == side]
        assert found["gene"].tolist() == expected["names"].tolist(), fork
        np.testing.assert_allclose(found["score"], expected["scores"], rtol=1e-5)
        np.testing.assert_allclose(found["p_adjusted"], expected["pvals_adj"], rtol=1e-4)
        np.testing.assert_allclose(found["logfoldchange"], expected["logfoldchanges"], rtol=1e-3)


def test_forks_are_those_of_the_cuts(adata):
    """Fork k divides one of k clusters: its sides are two of k + 1 clusters, or parts of them below a coarser cut."""
    table = _table(adata, n_genes=1)
    assert table["fork"].unique().tolist() == [1, 2, 3, 4, 5]
    sides = table.groupby("fork")["side"].agg(list)
    assert set(", ".join(sides[1]).split(", ")) == set("012345")
    for fork in range(2, 6):
        both = set(", ".join(sides[fork]).split(", "))
        assert any(both == set(side.split(", ")) for earlier in range(1, fork) for side in sides[earlier])


def test_only_genes_that_are_higher(adata):
    table = _table(adata, n_genes=1000, method="t-test")
    assert (table["score"] > 0).all()
    assert not table.duplicated(["fork", "gene"]).any() and table["gene"].nunique() > 50


def test_what_is_written(adata, tmp_path):
    before = snapshot(adata)
    assert scclu.tl.rank_splits(adata, n_genes=2, key_added="mine", layer="counts") is None
    assert adata.uns["mine"]["params"]["method"] == "wilcoxon" and "counts" in adata.uns["mine"]["params"]["values"]
    adata.write_h5ad(tmp_path / "cells.h5ad")
    back = anndata.read_h5ad(tmp_path / "cells.h5ad").uns["mine"]
    pd.testing.assert_frame_equal(
        back["table"].reset_index(drop=True), adata.uns["mine"]["table"], check_dtype=False, check_index_type=False
    )
    del adata.uns["mine"]
    assert snapshot(adata) == before


def test_sides_of_one_cell_are_left_out(adata, caplog):
    adata.obs.loc[adata.obs_names[adata.obs["cicl"] == "5"][1:], "cicl"] = "4"
    with caplog.at_level(logging.WARNING):
        table = _table(adata)
    assert "a side of one cell have no genes" in caplog.text
    assert table["fork"].nunique() == 4 and "5" not in set(table["side"])


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (None, {"n_genes": 0}, "n_genes must be at least 1"),
        (None, {"method": "logreg"}, "'t-test_overestim_var', but 'logreg'"),
        (None, {"key_added": "cicl"}, "key_added must not be 'cicl'"),
        (None, {"key": "leiden"}, "has no tree.*There are: 'cicl'"),
        (None, {"layer": "raw"}, "'raw' was passed"),
        (lambda a: a.obs.__setitem__("cicl", "0"), {}, "has one cluster"),
        (lambda a: a.obs.__delitem__("cicl_fine"), {}, "needs adata.obs"),
        (lambda a: (setattr(a, "X", a.X.toarray() - 0.5), a.layers.clear()), {}, "scaled values"),
    ],
)
def test_bad_input(adata, change, arguments, message):
    if change is not None:
        change(adata)
    before = snapshot(adata)
    with pytest.raises(ValueError, match=message):
        scclu.tl.rank_splits(adata, **arguments)
    assert snapshot(adata) == before
