"""Runs of the clustering tools on unusual input, and what must hold after each of them."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

import scclu
from conftest import simulated_counts
from shared_checks import result, snapshot

SOURCE = Path(scclu.__file__).parent
K = 3
# one epoch of small networks: the input is tested, not the clusters
QUICK = {
    "cicl": {"max_epochs": 1, "accelerator": "cpu", "n_hidden": 8, "n_layers": 1, "cluster_method": "kmeans"},
    "scsiameseclu": {"max_epochs": 1, "accelerator": "cpu", "cluster_method": "assignment"},
}
METHODS = list(QUICK)
PLACES = ["X", "layer", "obsm"]
# warnings about input that is accepted
SAID = (".*clusters are empty", ".*have no counts")


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
    new = {"obs": {key, f"{key}_confidence", f"{key}_fine"}, "obsm": {f"X_{key}"}, "uns": {key}}
    for part, values in before.items():
        if part in new:
            for state in (values, after[part]):
                for name in new[part]:
                    state.pop(name, None)
        assert after[part] == values, part


def scclu_error(call: Callable[[], object]) -> Exception | None:
    """The error of a call, which must be one of scclu's own; ``None`` if it went well."""
    try:
        call()
    except (TypeError, ValueError) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        assert Path(frame.filename).is_relative_to(SOURCE), "".join(traceback.format_exception(error))
        assert str(error).endswith((".", ")")) and len(str(error)) > 20
        return error
    return None


def outcome(method: str, adata: AnnData, **arguments) -> Exception | None:
    """Run, and check that it went well or gave an error of scclu's own that changed nothing."""
    before = snapshot(adata)
    error = scclu_error(lambda: run(method, adata, **arguments))
    if error is None:
        assert_sound(adata, arguments.get("key_added", method), before)
    else:
        assert snapshot(adata) == before
    return error


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


@contextmanager
def on_disk(adata: AnnData, storage: str, folder: Path) -> Iterator[AnnData]:
    """The cells themselves, or, for a storage that is on disk, the cells in a file in backed mode."""
    if not storage.startswith("backed"):
        yield adata
        return
    adata.write_h5ad(folder / "cells.h5ad")
    backed = ad.read_h5ad(folder / "cells.h5ad", backed="r")
    yield backed
    backed.file.close()


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
def reference(method: str, place: str = "X", *, as_bool: bool = False, trained: bool = False) -> tuple[np.ndarray, ...]:
    """The result for the plain cells: a dense float32 matrix. `trained` says whether the caller trains networks."""
    adata, arguments = placed(cells().X.astype(bool if as_bool else np.float32).astype(np.float32), place)
    run(method, adata, **arguments, **extra(method, place))
    return result(adata, method)


def assert_plain_result(adata: AnnData, method: str, **reference_arguments) -> None:
    """The result is to the bit that of the plain cells."""
    for ours, theirs in zip(result(adata, method), reference(method, **reference_arguments), strict=True):
        np.testing.assert_array_equal(ours, theirs)
