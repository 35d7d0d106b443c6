from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

# arguments of short trainings of small networks, clustered without a consensus
QUICK = {"max_epochs": 3, "n_hidden": 16, "cluster_method": "kmeans", "accelerator": "cpu"}
QUICK_SIAMESE = {
    "max_epochs": 2,
    "gene_hidden": (16,),
    "graph_hidden": (16,),
    "cluster_method": "assignment",
    "accelerator": "cpu",
}


def pytest_configure(config: pytest.Config) -> None:
    # a shell ignores Ctrl-C in processes that it starts in the background, and tests of interrupts need it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep imported modules out of garbage collections.

    Each clustering tool ends with a full collection. It takes 0.3 s with torch and scvi-tools imported, and 0.01 s
    where what was imported is left out.
    """
    if "torch" in sys.modules:
        importlib.import_module("torch._dynamo")  # imported by the first training otherwise
    gc.collect()
    gc.freeze()


def simulated_counts(n_cells: int = 120, n_genes: int = 60, n_types: int = 3, seed: int = 0) -> AnnData:
    """Negative binomial counts of well separated types; type sizes fall off."""
    rng = np.random.default_rng(seed)
    profiles = rng.gamma(0.5, 2.0, (n_types, n_genes))
    types = np.sort(rng.choice(n_types, n_cells, p=np.arange(n_types, 0, -1) / np.arange(1, n_types + 1).sum()))
    types = rng.permutation(types)
    mean = profiles[types] * rng.lognormal(0, 0.3, (n_cells, 1)) * 3 + 0.05
    counts = rng.poisson(rng.gamma(2.0, mean / 2.0)).astype(np.float32)
    counts[counts.sum(1) == 0, 0] = 1
    adata = AnnData(
        sparse.csr_matrix(counts),
        obs=pd.DataFrame({"type": pd.Categorical(types.astype(str))}, index=[f"cell{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(n_genes)]),
    )
    adata.obs["batch"] = pd.Categorical(rng.choice(["a", "b"], n_cells))
    adata.layers["counts"] = adata.X.copy()
    return adata


@pytest.fixture
def adata() -> AnnData:
    return simulated_counts()


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train nothing: networks keep their initial weights, and all that surrounds the training runs as usual."""

    def fit(trainer, plan, *_, **__):
        plan.history["loss"] += [0.0] * trainer.max_epochs

    monkeypatch.setattr("scvi.train.Trainer.fit", fit)


@pytest.fixture
def data_dir() -> Path:
    folder = os.environ.get("SCCLU_DATA")
    if not folder:
        pytest.skip("SCCLU_DATA does not name the folder of the labelled data sets")
    return Path(folder)
