"""Every kind of input that users have: the right result, or an error of scclu's own and nothing changed."""

from __future__ import annotations

import traceback
import warnings
from functools import cache
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

import scclu
from conftest import simulated_counts
from shared_checks import snapshot

SOURCE = Path(scclu.__file__).parent
K = 3
# one epoch of small networks: what is tried is the input, not the clusters
QUICK = {
    "cicl": {"max_epochs": 1, "accelerator": "cpu", "n_hidden": 8, "n_layers": 1, "cluster_method": "kmeans"},
    "scsiameseclu": {"max_epochs": 1, "accelerator": "cpu", "cluster_method": "assignment"},
}
METHODS = list(QUICK)
# what scclu says about data that it takes
SAID = (".*clusters are empty", ".*have no counts")

pytestmark = [
    # what is tested
    pytest.mark.filterwarnings("ignore:.*names are not unique:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Transforming to str index"),
]


def cells(n_cells: int = 24, n_genes: int = 40) -> AnnData:
    adata = simulated_counts(n_cells, n_genes)
    del adata.layers["counts"]
    adata.X = adata.X.toarray()
    return adata


def run(method: str, adata: AnnData, n_clusters: int | None = K, **arguments) -> None:
    with warnings.catch_warnings():
        for message in SAID:
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        getattr(scclu.tl, method)(adata, n_clusters, **(QUICK[method] | arguments))


def result(adata: AnnData, key: str) -> tuple[np.ndarray, ...]:
    return adata.obs[key].to_numpy(), adata.obsm[f"X_{key}"], adata.obs[f"{key}_confidence"].to_numpy()


def assert_sound(adata: AnnData, key: str, before: dict) -> None:
    """What is written is whole and finite, and nothing else has changed."""
    column, embedding = adata.obs[key], adata.obsm[f"X_{key}"]
    assert column.notna().all()
    assert column.cat.categories.tolist() == [str(k) for k in range(column.nunique())]
    assert column.value_counts(sort=False).is_monotonic_decreasing
    assert embedding.dtype == np.float32 and len(embedding) == adata.n_obs and np.isfinite(embedding).all()
    assert adata.obs[f"{key}_confidence"].between(0, 1).all()
    for name, values in adata.uns[key]["history"].items():
        started = values[np.maximum.accumulate(np.isfinite(values))]
        assert np.isfinite(started).all(), name
    after = snapshot(adata)
    new = {"obs": {key, f"{key}_confidence"}, "obsm": {f"X_{key}"}, "uns": {key}}
    for part, values in before.items():
        if part in new:
            for state in (values, after[part]):
                for name in new[part]:
                    state.pop(name, None)
        assert after[part] == values, part


def outcome(method: str, adata: AnnData, **arguments) -> Exception | None:
    """Run, and check that it went well or gave an error of scclu's own that changed nothing."""
    before = snapshot(adata)
    try:
        run(method, adata, **arguments)
    except (TypeError, ValueError) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        assert Path(frame.filename).is_relative_to(SOURCE), "".join(traceback.format_exception(error))
        assert str(error).endswith((".", ")")) and len(str(error)) > 20
        assert snapshot(adata) == before
        return error
    assert_sound(adata, arguments.get("key_added", method), before)
    return None


# -- how values are stored --------------------------------------------------------------------------------------------


def backed(adata: AnnData, path: Path) -> AnnData:
    adata.write_h5ad(path)
    return ad.read_h5ad(path, backed="r")


def dask_array(values: np.ndarray, convert=lambda block: block):
    pytest.importorskip("dask.array")
    import dask.array as da

    return da.from_array(values, chunks=(7, -1)).map_blocks(convert)


STORAGES = {
    "dense": lambda x: x,
    "CSR matrix": sparse.csr_matrix,
    "CSC matrix": sparse.csc_matrix,
    "CSR array": sparse.csr_array,
    "CSC array": sparse.csc_array,
    "dask": dask_array,
    "backed dense": lambda x: x,
    "backed CSR": sparse.csr_matrix,
}
DTYPES = ["int32", "int64", "float32", "float64", "uint16", "bool"]
PLACES = ["X", "layer", "obsm"]


