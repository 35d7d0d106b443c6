"""Propagation regularisation (Eq. 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import log_softmax

if TYPE_CHECKING:
    from torch import Tensor

    from scclu.graph.operator import SparseOperator

__all__ = ["jensen_shannon", "propagation_loss"]


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
