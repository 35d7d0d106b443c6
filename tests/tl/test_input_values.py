"""Values that users have: the right result, or an error of scclu's own and nothing changed."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from input_checks import METHODS, PLACES, cells, extra, outcome, placed


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
# accepted, and far from what networks are usually trained on
EXTREME = [
    "just within float32",
    "all just within float32",
    "large",
    "large integers",
    "largest uint64",
    "tiny",
    "denormal",
    "tiny and scaled",
    "all one",
    "all equal and negative",
    "constant genes",
    "empty cells",
    "all cells empty but one",
    "identical cells",
    "two kinds of cells",
    "one gene varies",
    "one value",
    "one gene a cell",
    "one outlier",
    "one gene dominates",
]


def check_values(name, storage, place, method):
    """The result for these values is sound, or the error is the expected one."""
    change, message = VALUES[name]
    values = change(cells().X)
    if sparse.issparse(storage(np.eye(2))) and values.dtype in (np.float16, np.longdouble, np.dtype(">f4")):
        values = values.astype(np.float32)
    adata, arguments = placed(storage(values), place)
    error = outcome(method, adata, **arguments, **extra(method, place))
    if message is None or place == "obsm" and name in WHOLE:
        # scSiameseClu accepts values that are not counts if the loss on counts is left out
        if error is not None and method == "scsiameseclu":
            assert "zinb_weight=0" in str(error)
            error = outcome(method, adata, **arguments, zinb_weight=0)
        assert error is None, error
    else:
        assert message in str(error)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("storage", "place"),
    [(np.asarray, "X"), (sparse.csr_matrix, "X"), (sparse.csc_array, "layer"), (np.asarray, "obsm")],
    ids=["dense X", "CSR X", "CSC layer", "dense obsm"],
)
@pytest.mark.parametrize("name", VALUES)
def test_values(name, storage, place, method):
    """Values are accepted or refused, alike in every storage and place."""
    check_values(name, storage, place, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", EXTREME)
def test_training_on_extreme_values(name, method):
    """Losses and embeddings stay finite when networks are trained on extreme values."""
    check_values(name, np.asarray, "X", method)


def _frame(**columns):
    return lambda x: pd.DataFrame(x[:, : len(columns)] * 1.0, columns=list(columns)).assign(**columns)


# name: (an obsm made of the counts, words of the error where there must be one)
REPRESENTATIONS = {
    "data frame": (lambda x: pd.DataFrame(x, columns=[f"d{i}" for i in range(x.shape[1])]), None),
    "data frame of text": (_frame(a="b", c=1.0), "must hold numbers"),
    "data frame with a gap": (_frame(a=pd.array([pd.NA] * 24, dtype="Int64"), c=1.0), "NaN, infinite"),
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


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_representations(name, method):
    """Data frames and odd arrays in obsm are accepted or refused."""
    make, message = REPRESENTATIONS[name]
    adata = cells()
    values = make(adata.X)
    adata.obsm["mine"] = values.set_axis(adata.obs_names) if isinstance(values, pd.DataFrame) else values
    error = outcome(method, adata, use_rep="mine", **extra(method, "obsm"))
    assert error is None if message is None else message in str(error), error


# -- values that nobody thought of ------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, -1.0, 0.5, 1e-40, 1e-12, 1e7, 1e20, 3e38, -3e38, 1e39, 1e308]),
    st.sampled_from([np.nan, np.inf, -np.inf]),
    st.integers(0, 2**31 - 1).map(float),
    st.floats(width=32),
)


@pytest.mark.parametrize("n_examples", [5, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", METHODS)
def test_any_values(method, n_examples):
    """Values, types, storages, places, shapes and numbers of clusters that hypothesis draws."""

    @settings(
        max_examples=n_examples, deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck
    )
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
