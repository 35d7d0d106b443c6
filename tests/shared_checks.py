"""What must hold for every clustering tool; each tool's test file runs these on its own function."""

from __future__ import annotations

import pickle
import random
from collections.abc import Mapping

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from conftest import simulated_counts
from scclu.data.matrix import in_memory


def result(adata, key):
    return adata.obs[key].to_numpy(), adata.obsm[f"X_{key}"], adata.obs[f"{key}_confidence"].to_numpy()


def assert_equal_results(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def snapshot(adata):
    """Everything in an AnnData that a call could change."""

    def column(values):
        # in words: pickles differ where equal text is one object, and where it is two
        return str(values.dtype), getattr(values.dtype, "categories", pd.Index([])).tolist(), repr(values.tolist())

    def state(value):
        if isinstance(value, pd.DataFrame):
            return repr(value.index.tolist()), value.columns.tolist(), [column(values) for _, values in value.items()]
        if isinstance(value, Mapping):
            return {key: state(item) for key, item in value.items()}
        if not hasattr(value, "shape"):
            return repr(value)
        lazy, value = hasattr(value, "compute"), in_memory(value)
        if sparse.issparse(value):
            parts = (getattr(value, part) for part in ("data", "indices", "indptr"))
            return [
                lazy,
                value.format,
                isinstance(value, sparse.sparray),
                *((part.dtype, part.tobytes()) for part in parts),
            ]
        return [lazy, value.dtype, repr(value.tolist()) if value.dtype.hasobject else value.tobytes()]

    return {
        "X": state(adata.X),
        "obs": {name: column(adata.obs[name]) for name in adata.obs},
        "obs_names": repr(adata.obs_names.tolist()),
        "var": state(adata.var),
        **{part: state(dict(getattr(adata, part))) for part in ("layers", "obsm", "varm", "obsp", "uns")},
        "raw": state(adata.raw.X) if adata.raw is not None else None,
    }


def global_random_state():
    return random.getstate(), pickle.dumps(np.random.get_state()), torch.get_rng_state().numpy().tobytes()


def check_contract(tool, key):
    """What is written, and that nothing else changes."""
    adata = simulated_counts()
    adata.raw = adata.copy()
    adata.uns["mine"] = {"a": [1, 2]}
    before, state = snapshot(adata), global_random_state()
    assert tool(adata, 3) is None
    assert global_random_state() == state
    labels, embedding, confidence = result(adata, key)
    assert adata.obs[key].dtype == "category"
    assert adata.obs[key].cat.categories.tolist() == ["0", "1", "2"]
    assert adata.obs[key].value_counts(sort=False).is_monotonic_decreasing
    assert embedding.dtype == np.float32 and embedding.shape[0] == adata.n_obs and np.isfinite(embedding).all()
    assert confidence.min() >= 0 and confidence.max() <= 1
    assert set(adata.uns[key]) == {"params", "runtime", "n_clusters", "n_clusters_source", "embedding_id", "history"}
    assert adata.uns[key]["n_clusters"] == 3 and adata.uns[key]["n_clusters_source"] == "user"
    assert adata.uns[key]["params"]["n_clusters"] == 3
    del adata.obs[key], adata.obs[f"{key}_confidence"], adata.obsm[f"X_{key}"], adata.uns[key]
    assert snapshot(adata) == before


def check_seeds(tool, key):
    """(1, 1, 42) give equal, equal, different."""
    results = []
    for seed in (1, 1, 42):
        adata = simulated_counts()
        tool(adata, 3, random_state=seed)
        results.append(result(adata, key))
    assert_equal_results(results[0], results[1])
    assert not np.array_equal(results[0][1], results[2][1])


def check_no_label_is_read(tool, key):
    """Every obs column permuted, or dropped: the same output to the bit."""
    reference = simulated_counts()
    tool(reference, 3)
    permuted, dropped = simulated_counts(), simulated_counts()
    rng = np.random.default_rng(0)
    for name in permuted.obs:
        permuted.obs[name] = rng.permutation(permuted.obs[name].to_numpy())
    dropped.obs = dropped.obs[[]]
    for adata in (permuted, dropped):
        tool(adata, 3)
        assert_equal_results(result(adata, key), result(reference, key))


def check_shuffled_cells(tool, key):
    """Shuffling the cells shuffles the result."""
    reference = simulated_counts()
    tool(reference, 3)
    order = np.random.default_rng(0).permutation(reference.n_obs)
    shuffled = simulated_counts()[order].copy()
    tool(shuffled, 3)
    assert_equal_results(result(shuffled, key), [part[order] for part in result(reference, key)])


def check_storage(tool, key):
    """CSR = CSC = dense = layer = another dtype."""
    reference = simulated_counts()
    tool(reference, 3)
    for convert in (
        lambda x: sparse.csc_matrix(x),
        lambda x: sparse.csr_array(x),
        lambda x: x.toarray(),
        lambda x: np.asfortranarray(x.toarray().astype(np.int64)),
    ):
        adata = simulated_counts()
        adata.X = convert(adata.X)
        tool(adata, 3)
        assert_equal_results(result(adata, key), result(reference, key))
    adata = simulated_counts()
    adata.X = np.full(adata.shape, -1.5, dtype=np.float32)
    tool(adata, 3, layer="counts")
    assert_equal_results(result(adata, key), result(reference, key))


def check_round_trip(tool, key, path):
    """write_h5ad, read, and get everything back equal."""
    adata = simulated_counts()
    tool(adata, 3)
    adata.write_h5ad(path)
    back = ad.read_h5ad(path)
    assert_equal_results(result(back, key), result(adata, key))
    assert_nested_equal(back.uns[key], adata.uns[key])


def assert_nested_equal(first, second):
    if isinstance(second, dict):
        assert set(first) == set(second)
        for name in second:
            assert_nested_equal(first[name], second[name])
    elif isinstance(second, np.ndarray):
        np.testing.assert_array_equal(first, second)
    else:
        assert first == second


def check_copy_view_and_backed(tool, key, path):
    """Copies, views and files work, and give what the plain call gives."""
    reference = simulated_counts()
    returned, model = tool(reference, 3, copy=True, return_model=True)
    assert key not in reference.obs and type(model).__name__.lower() == key
    expected = result(returned, key)

    larger = ad.concat([simulated_counts(), simulated_counts(seed=1)], index_unique="-")
    view = larger[: reference.n_obs]
    tool(view, 3)
    assert not view.is_view and key not in larger.obs
    assert_equal_results(result(view, key), expected)

    reference.write_h5ad(path)
    backed = ad.read_h5ad(path, backed="r")
    tool(backed, 3)
    assert_equal_results(result(backed, key), expected)
    copied = tool(backed, 3, copy=True)
    assert_equal_results(result(copied, key), expected)
    backed.file.close()


def _with(change):
    def make():
        adata = simulated_counts()
        change(adata)
        return adata

    return make


def _set(attribute, value):
    return _with(lambda adata: setattr(adata, attribute, value(adata)))


def _value(bad):
    def value(adata):
        x = adata.X.toarray()
        x[0, 0] = bad
        return x

    return value


# name: (how to make the AnnData, arguments, error, words of its message)
BAD_INPUT = {
    "no AnnData": (lambda: np.zeros((3, 3)), {}, TypeError, "AnnData, but a ndarray"),
    "NaN": (_set("X", _value(np.nan)), {}, ValueError, "1 values that are NaN"),
    "infinite": (_set("X", _value(np.inf)), {}, ValueError, "infinite"),
    "NaN in sparse": (_set("X", lambda a: sparse.csr_matrix(_value(np.nan)(a))), {}, ValueError, "NaN"),
    "beyond float32": (_set("X", lambda a: a.X.toarray().astype(np.float64) * 1e300), {}, ValueError, "float32"),
    "negative counts": (
        _with(lambda a: a.layers.__setitem__("counts", -a.layers["counts"])),
        {"layer": "counts"},
        ValueError,
        r"adata.layers\['counts'\] holds whole numbers.*are negative",
    ),
    "all zero": (_set("X", lambda a: np.zeros(a.shape)), {}, ValueError, "only zeros"),
    "text": (
        _with(lambda a: a.obsm.__setitem__("t", a.obs[["batch", "type"]])),
        {"use_rep": "t"},
        TypeError,
        "numbers",
    ),
    "no cells": (lambda: simulated_counts()[:0].copy(), {}, ValueError, "0 cells"),
    "no genes": (lambda: simulated_counts()[:, :0].copy(), {}, ValueError, "0 features"),
    "one cell": (lambda: simulated_counts()[:1].copy(), {}, ValueError, "1 cell"),
    "no X": (_set("X", lambda a: None), {}, ValueError, "adata.X is None"),
    "duplicated genes": (
        _with(lambda a: setattr(a, "var_names", ["gene"] * 2 + a.var_names[2:].tolist())),
        {},
        ValueError,
        "'gene'. Call adata.var_names_make_unique",
    ),
    "fewer cells than clusters": (simulated_counts, {"n_clusters": 121}, ValueError, "120.*but 121 was passed"),
    "one cluster": (simulated_counts, {"n_clusters": 1}, ValueError, "at least 2, but 1 was passed"),
    "half a cluster": (simulated_counts, {"n_clusters": 2.5}, TypeError, "whole number, but 2.5"),
    "true clusters": (simulated_counts, {"n_clusters": True}, TypeError, "whole number, but True"),
    "missing layer": (simulated_counts, {"layer": "raw"}, ValueError, "'raw' was passed. There are: 'counts'"),
    "missing obsm": (simulated_counts, {"use_rep": "X_pca"}, ValueError, "'X_pca' was passed. There are: none"),
    "layer and obsm": (simulated_counts, {"layer": "counts", "use_rep": "X_pca"}, ValueError, "both were passed"),
    "unknown preset": (simulated_counts, {"preset": "best"}, ValueError, "'default', 'paper', but 'best'"),
    "unknown argument": (simulated_counts, {"n_layer": 2}, TypeError, "no argument 'n_layer'"),
    "no epochs": (simulated_counts, {"max_epochs": 0}, ValueError, "max_epochs must be at least 1, but 0"),
    "no batch": (simulated_counts, {"batch_size": 0}, ValueError, "batch_size must be at least 1, but 0"),
    "negative seed": (simulated_counts, {"random_state": -1}, ValueError, "random_state must be at least 0"),
    "seed too large": (simulated_counts, {"random_state": 2**32}, ValueError, "below 4294967296, but 4294967296"),
    "no seed": (simulated_counts, {"random_state": None}, TypeError, "random_state must be a whole number"),
    "no key": (simulated_counts, {"key_added": ""}, TypeError, "key_added"),
}


def check_bad_input(tool, name, raises):
    """The right error, in words, and nothing changed."""
    make, arguments, error, message = BAD_INPUT[name]
    adata = make()
    before = snapshot(adata) if isinstance(adata, ad.AnnData) and adata.X is not None else None
    with raises(error, match=message):
        tool(adata, **{"n_clusters": 3, **arguments})
    if before is not None:
        assert snapshot(adata) == before


def check_interrupted_training_keeps_the_model(model, plan, monkeypatch) -> None:
    """An interrupt reaches the user, and what was trained before is still there."""

    def interrupt(self, batch):
        raise KeyboardInterrupt

    options = {"max_epochs": 2, "accelerator": "cpu", "enable_progress_bar": False}
    with monkeypatch.context() as patch:
        patch.setattr(plan, "training_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.train(**options)
        assert not model.is_trained
    model.train(**options)
    before = [model.get_latent_representation(), model.predict(), model.predict(soft=True)]
    with monkeypatch.context() as patch:
        patch.setattr(plan, "training_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.train(**options)
    assert model.is_trained
    for old, new in zip(
        before, (model.get_latent_representation(), model.predict(), model.predict(soft=True)), strict=True
    ):
        np.testing.assert_array_equal(old, new)
