"""Methods that are compared on data with batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData

from scclu.benchmark.labelled_data import BATCH
from scclu.benchmark.panel import AT_K, EMBEDDING, FREE, GRAPH, METHODS, Method, leiden_on_embedding
from scclu.benchmark.peers import scaled_components


def harmony_components(adata: AnnData, *, seed: int = 0) -> np.ndarray:
    """Principal components, corrected by Harmony, which requires the package ``harmonypy``.

    Parameters
    ----------
    adata
        As for :func:`scclu.benchmark.peers.scaled_components`, with the batch of each cell in ``obs["batch"]``.
    seed
        Seed for the PCA and Harmony.

    Returns
    -------
    Corrected components, ``(n_obs, n_components)``.
    """
    import harmonypy

    components = scaled_components(adata, seed=seed).astype(np.float64)
    batches = pd.DataFrame({BATCH: adata.obs[BATCH].astype(str).to_numpy()})
    corrected = np.asarray(harmonypy.run_harmony(components, batches, [BATCH], verbose=False, random_state=seed).Z_corr)
    return corrected if corrected.shape == components.shape else corrected.T


def _leiden_on(represent: Callable[..., np.ndarray]) -> Callable[[AnnData, int | None, int], np.ndarray]:
    """Make the ``cluster`` function that is Leiden on a representation, which it also writes to ``obsm``."""

    def cluster(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
        adata.obsm[EMBEDDING] = represent(adata, seed=seed)
        return leiden_on_embedding(adata, n_clusters, seed)

    return cluster


# What the methods cluster is in obsm[EMBEDDING] after a run.
BATCH_METHODS = {
    "cicl": METHODS["cicl"],
    "scsiameseclu": METHODS["scsiameseclu"],
    "leiden": replace(METHODS["leiden"], title="Leiden, not corrected", cluster=_leiden_on(scaled_components)),
    "harmony-leiden": Method("Harmony + Leiden", _leiden_on(harmony_components), (AT_K, FREE), (*GRAPH, "harmonypy")),
    "scvi-leiden": METHODS["scvi-leiden"],
}


def panel(*, batches: bool) -> dict[str, Method]:
    """Methods that are compared, with the names that the command line accepts.

    Parameters
    ----------
    batches
        Whether the cells have batches.
    """
    return BATCH_METHODS if batches else METHODS
