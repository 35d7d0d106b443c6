"""Reconstruction of the normalised graph from an embedding (part of L_REC in Eq. 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from scclu.graph.operator import SparseOperator

__all__ = ["graph_alignment_loss", "graph_reconstruction_loss"]


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
