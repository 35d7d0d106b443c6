"""Standard clustering pipelines, as in the tutorials of scanpy and scvi-tools."""

from __future__ import annotations

import warnings

import numpy as np
import scanpy as sc
from anndata import AnnData

from scclu.cluster.kmeans import kmeans
from scclu.cluster.leiden import leiden_communities, leiden_scan, neighbor_graph
from scclu.data.kinds import detect_kind
from scclu.data.matrix import read_matrix

# Range of resolutions in which the bisection of leiden_at_k searches, and its number of steps. At lower resolutions
# communities only merge across gaps of the neighbour graph.
_LOWEST, _HIGHEST, _N_HALVINGS = 0.02, 10.0, 25


def scaled_components(adata: AnnData, *, n_top_genes: int = 2000, n_components: int = 50, seed: int = 0) -> np.ndarray:
    """Principal components of scaled, log-normalised highly variable genes.

    Log-normalised values are not normalised or log-transformed again; scaled values are passed to the PCA unchanged.

    Parameters
    ----------
    adata
        Annotated data with counts, normalised expression, log-normalised or scaled values in ``X``, which are
        distinguished as in :func:`scclu.tl.cicl`; it is not changed.
    n_top_genes
        Number of highly variable genes.
    n_components
        Number of principal components; fewer if there are fewer cells or genes.
    seed
        Random seed passed to the solver.

    Returns
    -------
    Principal components, ``(n_obs, n_components)`` float32.
    """
    matrix, _, source = read_matrix(adata)
    kind = detect_kind(matrix, source)
    work = AnnData(matrix.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scanpy warns about its own defaults
        if kind != "scaled":
            sc.pp.filter_genes(work, min_cells=3)
        if kind in ("counts", "expression"):
            sc.pp.normalize_total(work)
            sc.pp.log1p(work)
        if kind != "scaled":
            if work.n_vars > n_top_genes:
                sc.pp.highly_variable_genes(work, n_top_genes=n_top_genes, subset=True)
            sc.pp.scale(work, max_value=10)
        sc.pp.pca(work, n_comps=min(n_components, min(work.shape) - 1), random_state=seed)
    return work.obsm["X_pca"]


def pca_kmeans(adata: AnnData, n_clusters: int, *, seed: int = 0) -> np.ndarray:
    """Cluster cells by K-means on principal components.

    Parameters
    ----------
    adata
        As for :func:`leiden_clusters`; not changed.
    n_clusters
        Number of clusters.
    seed
        Seed for the PCA and K-means.

    Returns
    -------
    Labels, ``(n_obs,)`` int.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> len(set(scclu.benchmark.pca_kmeans(adata, 10)))
    10
    """
    return kmeans(scaled_components(adata, seed=seed), n_clusters, random_state=seed)[0]


def leiden_clusters(
    adata: AnnData, *, n_clusters: int | None = None, resolution: float = 1.0, seed: int = 0
) -> np.ndarray:
    """Cluster cells by Leiden on the neighbour graph of principal components.

    Parameters
    ----------
    adata
        Annotated data with counts, normalised expression, log-normalised or scaled values in ``X``, which are
        distinguished as in :func:`scclu.tl.cicl`; it is not changed.
    n_clusters
        Number of clusters. The resolution is found by bisection; if no resolution gives this number, the clustering
        with the nearest number is returned.
    resolution
        Resolution of Leiden, used if `n_clusters` is None.
    seed
        Seed for the PCA and Leiden.

    Returns
    -------
    Labels, ``(n_obs,)`` int.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.benchmark.leiden_clusters(adata).shape
    (700,)
    >>> len(set(scclu.benchmark.leiden_clusters(adata, n_clusters=10)))
    10
    """
    components = scaled_components(adata, seed=seed)
    if n_clusters is not None:
        return leiden_at_k(components, n_clusters, seed=seed)
    return leiden_scan(components, [resolution], random_state=seed)[0]


def leiden_at_k(embedding: np.ndarray, n_clusters: int, *, n_neighbors: int = 15, seed: int = 0) -> np.ndarray:
    """Leiden at a resolution that gives a certain number of communities, which is found by bisection.

    Parameters
    ----------
    embedding
        Coordinates, ``(n_cells, n_dims)``, of at least 3 cells.
    n_clusters
        Number of communities.
    n_neighbors
        Number of neighbours in the graph.
    seed
        Seed for the neighbour search and Leiden.

    Returns
    -------
    Labels, ``(n_cells,)`` int, with the number of communities that is nearest to `n_clusters`.
    """
    graph = neighbor_graph(embedding, n_neighbors=n_neighbors, random_state=seed)
    low, high = _LOWEST, _HIGHEST
    best, gap = np.zeros(len(embedding), dtype=int), np.inf
    for _ in range(_N_HALVINGS):
        resolution = float(np.sqrt(low * high))
        labels = leiden_communities(graph, resolution=resolution, random_state=seed)
        found = int(labels.max()) + 1
        if abs(found - n_clusters) < gap:
            best, gap = labels, abs(found - n_clusters)
        if found == n_clusters:
            break
        low, high = (resolution, high) if found < n_clusters else (low, resolution)
    return best


def louvain_communities(
    embedding: np.ndarray, *, resolution: float = 1.0, n_neighbors: int = 15, seed: int = 0
) -> np.ndarray:
    """Louvain communities of the neighbour graph of an embedding, which requires the package ``louvain``.

    Parameters
    ----------
    embedding
        Coordinates, ``(n_cells, n_dims)``, of at least 3 cells.
    resolution
        Resolution of :func:`scanpy.tl.louvain`.
    n_neighbors
        Number of neighbours in the graph.
    seed
        Seed for the neighbour search and Louvain.

    Returns
    -------
    Labels, ``(n_cells,)`` int.
    """
    graph = neighbor_graph(embedding, n_neighbors=n_neighbors, random_state=seed)
    sc.tl.louvain(graph, resolution=resolution, random_state=seed)
    return graph.obs["louvain"].astype(int).to_numpy()


def scvi_latent(
    adata: AnnData,
    *,
    n_top_genes: int = 2000,
    max_epochs: int | None = None,
    batch_key: str | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Latent representation of scVI, trained on the counts of highly variable genes.

    As scVI seeds the global random states, so does this function.

    Parameters
    ----------
    adata
        Annotated data with counts in ``X``; it is not changed.
    n_top_genes
        Number of highly variable genes.
    max_epochs
        Number of epochs; scVI's default if None.
    batch_key
        Column of ``adata.obs`` with the batch of each cell, for which scVI corrects; no correction if None.
    seed
        Seed for scvi-tools.

    Returns
    -------
    Means of the latent variables, ``(n_obs, 10)`` float32.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.benchmark.scvi_latent(adata[:100], max_epochs=1).shape
    (100, 10)
    """
    import scvi

    work = AnnData(adata.X.copy(), obs=adata.obs[[] if batch_key is None else [batch_key]].copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scvi-tools and Lightning warn about their own defaults
        sc.pp.filter_genes(work, min_cells=3)
        logged = sc.pp.log1p(sc.pp.normalize_total(work, copy=True), copy=True)
        if work.n_vars > n_top_genes:
            table = sc.pp.highly_variable_genes(logged, n_top_genes=n_top_genes, inplace=False)
            work = work[:, table["highly_variable"].to_numpy()].copy()
        scvi.settings.seed = seed
        scvi.model.SCVI.setup_anndata(work, batch_key=batch_key)
        model = scvi.model.SCVI(work)
        model.train(max_epochs, enable_progress_bar=False)
        return model.get_latent_representation()


def scvi_kmeans(
    adata: AnnData, n_clusters: int, *, n_top_genes: int = 2000, max_epochs: int | None = None, seed: int = 0
) -> np.ndarray:
    """Cluster cells by K-means on the latent representation of scVI.

    Parameters
    ----------
    adata, n_top_genes, max_epochs
        As for :func:`scvi_latent`.
    n_clusters
        Number of clusters.
    seed
        Seed for scvi-tools and K-means.

    Returns
    -------
    Labels, ``(n_obs,)`` int.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> len(set(scclu.benchmark.scvi_kmeans(adata[:100], 3, max_epochs=1)))
    3
    """
    latent = scvi_latent(adata, n_top_genes=n_top_genes, max_epochs=max_epochs, seed=seed)
    return kmeans(latent, n_clusters, random_state=seed)[0]
