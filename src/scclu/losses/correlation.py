"""Correlation refinement of two views: across cells (Eq. 4) and across latent dimensions (Eq. 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["cell_correlation_loss", "cluster_readout", "latent_correlation_loss"]


def cell_correlation_loss(first: Tensor, second: Tensor) -> Tensor:
    r"""Mean squared deviation of the cell-by-cell cosine matrix of two views from the identity (one term of Eq. 4).

    With unit rows :math:`U, V`, :math:`\sum_{ij} R_{ij}^2 = \langle U'U, V'V \rangle` and
    :math:`\operatorname{tr} R = \sum_i u_i' v_i`, so that

    .. math:: \frac{1}{N^2} \|R - I\|^2 = \frac{1}{N^2} (\langle U'U, V'V \rangle - 2 \operatorname{tr} R + N)

    Parameters
    ----------
    first, second
        Embeddings of the two views, each of shape (N, d).

    Returns
    -------
    Scalar; time O(N d^2), memory O(N d).
    """
    first, second = normalize(first, dim=1), normalize(second, dim=1)
    squared = torch.sum((first.T @ first) * (second.T @ second))
    return (squared - 2.0 * torch.sum(first * second) + len(first)) / len(first) ** 2


def cluster_readout(embedding: Tensor, assignment: Tensor) -> Tensor:
    r"""Readout :math:`\mathcal R: \mathbb R^{d \times N} \to \mathbb R^{d \times K}`: the mean of each cluster (Eq. 5).

    Parameters
    ----------
    embedding
        Embedding of shape (N, d).
    assignment
        Soft or one-hot cluster memberships of shape (N, K). An empty cluster reads out as zero.

    Returns
    -------
    Tensor of shape (d, K), unchanged when the cells are reordered.
    """
    return (embedding.T @ assignment) / assignment.sum(dim=0).clamp_min(1e-8)


def latent_correlation_loss(first: Tensor, second: Tensor, assignment: Tensor) -> Tensor:
    r"""Mean squared deviation of the d x d cosine matrix of two readouts from the identity (one term of Eq. 5).

    Parameters
    ----------
    first, second
        Embeddings of the two views, each of shape (N, d).
    assignment
        Memberships of shape (N, K), see :func:`cluster_readout`.

    Returns
    -------
    Scalar.
    """
    first = normalize(cluster_readout(first, assignment), dim=1)
    second = normalize(cluster_readout(second, assignment), dim=1)
    correlation = first @ second.T
    return torch.mean((correlation - torch.eye(len(correlation), dtype=first.dtype, device=first.device)) ** 2)
