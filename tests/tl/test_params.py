"""Arguments that are recorded in ``uns``."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest

import scclu
from conftest import QUICK, QUICK_SIAMESE, simulated_counts

RUNTIME = {"accelerator", "devices", "precision", "checkpoint_dir", "progress_bar"}


@pytest.mark.filterwarnings("ignore:.*zarr:UserWarning")
@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_none_is_null_and_runtime_is_apart(tmp_path, no_training, form):
    adata = simulated_counts()
    scclu.tl.cicl(adata, 3, **QUICK, alpha=0.01, progress_bar=False)
    path = tmp_path / f"cells.{form}"
    getattr(adata, f"write_{form}")(path)
    for found in (adata, getattr(ad, f"read_{form}")(path)):
        params, runtime = (found.uns["cicl"][name] for name in ("params", "runtime"))
        assert params["layer"] is None and params["batch_size"] is None and params["n_clusters"] == 3
        assert params["alpha"] == 0.01 and params["min_cluster_size"] == 10 and params["n_hidden"] == QUICK["n_hidden"]
        assert set(runtime) == {*RUNTIME, "strategy", "num_nodes"} and not set(runtime) & set(params)
        assert runtime["accelerator"] == "cpu" and runtime["checkpoint_dir"] is None and not runtime["progress_bar"]
        assert not {"adata", "copy", "return_model", "model_kwargs"} & {*params, *runtime}


@pytest.mark.filterwarnings("ignore:.*clusters are empty:UserWarning")  # of a network that is not trained
def test_lists_and_none_of_the_other_method(tmp_path, no_training):
    adata = simulated_counts()
    scclu.tl.scsiameseclu(adata, 3, **QUICK_SIAMESE)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    found = ad.read_h5ad(tmp_path / "cells.h5ad").uns["scsiameseclu"]
    assert np.array_equal(found["params"]["gene_hidden"], [16]) and found["params"]["counts_layer"] is None
    assert set(found["runtime"]) == RUNTIME


@pytest.mark.parametrize("method", ["cicl", "scsiameseclu"])
@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [("alpha", 2, ValueError), ("alpha", "0.1", TypeError), ("min_cluster_size", 0, ValueError)],
)
def test_bad_values(method, argument, value, error):
    adata = simulated_counts()
    with pytest.raises(error, match=f"{argument} must be"):
        getattr(scclu.tl, method)(adata, 3, **{argument: value})
    assert method not in adata.uns


def test_progress_bar(capsys):
    quick = {**QUICK, "max_epochs": 1}
    scclu.tl.cicl(simulated_counts(), 3, **quick, progress_bar=False)
    assert capsys.readouterr().err == ""
    scclu.tl.cicl(simulated_counts(), 3, **quick)
    assert "Epoch 1/1" in capsys.readouterr().err
