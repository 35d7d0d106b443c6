from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

QUICK = {"max_epochs": 3, "n_hidden": 16, "accelerator": "cpu"}


def pytest_configure(config: pytest.Config) -> None:
    # a shell ignores Ctrl-C in processes that it starts in the background, and tests of interrupts need it
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
def data_dir() -> Path:
    folder = os.environ.get("SCCLU_DATA")
    if not folder:
        pytest.skip("SCCLU_DATA does not name the folder of the labelled data sets")
    return Path(folder)
