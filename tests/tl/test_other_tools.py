"""Tools that read clusters: storage, copies and views, files, values that are not allowed, and damaged trees."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import scclu
from conftest import simulated_counts
from input_checks import STORAGES, on_disk, scclu_error
from shared_checks import snapshot


@cache
def clustered():
    """Cells with clusters, their model, and a classifier of its embedding."""
    adata = simulated_counts(150, 60)
    adata.X = adata.X.toarray()
    model = scclu.tl.cicl(adata, 4, n_hidden=8, max_epochs=2, accelerator="cpu", return_model=True)
    return adata, model, scclu.tl.fit_classifier(adata, "type", use_rep="X_cicl")


TOOLS = {
    "cut_tree": lambda adata, **how: scclu.tl.cut_tree(adata, n_clusters=3, **how),
    "rank_splits": lambda adata, **how: scclu.tl.rank_splits(adata, n_genes=3, **how),
    "map_cells": lambda adata, **how: scclu.tl.map_cells(
        adata, clustered()[1], classifier=clustered()[2], key_added="new", **how
    ),
    "test_clusters": lambda adata, **how: scclu.tl.test_clusters(adata, "cicl", batch_key="batch", merge=True, **how),
    "stability": lambda adata, **how: scclu.tl.stability(adata, "type", n_runs=2, **how),
}
READS_VALUES = [name for name in TOOLS if name != "cut_tree"]


def run(name, adata, **how):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*names are not unique", category=UserWarning)
        return TOOLS[name](adata, **how)


def written(adata):
    """What is in the parts that tools write to, and was not in the clustered cells."""
    before, after = snapshot(clustered()[0]), snapshot(adata)
    parts = ("obs", "obsm", "uns")
    new = {part: {name: after[part][name] for name in after[part].keys() - before[part].keys()} for part in parts}
    assert all(after[part][name] == value for part in parts for name, value in before[part].items())
    return new


@cache
def expected(name):
    return written(run(name, clustered()[0], copy=True))


@pytest.mark.parametrize("storage", [each for each in STORAGES if each != "dense"])
@pytest.mark.parametrize("name", READS_VALUES)
def test_storage(name, storage, tmp_path):
    adata = clustered()[0].copy()
    adata.X = STORAGES[storage](adata.X)
    del adata.layers["counts"]
    with on_disk(adata, storage, tmp_path) as stored:
        run(name, stored)
        assert written(stored) == expected(name)


@pytest.mark.parametrize("name", TOOLS)
def test_views_copies_and_names(name):
    adata, _, _ = clustered()
    before = snapshot(adata)
    view = adata[:]
    run(name, view)
    assert written(view) == expected(name) and snapshot(adata) == before
    copied = adata.copy()
    copied.obs_names = ["cell"] * adata.n_obs
    assert written(run(name, copied, copy=True)) == expected(name)


@pytest.mark.parametrize("name", TOOLS)
def test_views_of_backed_cells(name, tmp_path):
    with on_disk(clustered()[0].copy(), "backed dense", tmp_path) as stored:
        view = stored[:100]
        error = scclu_error(lambda: run(name, view))
        assert error is None or "view of a backed AnnData" in str(error)


def _entry(value):
    def change(adata):
        adata.X[3, 5] = value

    return change


# name: (change, whether the values can be read by their meaning)
VALUES = {
    "NaN": _entry(np.nan),
    "infinite": _entry(np.inf),
    "negative count": _entry(-3.0),
    "sparse NaN": lambda adata: (_entry(np.nan)(adata), setattr(adata, "X", sparse.csr_matrix(adata.X))),
    "no X": lambda adata: setattr(adata, "X", None),
    "duplicated genes": lambda adata: setattr(adata, "var_names", ["gene0"] * 2 + list(adata.var_names[2:])),
}


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("name", READS_VALUES)
def test_values(name, values):
    adata = clustered()[0].copy()
    del adata.layers["counts"]
    VALUES[values](adata)
    before = snapshot(adata) if adata.X is not None else None
    assert scclu_error(lambda: run(name, adata)) is not None
    assert before is None or snapshot(adata) == before


@pytest.mark.parametrize("n_cells", [0, 1, 2, 5])
@pytest.mark.parametrize("name", TOOLS)
def test_few_cells(name, n_cells):
    adata = clustered()[0][:n_cells].copy()
    before = snapshot(adata)
    if scclu_error(lambda: run(name, adata)) is not None:
        assert snapshot(adata) == before


def _tree(**changes):
    def change(adata):
        tree = adata.uns["cicl"]["tree"]
        for name, function in changes.items():
            tree[name] = function(np.array(tree[name]))

    return change


TREES = {
    "no heights": lambda adata: adata.uns["cicl"]["tree"].pop("height"),
    "text": lambda adata: adata.uns["cicl"].__setitem__("tree", "((a,b),c)"),
    "a cycle": _tree(children=lambda c: np.where(np.arange(len(c))[:, None] == 0, len(c) + 1, c)),
    "a node twice": _tree(children=lambda c: np.where(c == 1, 0, c)),
    "a node that is not there": _tree(children=lambda c: c + 10_000),
    "negative nodes": _tree(children=lambda c: -c),
    "real nodes": _tree(children=lambda c: c + 0.5),
    "three children": _tree(children=lambda c: np.hstack((c, c[:, :1]))),
    "one row": _tree(children=lambda c: c[0]),
    "fewer heights": _tree(height=lambda h: h[:-1]),
    "heights in no order": _tree(height=lambda h: h[::-1]),
    "NaN heights": _tree(height=lambda h: h * np.nan),
    "text heights": _tree(height=lambda h: h.astype(str)),
    "fewer p-values": _tree(p=lambda p: p[:-1]),
    "fine clusters by name": lambda adata: adata.obs.__setitem__(
        "cicl_fine", "fine" + adata.obs["cicl_fine"].astype(str)
    ),
}


@pytest.mark.parametrize("damage", TREES)
def test_damaged_trees(damage):
    """A tree of a file that something else wrote, or changed"""
    adata = clustered()[0].copy()
    TREES[damage](adata)
    before = snapshot(adata)
    for call in (
        lambda: run("cut_tree", adata),
        lambda: run("rank_splits", adata),
        lambda: scclu.pl.tree(adata, "cicl", show=False),
        lambda: scclu.pl.resolutions(adata, "cicl", show=False),
    ):
        error = scclu_error(call)
        assert error is not None and "Cluster again" in str(error), error
    assert snapshot(adata) == before


def test_source_of_errors():
    def fail():
        raise ValueError("Something that scclu did not say.")

    with pytest.raises(AssertionError):
        scclu_error(fail)
    assert Path(scclu.__file__).is_file()
