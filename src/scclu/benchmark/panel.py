"""Methods of the benchmark, with the names that the command line accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData

from scclu.benchmark.labelled_data import BATCH
from scclu.benchmark.peers import (
    leiden_at_k,
    leiden_clusters,
    louvain_communities,
    pca_kmeans,
    scaled_components,
    scvi_latent,
)
from scclu.cluster.kmeans import kmeans
from scclu.cluster.leiden import leiden_scan
from scclu.data.kinds import detect_kind

AT_K, FREE = "true-k", "k-free"
# key of obsm of what a method clusters: of a shared embedding, and of any if cells have batches
EMBEDDING = "X_clusters"
# what a process measures besides its labels: seconds, processor time, largest resident memory
COSTS = ("call_s", "cpu_s", "peak_mb")
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
    embedding
        Key of :data:`EMBEDDINGS`, if `cluster` reads ``obsm[EMBEDDING]``: such an embedding is computed once for all
        methods, modes and runs with the same cells and seed.
    """

    title: str
    cluster: Callable[[AnnData, int | None, int], np.ndarray]
    modes: tuple[str, ...]
    imports: tuple[str, ...]
    counts_only: bool = False
    embedding: str | None = None


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


def _core(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    """Cut of the tree that CICL and scSiameseClu are trained with; no head assigns cells by an embedding."""
    from scclu.model import CICL

    CICL.setup_anndata(adata)
    model = CICL(adata, n_clusters, random_state=seed)
    return model._found.labels[np.argsort(model._order)]


def _pca_kmeans(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    assert n_clusters is not None
    return pca_kmeans(adata, n_clusters, seed=seed)


def _leiden(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    return leiden_clusters(adata, n_clusters=n_clusters, seed=seed)


def _louvain(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    return louvain_communities(scaled_components(adata, seed=seed), seed=seed)


def _scvi(adata: AnnData, seed: int) -> np.ndarray:
    return scvi_latent(adata, batch_key=BATCH if BATCH in adata.obs else None, seed=seed)


def _kmeans_on_embedding(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    assert n_clusters is not None
    return kmeans(adata.obsm[EMBEDDING], n_clusters, random_state=seed)[0]


def leiden_on_embedding(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    """Cluster cells by Leiden on ``obsm[EMBEDDING]``, at resolution 1 if the number of clusters is None."""
    if n_clusters is not None:
        return leiden_at_k(adata.obsm[EMBEDDING], n_clusters, seed=seed)
    return leiden_scan(adata.obsm[EMBEDDING], [1.0], random_state=seed)[0]


# Functions of the cells without labels and the seed.
EMBEDDINGS: dict[str, Callable[[AnnData, int], np.ndarray]] = {"scvi": _scvi}
_SCVI: dict[str, Any] = {"counts_only": True, "embedding": "scvi"}

METHODS = {
    "cicl": Method("CICL", _deep("cicl", "default"), (AT_K, FREE), _DEEP),
    "scsiameseclu": Method("scSiameseClu", _deep("scsiameseclu", "default"), (AT_K, FREE), _DEEP),
    "cicl-paper": Method("CICL, paper preset", _deep("cicl", "paper"), (AT_K, FREE), _DEEP),
    "scsiameseclu-paper": Method("scSiameseClu, paper preset", _deep("scsiameseclu", "paper"), (AT_K, FREE), _DEEP),
    "core": Method("No network", _core, (AT_K, FREE), _DEEP),
    "pca-kmeans": Method("PCA + K-means", _pca_kmeans, (AT_K,), ("scanpy",)),
    "leiden": Method("Leiden", _leiden, (AT_K, FREE), GRAPH),
    "louvain": Method("Louvain", _louvain, (FREE,), (*GRAPH, "louvain")),
    "scvi-kmeans": Method("scVI + K-means", _kmeans_on_embedding, (AT_K,), ("scanpy", "scvi"), **_SCVI),
    "scvi-leiden": Method("scVI + Leiden", leiden_on_embedding, (AT_K, FREE), (*GRAPH, "scvi"), **_SCVI),
}
