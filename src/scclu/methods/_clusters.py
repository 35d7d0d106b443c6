"""Final clusters of a model: assignment of cells by its head, and what the user is told."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch

from scclu._checks import check_number, listed
from scclu._settings import warn
from scclu.cluster.head import LinearHead
from scclu.cluster.kmeans import kmeans
from scclu.cluster.numbering import by_size
from scclu.cluster.space import cluster_means
from scclu.methods._assignment import CentroidHead

logger = logging.getLogger(__name__)
_BATCH = 65_536


def assigned(head: LinearHead | CentroidHead, embedding: np.ndarray) -> np.ndarray:
    """Probabilities of the clusters, ``(n_cells, n_clusters)`` float32, for an embedding on the CPU."""
    device = next(head.buffers()).device
    with torch.inference_mode():
        parts = [head(part.to(device)).cpu() for part in torch.from_numpy(embedding).split(_BATCH)]
    return torch.cat(parts).numpy()


def kmeans_head(embedding: np.ndarray, n_clusters: int, *, dof: float, random_state: int) -> CentroidHead:
    """Head of the clusters that K-means finds, the largest first."""
    labels = by_size(kmeans(embedding, n_clusters, random_state=random_state)[0])
    return CentroidHead.of(cluster_means(embedding, labels).astype(np.float32), dof)


def described(n_clusters: int) -> str:
    """Sentence about the number of clusters found."""
    if n_clusters == 1:
        return "All cells are in one cluster: no two groups of cells are distinct"
    return f"{n_clusters} clusters are distinct"


def warn_about_sizes(labels: np.ndarray, n_clusters: int, min_cluster_size: int) -> None:
    """Warn about empty and small clusters if the user has chosen their number."""
    sizes = np.bincount(labels)
    if len(sizes) < n_clusters:
        warn(
            f"{n_clusters - len(sizes)} of {n_clusters} clusters are empty: the data does not support that many. "
            "Pass a smaller n_clusters.",
        )
    small = np.flatnonzero(sizes < min_cluster_size)
    if len(small):
        logger.warning(
            "%d of %d clusters have fewer cells than min_cluster_size (%d): %s. A smaller n_clusters avoids them, and "
            "n_clusters=None finds the number of distinct clusters.",
            len(small),
            len(sizes),
            min_cluster_size,
            listed([str(each) for each in small]),
        )


def check_n_clusters(n_clusters: Any, n_cells: int, source: str) -> None:
    """Raise unless `n_clusters` is ``None`` or a number of clusters that `n_cells` cells can have."""
    if n_cells < 2:
        raise ValueError(f"{source} has {n_cells} cell; clustering needs at least 2.")
    if n_clusters is None:
        return
    check_number("n_clusters", n_clusters, integer=True, low=2)
    if n_clusters > n_cells:
        raise ValueError(f"n_clusters must be at most the number of cells ({n_cells}), but {n_clusters} was passed.")
