"""K-means that does not fight over threads."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController

# below this many values per iteration, threads cost more than they do
_SERIAL_WORK = 5_000_000


@cache
def _threadpools() -> ThreadpoolController:
    # finding the libraries takes longer than a K-means of a few hundred cells
    return ThreadpoolController()


def one_thread() -> AbstractContextManager:
    """Run the numerical libraries on one thread inside the block."""
    return _threadpools().limit(limits=1)


def kmeans(
    embedding: np.ndarray,
    n_clusters: int,
    *,
    random_state: int,
    init: np.ndarray | None = None,
    n_init: int = 10,
    max_iter: int = 300,
) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm by scikit-learn.

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)`` float32.
    n_clusters
        K, at most ``n_cells``.
    random_state
        Seed of the starts.
    init
        Centroids to start from (a warm start), ``(n_clusters, n_dims)``; ``None`` takes the best of `n_init`
        k-means++ starts.
    n_init, max_iter
        As in :class:`sklearn.cluster.KMeans`.

    Returns
    -------
    Labels ``(n_cells,)`` int and centroids ``(n_clusters, n_dims)`` float32.
    """
    model = KMeans(
        n_clusters,
        init="k-means++" if init is None else init,
        n_init=n_init if init is None else 1,
        max_iter=max_iter,
        random_state=random_state,
    )
    small = embedding.size * n_clusters < _SERIAL_WORK
    with one_thread() if small else nullcontext(), warnings.catch_warnings():
        # fewer distinct cells than clusters: whoever asked for the clusters says so, once
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = model.fit_predict(embedding)
    return labels, model.cluster_centers_.astype(np.float32, copy=False)