def placed(values, place: str) -> tuple[AnnData, dict]:
    """An AnnData with the values in one place, and the arguments that name it."""
    adata = cells(*values.shape)
    if place == "X":
        adata.X = values
        return adata, {}
    adata.X = np.full(adata.shape, -1.5, dtype=np.float32)
    if place == "layer":
        adata.layers["mine"] = values
        return adata, {"layer": "mine"}
    adata.obsm["mine"] = values
    # an embedding has no counts
    return adata, {"use_rep": "mine"}


def extra(method: str, place: str) -> dict:
    return {"zinb_weight": 0} if method == "scsiameseclu" and place == "obsm" else {}


@cache
def reference(method: str, place: str, as_bool: bool) -> tuple[np.ndarray, ...]:
    adata, arguments = placed(cells().X.astype(bool if as_bool else np.float32).astype(np.float32), place)
    run(method, adata, **arguments, **extra(method, place))
    return result(adata, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("storage", STORAGES)
def test_storage(storage, dtype, place, method, tmp_path):
    """Inputs: how values are stored, of which type, where, for which method; the result is the same to the bit."""
    adata, arguments = placed(STORAGES[storage](cells().X.astype(dtype)), place)
    if storage.startswith("backed"):
        adata = backed(adata, tmp_path / "cells.h5ad")
    error = outcome(method, adata, **arguments, **extra(method, place))
    assert error is None
    for ours, theirs in zip(result(adata, method), reference(method, place, dtype == "bool"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    if adata.isbacked:
        adata.file.close()


# -- values -----------------------------------------------------------------------------------------------------------


def _set_one(value):
    def change(x):
        x = x.astype(np.float64)
        x[1, 2] = value
        return x

    return change


def _rows(change):
    def apply(x):
        x = x.copy()
        change(x)
        return x

    return apply


def _empty(x):
    x[[0, 5]] = 0


def _empty_but_one(x):
    x[1:] = 0


def _duplicate(x):
    x[:12] = x[12:]


def _constant(x):
    x[:, :5] = 2


def _masked(x):
    return np.ma.masked_less(x, 1)


# name: (change of the counts, words of the error where there must be one)
VALUES = {
    "NaN": (_set_one(np.nan), "1 values that are NaN"),
    "inf": (_set_one(np.inf), "infinite"),
    "-inf": (_set_one(-np.inf), "infinite"),
    "all NaN": (lambda x: np.full(x.shape, np.nan), "960 values that are NaN"),
    "negative counts": (lambda x: -x, "are negative"),
    "negative reals": (lambda x: x - 0.5, None),
    "beyond float32": (_set_one(1e300), "beyond the range of float32"),
    "just within float32": (_set_one(3e38), None),
    "all just within float32": (lambda x: np.full(x.shape, 3.4e38), None),
    "large": (lambda x: x.astype(np.float64) * 1e30, None),
    "large and scaled": (lambda x: (x - x.mean(0)) * 1e30, "holds whole numbers"),
    "large integers": (lambda x: x.astype(np.int64) * 2**40, None),
    "largest uint64": (lambda x: np.where(x > 0, np.uint64(2**64 - 1), np.uint64(0)), None),
    "tiny": (lambda x: x * 1e-30, None),
    "denormal": (lambda x: x * 1e-44, None),
    "tiny and scaled": (lambda x: (x - x.mean(0)) * 1e-30, None),
    "all zero": (np.zeros_like, "only zeros"),
    "all one": (np.ones_like, None),
    "all equal reals": (lambda x: np.full(x.shape, 0.37), None),
    "all equal and negative": (lambda x: np.full(x.shape, -0.37), None),
    "constant genes": (_rows(_constant), None),
    "empty cells": (_rows(_empty), None),
    "all cells empty but one": (_rows(_empty_but_one), None),
    "duplicated cells": (_rows(_duplicate), None),
    "identical cells": (lambda x: np.tile(x[:1], (len(x), 1)), None),
    "two kinds of cells": (lambda x: x[np.arange(len(x)) % 2], None),
    "one gene varies": (_rows(lambda x: x.__setitem__((slice(None), slice(1, None)), 1)), None),
    "one value": (lambda x: np.eye(*x.shape, dtype=x.dtype) * (np.arange(len(x)) == 3)[:, None], None),
    "one gene a cell": (lambda x: np.eye(*x.shape, dtype=x.dtype), None),
    "reals": (lambda x: x + 0.5, None),
    "logarithms": (np.log1p, None),
    "one outlier": (_set_one(1e7), None),
    "one gene dominates": (_rows(lambda x: x.__setitem__((slice(None), 0), 1e6)), None),
    "half precision": (lambda x: x.astype(np.float16), None),
    "long double": (lambda x: x.astype(np.longdouble), None),
    "int8": (lambda x: np.minimum(x, 100).astype(np.int8), None),
    "big-endian": (lambda x: x.astype(">f4"), None),
    "minus zero": (lambda x: np.where(x == 0, -0.0, x), None),
}


# refused as counts, but not as dimensions of an embedding
WHOLE = ("negative counts", "large and scaled", "all zero")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("storage", "place"),
    [(np.asarray, "X"), (sparse.csr_matrix, "X"), (sparse.csc_array, "layer"), (np.asarray, "obsm")],
    ids=["dense X", "CSR X", "CSC layer", "dense obsm"],
)
@pytest.mark.parametrize("name", VALUES)
def test_values(name, storage, place, method):
    """Inputs: values, how they are stored, where, for which method."""
    change, message = VALUES[name]
    values = change(cells().X)
    if sparse.issparse(storage(np.eye(2))) and values.dtype in (np.float16, np.longdouble, np.dtype(">f4")):
        values = values.astype(np.float32)
    adata, arguments = placed(storage(values), place)
    error = outcome(method, adata, **arguments, **extra(method, place))
    if message is None or place == "obsm" and name in WHOLE:
        # what is no counts is taken by scSiameseClu if the loss on counts is left out
        if error is not None and method == "scsiameseclu":
            assert "zinb_weight=0" in str(error)
            error = outcome(method, adata, **arguments, zinb_weight=0)
        assert error is None, error
    else:
        assert message in str(error)


def _frame(**columns):
    return lambda x: pd.DataFrame(x[:, : len(columns)] * 1.0, columns=list(columns)).assign(**columns)


# name: (an obsm made of the counts, words of the error where there must be one)
REPRESENTATIONS = {
    "data frame": (lambda x: pd.DataFrame(x, columns=[f"d{i}" for i in range(x.shape[1])]), None),
    "data frame of text": (_frame(a="b", c=1.0), "must hold numbers"),
    "data frame with a gap": (_frame(a=pd.array([pd.NA] * 24, dtype="Int64"), c=1.0), "must hold numbers"),
    "data frame with equal names": (lambda x: pd.DataFrame(x[:, :2], columns=["a", "a"]), None),
    "data frame of booleans": (lambda x: pd.DataFrame(x > 0, columns=[f"d{i}" for i in range(x.shape[1])]), None),
    "no columns": (lambda x: x[:, :0], "24 cells and 0 features"),
    "three dimensions": (lambda x: x[:, :, None], "two dimensions"),
    "text": (lambda x: x.astype(str), "must hold numbers"),
    "objects": (lambda x: x.astype(object), "must hold numbers"),
    "complex": (lambda x: x * 1j, "complex"),
    "dates": (lambda x: x.astype("datetime64[s]"), "must hold numbers"),
    "durations": (lambda x: x.astype("timedelta64[s]"), "must hold numbers"),
    "masked": (_masked, "masked"),
    "structured": (lambda x: np.zeros((24, 2), dtype=[("a", "f4")]), "must hold numbers"),
    "two columns": (lambda x: x[:, :2], None),
    "one column": (lambda x: x[:, :1], None),
    "more columns than cells": (lambda x: np.hstack([x, x, x]), None),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_representations(name, method):
    """Inputs: representations in obsm that are no plain matrix, for which method."""
    make, message = REPRESENTATIONS[name]
    adata = cells()
    values = make(adata.X)
    adata.obsm["mine"] = values.set_axis(adata.obs_names) if isinstance(values, pd.DataFrame) else values
    error = outcome(method, adata, use_rep="mine", **extra(method, "obsm"))
    assert error is None if message is None else message in str(error), error


# -- shapes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("storage", "place"), [(sparse.csr_matrix, "X"), (np.asarray, "layer"), (np.asarray, "obsm")], ids=PLACES
)
@pytest.mark.parametrize("n_genes", [0, 1, 2, 40])
@pytest.mark.parametrize("n_cells", [0, 1, 2, K, K + 1, 9])
def test_shapes(n_cells, n_genes, storage, place, method):
    """Inputs: numbers of cells and of genes, where, for which method."""
    values = cells(30, 40).X[:n_cells, :n_genes]
    values[:, :1] += 1
    adata = AnnData(np.ones((n_cells, 3), dtype=np.float32))
    if place == "X":
        adata, arguments = AnnData(storage(values)), {}
    elif place == "layer":
        adata, arguments = AnnData(layers={"mine": storage(values)}), {"layer": "mine"}
    else:
        adata.obsm["mine"], arguments = storage(values), {"use_rep": "mine"}
    error = outcome(method, adata, **arguments, **extra(method, place))
    if n_cells == 0 or n_genes == 0:
        assert f"{n_cells} cells and {n_genes} features" in str(error)
    elif n_cells == 1:
        assert "1 cell" in str(error)
    elif n_cells < K:
        assert f"number of cells ({n_cells})" in str(error)
    else:
        assert error is None, error


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("n_clusters", "default"), [(2, False), (K, False), (None, True)], ids=["2", "K", "found, as by default"]
)
@pytest.mark.parametrize(
    ("n_cells", "batch_size"), [(2, 1), (3, 2), (4, 3), (9, 8), (9, 9), (9, 100), (33, 32), (129, 128), (129, None)]
)
def test_batches(n_cells, batch_size, n_clusters, default, method):
    """Inputs: numbers of cells, batch sizes, numbers of clusters given or found, final clusterings, methods."""
    arguments = {"cluster_method": None} if default else {}
    error = outcome(method, cells(n_cells), n_clusters=n_clusters, batch_size=batch_size, **arguments)
    if n_clusters == K and n_cells < K:
        assert f"number of cells ({n_cells})" in str(error)
    else:
        assert error is None, error


# -- names, views, and what is there already --------------------------------------------------------------------------


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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", STATES)
def test_states(name, method):
    """Inputs: names, views, raw and layouts of memory, for which method."""
    change, message, same = STATES[name]
    adata = change(cells())
    parent = adata._adata_ref if adata.is_view else None
    before = None if parent is None else snapshot(parent)
    error = outcome(method, adata)
    assert error is None if message is None else message in str(error), error
    if same:
        for ours, theirs in zip(result(adata, method), reference(method, "X", False), strict=True):
            np.testing.assert_array_equal(ours, theirs)
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
    """Inputs: what is there already under the names of the results, views, methods."""
    adata = cells()
    EARLIER[name](adata, method)
    if view:
        adata = _twice(adata)[:24] if name != "colours of gone categories" else adata[:]
    run(method, adata)
    for ours, theirs in zip(result(adata, method), reference(method, "X", False), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert set(adata.uns[method]) == {"params", "n_clusters", "n_clusters_source", "history"}
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


# -- values that nobody thought of ------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, -1.0, 0.5, 1e-40, 1e-12, 1e7, 1e20, 3e38, -3e38, 1e39, 1e308]),
    st.sampled_from([np.nan, np.inf, -np.inf]),
    st.integers(0, 2**31 - 1).map(float),
    st.floats(width=32),
)


@pytest.mark.parametrize("method", METHODS)
def test_any_values(method):
    """Inputs: values, types, storages, places, shapes and numbers of clusters drawn by hypothesis, for each method."""

    @settings(max_examples=50, deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck)
    @given(
        data=st.data(),
        dtype=st.sampled_from([np.float32, np.float64, np.int32, np.uint16, np.bool_]),
        storage=st.sampled_from([np.asarray, np.asfortranarray, sparse.csr_matrix, sparse.csc_array]),
        place=st.sampled_from(PLACES),
        n_cells=st.integers(2, 14),
        n_genes=st.integers(1, 8),
        n_clusters=st.sampled_from([2, 3, 5, None]),
        calm=st.booleans(),
    )
    def try_one(data, dtype, storage, place, n_cells, n_genes, n_clusters, calm):
        # half of the cases hold nothing that must be refused, so that they get further
        numbers = st.floats(0, 100, width=32) if calm else NUMBERS
        size = n_cells * n_genes
        flat = np.array(data.draw(st.lists(numbers, min_size=size, max_size=size)))
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = storage(flat.reshape(n_cells, n_genes).astype(dtype))
        adata = AnnData(np.ones((n_cells, n_genes), dtype=np.float32))
        arguments = {"X": {}, "layer": {"layer": "mine"}, "obsm": {"use_rep": "mine"}}[place]
        if place == "X":
            adata.X = values
        else:
            getattr(adata, "layers" if place == "layer" else "obsm")["mine"] = values
        outcome(method, adata, n_clusters=n_clusters, **arguments, **extra(method, "obsm"))

    try_one()
