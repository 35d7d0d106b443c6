"""The usual pipelines, as scanpy's tutorials run them."""

from __future__ import annotations

import warnings

import numpy as np
import scanpy as sc
from anndata import AnnData

from scclu.benchmark.communities import leiden_at_k
from scclu.cluster.kmeans import kmeans
from scclu.cluster.leiden import leiden
from scclu.data.matrix import read_matrix
from scclu.data.recipe import detect_kind


def scaled_components(adata: AnnData, *, n_top_genes: int = 2000, n_components: int = 50, seed: int = 0) -> np.ndarray:
    """Principal components: normalise, log, highly variable genes, scale, PCA.

    Log-normalised values are neither normalised nor logged again; scaled ones go into the PCA as they are.

    Parameters
    ----------
    adata
        Counts, normalised expression, log-normalised or scaled values in ``X``, told apart as
        :func:`scclu.tl.cicl` does; not changed.
    n_top_genes, n_components
        Highly variable genes, and principal components (fewer where there are fewer cells or genes).
    seed
        Of the PCA's solver.

    Returns
    -------
    ``(n_obs, n_components)`` float32.
    """
    matrix, _, source = read_matrix(adata)
    kind = detect_kind(matrix, source)
    work = AnnData(matrix.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scanpy, about its own defaults
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
    """K-means on principal components.

    Parameters
    ----------
    adata
        As for :func:`leiden_clusters`; not changed.
    n_clusters
        K.
    seed
        Of the PCA and of K-means.

    Returns
    -------
    Labels ``(n_obs,)`` int.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> len(set(scclu.benchmark.pca_kmeans(adata, 10)))
    10
    """
    return kmeans(scaled_components(adata, seed=seed), n_clusters, random_state=seed)[0]


def scvi_latent(adata: AnnData, *, n_top_genes: int = 2000, max_epochs: int | None = None, seed: int = 0) -> np.ndarray:
    """The latent space of scVI, ``(n_obs, 10)`` float32.

    The genes are the highly variable ones of ``scaled_components``; scVI reads their counts. It seeds the global
    random state, as it does for every user.

    Parameters
    ----------
    adata
        Counts in ``X``; not changed.
    n_top_genes
        Highly variable genes.
    max_epochs
        ``None`` is scVI's default.
    seed
        Of scvi-tools.

    Returns
    -------
    Means of the latent variables.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.benchmark.scvi_latent(adata[:100], max_epochs=1).shape
    (100, 10)
    """
    import scvi

    work = AnnData(adata.X.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scvi-tools and Lightning, about their own defaults
        sc.pp.filter_genes(work, min_cells=3)
        logged = sc.pp.log1p(sc.pp.normalize_total(work, copy=True), copy=True)
        if work.n_vars > n_top_genes:
            table = sc.pp.highly_variable_genes(logged, n_top_genes=n_top_genes, inplace=False)
            work = work[:, table["highly_variable"].to_numpy()].copy()
        scvi.settings.seed = seed
        scvi.model.SCVI.setup_anndata(work)
        model = scvi.model.SCVI(work)
        model.train(max_epochs, enable_progress_bar=False)
        return model.get_latent_representation()


def scvi_kmeans(
    adata: AnnData, n_clusters: int, *, n_top_genes: int = 2000, max_epochs: int | None = None, seed: int = 0
) -> np.ndarray:
    """K-means on the latent space of scVI.

    Parameters
    ----------
    adata, n_top_genes, max_epochs
        As for :func:`scvi_latent`.
    n_clusters
        K.
    seed
        Of scvi-tools and of K-means.

    Returns
    -------
    Labels ``(n_obs,)`` int.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> len(set(scclu.benchmark.scvi_kmeans(adata[:100], 3, max_epochs=1)))
    3
    """
    latent = scvi_latent(adata, n_top_genes=n_top_genes, max_epochs=max_epochs, seed=seed)
    return kmeans(latent, n_clusters, random_state=seed)[0]


def leiden_clusters(
    adata: AnnData, *, n_clusters: int | None = None, resolution: float = 1.0, seed: int = 0
) -> np.ndarray:
    """Leiden on the neighbours in principal components, at a resolution or at K.

    Parameters
    ----------
    adata
        Counts, normalised expression, log-normalised or scaled values in ``X``, told apart as
        :func:`scclu.tl.cicl` does; not changed.
    n_clusters
        K: the resolution that gives it is found by bisection. Where none that is tried does, the nearest number is
        returned.
    resolution
        Of Leiden, where `n_clusters` is ``None``.
    seed
        Of the PCA and of Leiden.

    Returns
    -------
    Labels ``(n_obs,)`` int.

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
    return leiden(components, resolution=resolution, random_state=seed)
