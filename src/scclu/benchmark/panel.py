"""Methods of the benchmark, with the names that the command line accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData

from scclu.benchmark.labelled_data import BATCH
from scclu.benchmark.peers import (
    leiden_clusters,
    louvain_communities,
    pca_kmeans,
    scaled_components,
    scvi_kmeans,
    scvi_latent,
)
from scclu.cluster.leiden import leiden_scan
from scclu.data.kinds import detect_kind

AT_K, FREE = "true-k", "k-free"
# key of obsm under which methods leave what they cluster, if cells have batches
EMBEDDING = "X_clusters"
MODES = {AT_K: "at the true K", FREE: "K-free"}

# Modules that the methods import on their first call; they are imported before the time is taken.
_DEEP = ("scclu.tl", "umap", "pynndescent", "igraph")
GRAPH = ("scanpy", "umap", "pynndescent", "igraph")


@dataclass(frozen=True)
class Method:
    """A clustering method.

    Attributes
    ----------
    title
        Name in tables and figures.
    cluster
        Function of the cells without labels, the number of clusters (None if the method estimates it) and the seed. It
        returns labels, ``(n_obs,)`` int.
    modes
        Keys of :data:`MODES` that the method supports.
    imports
        Modules that the method requires.
    counts_only
        Whether the method requires counts.
    """

    title: str
    cluster: Callable[[AnnData, int | None, int], np.ndarray]
    modes: tuple[str, ...]
    imports: tuple[str, ...]
    counts_only: bool = False


def _deep(tool: str, preset: str) -> Callable[[AnnData, int | None, int], np.ndarray]:
    """Make the ``cluster`` function of a tool of scclu with a preset."""

    def cluster(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
        from scclu import tl

        settings: dict[str, Any] = {"preset": preset, "random_state": seed, "key_added": "clusters"}
        if tool == "scsiameseclu" and detect_kind(adata.X, "X") != "counts":
            settings["zinb_weight"] = 0
        if BATCH in adata.obs:
            settings["batch_key"] = BATCH
        getattr(tl, tool)(adata, n_clusters, **settings)
        return adata.obs["clusters"].astype(int).to_numpy()

    return cluster


def _pca_kmeans(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    assert n_clusters is not None
    return pca_kmeans(adata, n_clusters, seed=seed)


def _leiden(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    return leiden_clusters(adata, n_clusters=n_clusters, seed=seed)


def _louvain(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    return louvain_communities(scaled_components(adata, seed=seed), seed=seed)


def _scvi_kmeans(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    assert n_clusters is not None
    return scvi_kmeans(adata, n_clusters, seed=seed)


def _scvi_leiden(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    return leiden_scan(scvi_latent(adata, seed=seed), [1.0], random_state=seed)[0]


METHODS = {
    "cicl": Method("CICL", _deep("cicl", "default"), (AT_K, FREE), _DEEP),
    "scsiameseclu": Method("scSiameseClu", _deep("scsiameseclu", "default"), (AT_K, FREE), _DEEP),
    "cicl-paper": Method("CICL, paper preset", _deep("cicl", "paper"), (AT_K, FREE), _DEEP),
    "scsiameseclu-paper": Method("scSiameseClu, paper preset", _deep("scsiameseclu", "paper"), (AT_K, FREE), _DEEP),
    "pca-kmeans": Method("PCA + K-means", _pca_kmeans, (AT_K,), ("scanpy",)),
    "leiden": Method("Leiden", _leiden, (AT_K, FREE), GRAPH),
    "louvain": Method("Louvain", _louvain, (FREE,), (*GRAPH, "louvain")),
    "scvi-kmeans": Method("scVI + K-means", _scvi_kmeans, (AT_K,), ("scanpy", "scvi"), counts_only=True),
    "scvi-leiden": Method("scVI + Leiden", _scvi_leiden, (FREE,), (*GRAPH, "scvi"), counts_only=True),
}
