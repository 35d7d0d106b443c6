"""Final clustering of an embedding: consensus or K-means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from scclu.cluster.consensus import consensus
from scclu.cluster.kmeans import kmeans

# with more cells, the consensus is computed on a sample of this size and the other cells are assigned
REFERENCE_CELLS = 20_000
_N_NEIGHBORS = 15


def _kmeans(embedding: np.ndarray, n_clusters: int, *, random_state: int, **_: object) -> np.ndarray:
    return kmeans(embedding, n_clusters, random_state=random_state)[0]


def _consensus(embedding: np.ndarray, n_clusters: int, *, others: Sequence[np.ndarray], **options: Any) -> np.ndarray:
    """Consensus of a sample; if there are more cells, all of them are assigned by a vote of their neighbours."""
    reference = embedding[:REFERENCE_CELLS]
    labels = consensus(reference, n_clusters, others=[other[:REFERENCE_CELLS] for other in others], **options)
    return labels if len(embedding) == len(reference) else vote_of_neighbors(reference, labels, embedding)


CLUSTER_METHODS: dict[str, Callable[..., np.ndarray]] = {"consensus": _consensus, "kmeans": _kmeans}


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
        ``(n_cells, n_dims)``; cells in random order.
    n_clusters
        Number of clusters.
    method
        A key of :data:`CLUSTER_METHODS`.
    random_state
        Random seed.
    n_hidden
        Number of leading columns that come from a network; the others are components of its input.
    others
        Further representations that vote in a consensus, of all cells or of the first :data:`REFERENCE_CELLS`.

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


def vote_of_neighbors(reference: np.ndarray, labels: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Assign cells to the cluster that is most frequent among their nearest reference cells.

    Parameters
    ----------
    reference, labels
        ``(n_reference, n_dims)`` and ``(n_reference,)`` int.
    cells
        ``(n_cells, n_dims)``.

    Returns
    -------
    ``(n_cells,)`` int.
    """
    model = KNeighborsClassifier(min(_N_NEIGHBORS, len(reference)), algorithm="brute")
    return model.fit(reference, labels).predict(cells)
