"""Losses of scSiameseClu, in memory linear in the number of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import log_softmax, normalize, softplus

if TYPE_CHECKING:
    from torch import Tensor

    from scclu.graph.operator import SparseOperator


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


def graph_reconstruction_loss(embedding: Tensor, operator: SparseOperator) -> Tensor:
    r"""Mean squared error of the inner-product decoder, :math:`\frac{1}{N^2} \|Z Z' - \tilde A\|^2`, by Gram matrices.

    .. math:: \|ZZ' - \tilde A\|^2 = \langle Z'Z, Z'Z \rangle - 2 \langle Z, \tilde A Z \rangle + \|\tilde A\|^2

    Parameters
    ----------
    embedding
        Z of shape (N, d).
    operator
        :math:`\tilde A` of shape (N, N).

    Returns
    -------
    Scalar; time O(N d^2 + edges d), memory O(N d).
    """
    gram, cross = _products(embedding, operator)
    return (gram - 2.0 * cross + operator.squared_norm) / len(embedding) ** 2


def graph_alignment_loss(embedding: Tensor, operator: SparseOperator) -> Tensor:
    r"""Relative squared error of the decoder :math:`c Z Z'` with the best scale :math:`c \ge 0`, in [0, 1].

    .. math::
        \min_{c \ge 0} \frac{\|c ZZ' - \tilde A\|^2}{\|\tilde A\|^2}
        = 1 - \frac{\max(0, \langle Z, \tilde A Z \rangle)^2}{\langle Z'Z, Z'Z \rangle \|\tilde A\|^2}

    The entries of :math:`\tilde A` are about 1/degree, so the literal error shrinks Z until the Student-t assignment is
    flat; this one leaves the scale of Z to the other terms and does not change with N.

    Parameters
    ----------
    embedding
        Z of shape (N, d).
    operator
        :math:`\tilde A` of shape (N, N).

    Returns
    -------
    Scalar; time O(N d^2 + edges d), memory O(N d).
    """
    gram, cross = _products(embedding, operator)
    return 1.0 - cross.clamp_min(0.0).square() / (gram * operator.squared_norm + 1e-12)


def _products(embedding: Tensor, operator: SparseOperator) -> tuple[Tensor, Tensor]:
    """Squared norm of ``Z Z'`` and its inner product with the graph."""
    gram = embedding.T @ embedding
    return torch.sum(gram * gram), torch.sum(embedding * (operator @ embedding))


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    r"""Mean Jensen-Shannon divergence of the row-wise softmax of two embeddings, in nats.

    :math:`JSD(p, q) = \frac12 KL(p \| m) + \frac12 KL(q \| m)` with :math:`m = (p + q) / 2`; it is symmetric, zero for
    equal rows and at most :math:`\ln 2`.

    Parameters
    ----------
    first, second
        Logits of shape (N, d).

    Returns
    -------
    Scalar.
    """
    log_p, log_q = log_softmax(first, dim=1), log_softmax(second, dim=1)
    p, q = log_p.exp(), log_q.exp()
    log_m = (0.5 * (p + q)).clamp_min(1e-30).log()
    return 0.5 * ((p * (log_p - log_m)).sum(dim=1) + (q * (log_q - log_m)).sum(dim=1)).mean()


def propagation_loss(embedding: Tensor, operator: SparseOperator) -> Tensor:
    r"""Divergence of an embedding from its own propagation, :math:`JSD(Z, \tilde A Z)` (Eq. 8).

    Parameters
    ----------
    embedding
        Z of shape (N, d).
    operator
        :math:`\tilde A` of shape (N, N).
    """
    return jensen_shannon(embedding, operator @ embedding)


def transport_loss(target: Tensor, log_assignment: Tensor) -> Tensor:
    r"""Divergence :math:`KL(\hat P \| Q)` of Eq. 13, averaged over cells so that its size does not grow with N.

    Parameters
    ----------
    target
        Fixed plan :math:`\hat P` of shape (N, K), rows sum to one.
    log_assignment
        :math:`\log Q` of shape (N, K).
    """
    return torch.sum(torch.xlogy(target, target) - target * log_assignment) / len(target)


# the log-likelihood of larger counts and means exceeds the range of float32
_MAX_COUNT = 1e30


def zinb_loss(
    counts: torch.Tensor, mean: torch.Tensor, log_dispersion: torch.Tensor, dropout_logit: torch.Tensor
) -> torch.Tensor:
    r"""Mean negative log-likelihood of counts under ZINB, equal to scvi's ``ZeroInflatedNegativeBinomial``.

    The log-gamma terms, nearly all of the cost, vanish at zero counts and are computed for the positive ones alone.

    Parameters
    ----------
    counts
        Raw counts of shape (n, G).
    mean
        :math:`\mu` of shape (n, G), size factors already multiplied in.
    log_dispersion
        :math:`\ln \theta` of shape (G,).
    dropout_logit
        Logit of the extra zeros, of shape (n, G).

    Returns
    -------
    Scalar, mean over cells and genes.
    """
    eps = 1e-8
    theta = log_dispersion.exp()
    mean = mean.clamp_max(_MAX_COUNT)
    log_theta_mean = torch.log(theta + mean + eps)
    log_zero = theta * (torch.log(theta + eps) - log_theta_mean)
    soft = softplus(-dropout_logit)
    cell, gene = torch.nonzero(counts > 0, as_tuple=True)
    total = (softplus(log_zero - dropout_logit) - soft).sum()
    count, theta_at = counts[cell, gene].clamp_max(_MAX_COUNT), theta[gene]
    zero_at, logit_at, soft_at = log_zero[cell, gene], dropout_logit[cell, gene], soft[cell, gene]
    norm = torch.lgamma(count + theta_at) - torch.lgamma(theta_at) - torch.lgamma(count + 1.0)
    positive = zero_at + count * (torch.log(mean[cell, gene] + eps) - log_theta_mean[cell, gene]) + norm
    total = total + (positive - soft_at - logit_at - softplus(zero_at - logit_at) + soft_at).sum()
    return -total / counts.numel()
