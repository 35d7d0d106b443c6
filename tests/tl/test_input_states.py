"""Names, views, layouts of memory and earlier results: the same result as for plain cells, or an error."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from input_checks import METHODS, K, assert_plain_result, cells, dask_array, extra, outcome, run
from shared_checks import snapshot

pytestmark = [
    # names that are not unique are what is tested
    pytest.mark.filterwarnings("ignore:.*names are not unique:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Transforming to str index"),
]


def _names(attribute, names):
    def change(adata):
        frame = getattr(adata, attribute)
        frame.index = names(len(frame)) if callable(names) else names
        return adata

    return change


def _with(change):
    def apply(adata):
        change(adata)
        return adata

    return apply


def _read_only(adata):
    adata.X.flags.writeable = False
    return adata


def _read_only_sparse(adata):
    adata.X = sparse.csr_matrix(adata.X)
    for part in (adata.X.data, adata.X.indices, adata.X.indptr):
        part.flags.writeable = False
    return adata


def _explicit_zeros(adata):
    x = sparse.csr_matrix(np.ones(adata.shape, dtype=np.float32))
    x.data = adata.X.ravel().copy()
    adata.X = x
    return adata


def _duplicate_entries(adata):
    half = sparse.csr_matrix(adata.X / 2)
    n = half.nnz
    adata.X = sparse.csr_matrix(
        (np.repeat(half.data, 2), np.repeat(half.indices, 2), half.indptr * 2), shape=half.shape, dtype=np.float32
    )
    assert adata.X.nnz == 2 * n
    return adata


def _unsorted(adata):
    x = sparse.csr_matrix(adata.X)
    for start, stop in zip(x.indptr, x.indptr[1:], strict=False):
        x.indices[start:stop] = x.indices[start:stop][::-1].copy()
        x.data[start:stop] = x.data[start:stop][::-1].copy()
    x.has_sorted_indices = False
    adata.X = x
    return adata


def _wide_indices(adata):
    x = sparse.csr_matrix(adata.X)
    x.indices, x.indptr = x.indices.astype(np.int64), x.indptr.astype(np.int64)
    adata.X = x
    return adata


def _twice(adata):
    return ad.concat([adata, adata], index_unique="-")


# name: (change, words of the error where there must be one, whether the result is that of the plain cells)
PANDAS_3 = int(pd.__version__.split(".")[0]) >= 3
STATES = {
    "plain": (lambda a: a, None, True),
    "duplicated cell names": (_names("obs", ["cell"] * 24), None, True),
    "integer cell names": (_names("obs", range(24)), None, True),
    "real cell names": (_names("obs", lambda n: pd.Index(np.arange(n) / 7)), None, True),
    "categorical cell names": (_names("obs", lambda n: pd.CategoricalIndex([f"c{i}" for i in range(n)])), None, True),
    "cell names with gaps": (_names("obs", lambda n: pd.Index([None, *map(str, range(1, n))])), None, True),
    "named index": (_with(lambda a: a.obs.index.set_names("barcode", inplace=True)), None, True),
    "index named as the result": (_with(lambda a: a.obs.index.set_names(["cicl"], inplace=True)), None, True),
    "duplicated gene names": (_names("var", ["gene"] * 40), "Call adata.var_names_make_unique", False),
    "integer gene names": (_names("var", range(40)), None, True),
    "gene names that differ in type only": (_names("var", [1, "1", *range(2, 40)]), "'1'", False),
    "gene names with a gap": (_names("var", [None, *map(str, range(1, 40))]), None, True),
    # since pandas 3 both are the same missing name
    "gene names with gaps": (
        _names("var", [None, np.nan, *map(str, range(2, 40))]),
        "Call adata.var_names_make_unique" if PANDAS_3 else None,
        not PANDAS_3,
    ),
    "empty gene names": (_names("var", ["", *map(str, range(1, 40))]), None, True),
    "long gene names": (_names("var", [f"{i}" * 500 for i in range(10, 50)]), None, True),
    "gene names with slashes": (_names("var", [f"a/{i}" for i in range(40)]), None, True),
    "view of cells": (lambda a: _twice(a)[:24], None, True),
    "view of cells by mask": (lambda a: _twice(a)[np.arange(48) < 24], None, True),
    "view of a view": (lambda a: _twice(a)[:30][:24], None, True),
    "view of genes": (lambda a: ad.concat([a, cells(24, 2)], axis=1, index_unique="-")[:, :40], None, True),
    "view of CSR": (_with(lambda a: setattr(a, "X", sparse.csr_matrix(a.X))), None, True),
    "raw": (_with(lambda a: setattr(a, "raw", a.copy())), None, True),
    "raw with more genes": (_with(lambda a: setattr(a, "raw", cells(24, 50))), None, True),
    "read-only": (_read_only, None, True),
    "read-only CSR": (_read_only_sparse, None, True),
    "explicit zeros": (_explicit_zeros, None, True),
    "duplicate entries": (_duplicate_entries, None, True),
    "unsorted indices": (_unsorted, None, True),
    "64-bit indices": (_wide_indices, None, True),
    "Fortran": (_with(lambda a: setattr(a, "X", np.asfortranarray(a.X))), None, True),
    "dask of CSR": (_with(lambda a: setattr(a, "X", dask_array(a.X, sparse.csr_matrix))), None, True),
    "strided": (_with(lambda a: setattr(a, "X", np.repeat(a.X, 2, axis=1)[:, ::2])), None, True),
    "negative strides": (_with(lambda a: setattr(a, "X", a.X[::-1, ::-1].copy()[::-1, ::-1])), None, True),
    "transposed": (lambda a: AnnData(a.X.T.copy()).T, None, True),
    "no X": (_with(lambda a: setattr(a, "X", None)), "adata.X is None", False),
    "no obs columns": (_with(lambda a: setattr(a, "obs", a.obs[[]])), None, True),
    "pairs between cells": (_with(lambda a: a.obsp.__setitem__("d", np.ones((24, 24)))), None, True),
    "columns in varm": (_with(lambda a: a.varm.__setitem__("PCs", np.ones((40, 2)))), None, True),
    "nested uns": (_with(lambda a: a.uns.__setitem__("mine", {"a": {"b": [1, None, (2, "x")]}})), None, True),
}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", STATES)
def test_states(name, method):
    """Names, views, raw and layouts of memory: the same result, the same input afterwards."""
    change, message, same = STATES[name]
    adata = change(cells())
    parent = adata._adata_ref if adata.is_view else None
    before = None if parent is None else snapshot(parent)
    error = outcome(method, adata)
    assert error is None if message is None else message in str(error), error
    if same:
        assert_plain_result(adata, method)
    if parent is not None:
        assert snapshot(parent) == before


def _colours(n):
    return lambda adata, key: adata.uns.__setitem__(f"{key}_colors", ["#112233"] * n)


def _categories(adata, key):
    adata.obs[key] = pd.Categorical(["old", "older"] * 12, categories=["older", "old", "unused"], ordered=True)


# name: what is there under the names of the results before the call
EARLIER = {
    "categories": _categories,
    "numbers": lambda adata, key: adata.obs.__setitem__(key, np.arange(24.0)),
    "text with gaps": lambda adata, key: adata.obs.__setitem__(key, [None, "a"] * 12),
    "confidence": lambda adata, key: adata.obs.__setitem__(f"{key}_confidence", "high"),
    "embedding": lambda adata, key: adata.obsm.__setitem__(f"X_{key}", np.zeros((24, 3))),
    "embedding as a data frame": lambda adata, key: adata.obsm.__setitem__(
        f"X_{key}", pd.DataFrame({"a": 1.0}, index=adata.obs_names)
    ),
    "parameters": lambda adata, key: adata.uns.__setitem__(key, {"params": 1, "mine": 2}),
    "text in uns": lambda adata, key: adata.uns.__setitem__(key, "mine"),
    "as many colours": _colours(K),
    "too few colours": _colours(K - 1),
    "too many colours": _colours(K + 1),
    "colours of gone categories": lambda adata, key: (_categories(adata, key), _colours(3)(adata, key)),
    "an earlier call": lambda adata, key: run(key, adata, 5),
    "an earlier call and a figure": lambda adata, key: (run(key, adata, 5), _colours(5)(adata, key)),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("view", [False, True], ids=["whole", "view"])
@pytest.mark.parametrize("name", EARLIER)
def test_earlier_results(name, view, method, tmp_path):
    """Whatever has the names of the results is replaced, in a view as well."""
    adata = cells()
    EARLIER[name](adata, method)
    if view:
        adata = _twice(adata)[:24] if name != "colours of gone categories" else adata[:]
    run(method, adata)
    assert_plain_result(adata, method, trained=True)
    assert set(adata.uns[method]) == {"params", "runtime", "n_clusters", "n_clusters_source", "embedding_id", "history"}
    assert len(adata.uns.get(f"{method}_colors", [""] * K)) == adata.obs[method].nunique()
    adata.write_h5ad(tmp_path / "cells.h5ad")


@pytest.mark.parametrize("method", METHODS)
def test_what_is_read_is_not_overwritten(method):
    adata = cells()
    adata.obsm[f"X_{method}"] = adata.X[:, :5]
    assert "which this call writes" in str(outcome(method, adata, use_rep=f"X_{method}", **extra(method, "obsm")))
    if method == "scsiameseclu":
        adata.obsp["mine"] = np.ones((24, 24))
        adata.uns[method] = {"connectivities_key": "mine"}
        assert "which this call reads" in str(outcome(method, adata, neighbors_key=method))
