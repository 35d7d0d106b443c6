"""Zero-inflated negative binomial likelihood of raw counts (L_ZINB in Eq. 14)."""

from __future__ import annotations

import torch
from torch.nn.functional import softplus

__all__ = ["zinb_loss"]


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
    log_theta_mean = torch.log(theta + mean + eps)
    log_zero = theta * (torch.log(theta + eps) - log_theta_mean)
    soft = softplus(-dropout_logit)
    cell, gene = torch.nonzero(counts > 0, as_tuple=True)
    total = (softplus(log_zero - dropout_logit) - soft).sum()
    count, theta_at = counts[cell, gene], theta[gene]
    zero_at, logit_at, soft_at = log_zero[cell, gene], dropout_logit[cell, gene], soft[cell, gene]
    norm = torch.lgamma(count + theta_at) - torch.lgamma(theta_at) - torch.lgamma(count + 1.0)
    positive = zero_at + count * (torch.log(mean[cell, gene] + eps) - log_theta_mean[cell, gene]) + norm
    total = total + (positive - soft_at - logit_at - softplus(zero_at - logit_at) + soft_at).sum()
    return -total / counts.numel()
