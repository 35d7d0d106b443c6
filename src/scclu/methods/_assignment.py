"""Soft assignment of cells to centroids."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from torch import nn


class CentroidHead(nn.Module):
    """Assignment of cells to clusters by Student-t similarity to centroids (:func:`student_t`).

    Parameters
    ----------
    n_clusters, n_dims
        Number of clusters and of dimensions of the embedding.
    dof
        Degrees of freedom.
    """

    def __init__(self, n_clusters: int, n_dims: int, dof: float):
        super().__init__()
        self.register_buffer("centroids", torch.zeros(n_clusters, n_dims))
        self.centroids: torch.Tensor
        self.dof = dof

    @classmethod
    def of(cls, centroids: np.ndarray, dof: float) -> Self:
        """The head of these centroids, ``(n_clusters, n_dims)`` float32."""
        n_clusters, n_dims = centroids.shape
        head = cls(n_clusters, n_dims, dof)
        head.centroids.copy_(torch.from_numpy(centroids))
        return head

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Similarities to the clusters, ``(n_cells, n_clusters)``; rows sum to one."""
        return student_t(embedding, self.centroids, self.dof)


def student_t(embedding: torch.Tensor, centroids: torch.Tensor, dof: float = 1.0) -> torch.Tensor:
    r"""Student-t similarity of each cell to each centroid (Eq. 8 of the CICL paper).

    .. math::

        q_{ij} = \frac{(1 + \|h_i - c_j\|^2 / \alpha)^{-(\alpha + 1) / 2}}
                      {\sum_k (1 + \|h_i - c_k\|^2 / \alpha)^{-(\alpha + 1) / 2}}

    Parameters
    ----------
    embedding
        h, ``(n_cells, n_dims)``.
    centroids
        c, ``(n_clusters, n_dims)``.
    dof
        Degrees of freedom alpha.

    Returns
    -------
    q, ``(n_cells, n_clusters)``; its rows sum to one. The largest entry of a row is at the nearest centroid (Eq. 9).
    """
    squared = torch.cdist(embedding, centroids, compute_mode="donot_use_mm_for_euclid_dist") ** 2
    return torch.softmax(-(dof + 1) / 2 * torch.log1p(squared / dof), dim=1)


def log_student_t(embedding: torch.Tensor, centroids: torch.Tensor, dof: float = 1.0) -> torch.Tensor:
    """Logarithm of :func:`student_t` by matrix products, whose gradients are finite where a cell is at a centroid.

    Parameters
    ----------
    embedding, centroids, dof
        As in :func:`student_t`.

    Returns
    -------
    log q, ``(n_cells, n_clusters)``.
    """
    squared = embedding.square().sum(1, keepdim=True) - 2 * embedding @ centroids.T + centroids.square().sum(1)
    return torch.log_softmax(-0.5 * (dof + 1) * torch.log1p(squared.clamp_min(0) / dof), dim=1)
