"""Final clusters of a trained network, by assignment or by consensus."""

from __future__ import annotations

import logging

import numpy as np
import torch

from scclu.cluster.final import by_size, partition
from scclu.methods._base import cluster_means
from scclu.methods.scsiameseclu.module import ScSiameseCluModule
from scclu.methods.scsiameseclu.refresh import JointRefresh

logger = logging.getLogger(__name__)


def final_clusters(
    refresh: JointRefresh,
    embedding: torch.Tensor,
    representations: tuple[np.ndarray, ...],
    *,
    method: str,
    random_state: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster the cells after training.

    Parameters
    ----------
    refresh
        The callback of joint training, with the network and its batches.
    embedding
        Fused embedding of all cells, ``(n_cells, n_latent)``.
    representations
        Representations of the input that take part in the consensus.
    method
        ``"assignment"`` or ``"consensus"``.
    random_state
        Random seed of the consensus.

    Returns
    -------
    Labels by size, ``(n_cells,)`` int, and the centroids of the clusters, ``(n_clusters, n_dims)``.
    """
    module = refresh.module
    if method == "consensus":
        features, n_clusters = refresh.batches.features.numpy(), len(module.trained_centroids)
        return vote(embedding.numpy(), features, representations, n_clusters, random_state=random_state)
    if not module.ot_weight:  # no clusters were learned
        refresh.set_clusters(embedding)
    return assign(module, embedding)


def assign(module: ScSiameseCluModule, embedding: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Assign each cell to its most probable cluster under Q; returns labels by size, and the centroids."""
    assigned = module.log_assignment(embedding.to(module.device)).argmax(1).cpu().numpy()
    labels = by_size(assigned)
    kept = [assigned[labels == k][0] for k in range(int(labels.max()) + 1)]
    return labels, module.trained_centroids.detach().cpu().numpy()[kept]


def vote(
    embedding: np.ndarray,
    features: np.ndarray,
    representations: tuple[np.ndarray, ...],
    n_clusters: int,
    *,
    random_state: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster by consensus of the embedding and the input; returns labels by size, and the centroids."""
    logger.info("Clustering the embedding of %d cells (consensus).", len(embedding))
    blocks = [_unit_norm(embedding - embedding.mean(0)), _unit_norm(features)]
    labels = partition(
        np.hstack(blocks),
        n_clusters,
        method="consensus",
        random_state=random_state,
        n_hidden=embedding.shape[1],
        others=representations,
    )
    return labels, cluster_means(embedding, labels)


def _unit_norm(block: np.ndarray) -> np.ndarray:
    """Scale rows to a mean squared norm of 1; if the rows differ by rounding errors only, return zeros."""
    norm = float(np.sqrt((block**2).sum(axis=1).mean()))
    return block / norm if norm > 1e-4 else np.zeros_like(block)
