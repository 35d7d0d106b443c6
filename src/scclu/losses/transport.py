"""Clustering loss against the transport target (Eq. 13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["transport_loss"]


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
