"""K-means by scikit-learn, on one thread for small data."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
from sklearn.cluster import KMeans

from scclu._process import known_warnings_ignored, one_thread

# Number of products per iteration below which several threads are slower than one.
_SERIAL_WORK = 5_000_000


def kmeans(
    embedding: np.ndarray,
    n_clusters: int,
    *,
    random_state: int,
    init: np.ndarray | None = None,
    n_init: int = 10,
    max_iter: int = 300,
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster an embedding by K-means (Lloyd's algorithm).

    Parameters
    ----------
    embedding
        Coordinates, ``(n_cells, n_dims)`` float32.
    n_clusters
        Number of clusters, at most ``n_cells``.
    random_state
        Seed for the initialisation.
    init
        Initial centroids, ``(n_clusters, n_dims)``; if None, the best of `n_init` k-means++ initialisations is used.
    n_init, max_iter
        Number of initialisations and largest number of iterations, as in :class:`sklearn.cluster.KMeans`.

    Returns
    -------
    Labels, ``(n_cells,)`` int, and centroids, ``(n_clusters, n_dims)`` float32.
    """
    model = KMeans(
        n_clusters,
        init="k-means++" if init is None else init,
        n_init=n_init if init is None else 1,
        max_iter=max_iter,
        random_state=random_state,
    )
    small = embedding.size * n_clusters < _SERIAL_WORK
    # scikit-learn warns about fewer distinct cells than clusters; callers warn about empty clusters instead
    with one_thread() if small else nullcontext(), known_warnings_ignored.held():
        labels = model.fit_predict(embedding)
    return labels, model.cluster_centers_.astype(np.float32, copy=False)
