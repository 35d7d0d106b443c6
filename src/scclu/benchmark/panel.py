"""The methods that are compared, by the names that the command line takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData

from scclu.benchmark.communities import louvain
from scclu.benchmark.peers import leiden_clusters, pca_kmeans, scaled_components, scvi_latent
from scclu.cluster.kmeans import kmeans
from scclu.cluster.leiden import leiden
from scclu.data.recipe import detect_kind

AT_K, FREE = "true-k", "k-free"
MODES = {AT_K: "at the true K", FREE: "K-free"}

# what the pipelines would import on their first call, which is not to be timed
_DEEP = ("scclu.tl", "umap", "pynndescent", "igraph")
_GRAPH = ("scanpy", "umap", "pynndescent", "igraph")


@dataclass(frozen=True)
class Method:
    """A way to cluster cells.

    Attributes
    ----------
    title
        In tables and figures.
    cluster
        Takes cells without labels, K (``None`` if the method has to find it) and the seed; returns ``(n_obs,)`` int.
    modes
        Of :data:`MODES`, those that the method has.
    imports
        Modules that it needs; they are imported before the clock starts.
    counts_only
        Whether it is for counts alone.
    """

    title: str
    cluster: Callable[[AnnData, int | None, int], np.ndarray]
    modes: tuple[str, ...]
    imports: tuple[str, ...]
    counts_only: bool = False


def _deep(tool: str, preset: str) -> Callable[[AnnData, int | None, int], np.ndarray]:
    def cluster(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
        from scclu import tl

        settings: dict[str, Any] = {"preset": preset, "random_state": seed, "key_added": "clusters"}
        if tool == "scsiameseclu" and detect_kind(adata.X, "X") != "counts":
            settings["zinb_weight"] = 0
        getattr(tl, tool)(adata, n_clusters, **settings)
        return adata.obs["clusters"].astype(int).to_numpy()

    return cluster


def _pca_kmeans(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    assert n_clusters is not None
    return pca_kmeans(adata, n_clusters, seed=seed)


def _leiden(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    return leiden_clusters(adata, n_clusters=n_clusters, seed=seed)


def _louvain(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    return louvain(scaled_components(adata, seed=seed), seed=seed)


def _scvi_kmeans(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    assert n_clusters is not None
    return kmeans(scvi_latent(adata, seed=seed), n_clusters, random_state=seed)[0]


def _scvi_leiden(adata: AnnData, n_clusters: int | None, seed: int) -> np.ndarray:
    return leiden(scvi_latent(adata, seed=seed), random_state=seed)


METHODS = {
    "cicl": Method("CICL", _deep("cicl", "default"), (AT_K, FREE), _DEEP),
    "scsiameseclu": Method("scSiameseClu", _deep("scsiameseclu", "default"), (AT_K, FREE), _DEEP),
    "cicl-paper": Method("CICL, paper preset", _deep("cicl", "paper"), (AT_K, FREE), _DEEP),
    "scsiameseclu-paper": Method("scSiameseClu, paper preset", _deep("scsiameseclu", "paper"), (AT_K, FREE), _DEEP),
    "pca-kmeans": Method("PCA + K-means", _pca_kmeans, (AT_K,), ("scanpy",)),
    "leiden": Method("Leiden", _leiden, (AT_K, FREE), _GRAPH),
    "louvain": Method("Louvain", _louvain, (FREE,), (*_GRAPH, "louvain")),
    "scvi-kmeans": Method("scVI + K-means", _scvi_kmeans, (AT_K,), ("scanpy", "scvi"), counts_only=True),
    "scvi-leiden": Method("scVI + Leiden", _scvi_leiden, (FREE,), (*_GRAPH, "scvi"), counts_only=True),
}
