"""How the embedding is clustered at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .consensus import consensus
from .kmeans import kmeans


def _kmeans(embedding: np.ndarray, n_clusters: int, *, random_state: int, **_: object) -> np.ndarray:
    return kmeans(embedding, n_clusters, random_state=random_state)[0]


CLUSTER_METHODS: dict[str, Callable[..., np.ndarray]] = {"consensus": consensus, "kmeans": _kmeans}


def partition(
    embedding: np.ndarray,
    n_clusters: int,
    *,
    method: str,
    random_state: int,
    n_hidden: int | None = None,
    others: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Cluster an embedding.

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``.
    n_clusters
        K.
    method
        A key of :data:`CLUSTER_METHODS`.
    random_state
        Seed.
    n_hidden
        Columns that come from a network; those after them are components of its input.
    others
        Further representations of the same cells, which vote in a consensus.

    Returns
    -------
    Labels ``(n_cells,)`` int, numbered by size: 0 is the largest cluster.
    """
    return by_size(
        CLUSTER_METHODS[method](embedding, n_clusters, random_state=random_state, n_hidden=n_hidden, others=others)
    )


def by_size(labels: np.ndarray) -> np.ndarray:
    """Number clusters by size, the largest first; ties keep their order."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return rank[codes]
