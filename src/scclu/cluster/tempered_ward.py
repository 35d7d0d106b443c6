"""Clusters of very different sizes: over-cluster, then merge with a tempered Ward cost."""

from __future__ import annotations

import numpy as np

from scclu.cluster.kmeans import kmeans

__all__ = ["merge_clusters", "tempered_ward"]


def merge_clusters(embedding: np.ndarray, labels: np.ndarray, n_clusters: int, *, temper: float = 0.7) -> np.ndarray:
    r"""Merge fine clusters pairwise, cheapest first, until ``n_clusters`` are left.

    The cost of a pair is

    .. math:: \|c_i - c_j\|^2 \left(\frac{n_i n_j}{n_i + n_j}\right)^\tau

    With :math:`\tau = 1` this is Ward's, the loss of K-means, which would rather cut a dominant type in two than keep a
    rare one; with :math:`\tau = 0` it is centroid linkage, which leaves outliers as clusters.

    Parameters
    ----------
    embedding
        Embedding of shape (N, d).
    labels
        Fine labels of shape (N,).
    n_clusters
        Clusters wanted; fewer come back when the fine labels are fewer.
    temper
        :math:`\tau` in [0, 1].

    Returns
    -------
    Integer labels of shape (N,).
    """
    if not 0.0 <= temper <= 1.0:
        raise ValueError(f"temper must be in [0, 1], but {temper} was passed.")
    embedding = np.asarray(embedding, dtype=np.float64)
    _, fine, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    n_fine, size = len(sizes), sizes.astype(np.float64)
    center = np.zeros((n_fine, embedding.shape[1]))
    np.add.at(center, fine, embedding)
    center /= size[:, None]
    distance = np.square(center[:, None] - center[None]).sum(axis=-1)
    np.fill_diagonal(distance, np.inf)
    group = np.arange(n_fine)
    for _ in range(n_fine - n_clusters):
        cost = distance * (size[:, None] * size / (size[:, None] + size)) ** temper
        keep, gone = sorted(np.unravel_index(np.argmin(cost), cost.shape))
        total = size[keep] + size[gone]
        center[keep] = (size[keep] * center[keep] + size[gone] * center[gone]) / total
        size[keep] = total
        group[group == gone] = keep
        row = np.square(center - center[keep]).sum(axis=1)
        row[np.isinf(distance[keep])] = np.inf
        distance[keep], distance[:, keep] = row, row
        distance[gone], distance[:, gone] = np.inf, np.inf
    return np.unique(group[fine], return_inverse=True)[1]


def tempered_ward(
    embedding: np.ndarray,
    n_clusters: int,
    *,
    over: float = 2.0,
    temper: float = 0.7,
    n_init: int = 5,
    random_state: int = 0,
) -> np.ndarray:
    """K-means into ``over * n_clusters`` fine clusters, merged by :func:`merge_clusters`.

    Parameters
    ----------
    embedding
        Embedding of shape (N, d).
    n_clusters
        Clusters wanted, K.
    over
        Fine clusters per cluster.
    temper
        See :func:`merge_clusters`.
    n_init, random_state
        Of K-means.

    Returns
    -------
    Integer labels of shape (N,).
    """
    n_fine = min(max(n_clusters, round(over * n_clusters)), len(embedding))
    fine, _ = kmeans(np.asarray(embedding), n_fine, random_state=random_state, n_init=n_init)
    return merge_clusters(embedding, fine, n_clusters, temper=temper)
