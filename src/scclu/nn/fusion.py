"""Adaptive information fusion (Eq. 6-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["AdaptiveFusion", "self_correlation"]


def self_correlation(embedding: Tensor, landmarks: Tensor | None = None) -> Tensor:
    r"""Recombined embedding :math:`Z^R = softmax(Z^E Z^{E\prime}) Z^E`, never forming the N x N matrix.

    Parameters
    ----------
    embedding
        :math:`Z^E` of shape (N, d).
    landmarks
        Optional rows (M, d) that stand for all cells. With M cells drawn evenly at random each row is a self-normalised
        importance estimate of the exact one: its error falls as :math:`1 / \sqrt{M}`.

    Returns
    -------
    Tensor of shape (N, d); memory O(N d).
    """
    keys = embedding if landmarks is None else landmarks
    # four axes select the fused kernel, which keeps no N x N matrix
    return scaled_dot_product_attention(embedding[None, None], keys[None, None], keys[None, None], scale=1.0)[0, 0]


class AdaptiveFusion(nn.Module):
    r"""Mean of the views, one propagation, and a learned share of self-correlation.

    Parameters
    ----------
    exact_limit
        Up to this many cells Eq. 7 is exact; above, ``n_landmarks`` evenly drawn cells stand for all.
    n_landmarks
        Number of landmarks.
    """

    def __init__(self, exact_limit: int = 10_000, n_landmarks: int = 2048) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(()))
        self.exact_limit = exact_limit
        self.n_landmarks = n_landmarks

    def forward(self, views: list[Tensor], average: Callable[[Tensor], Tensor], n_reference: int) -> Tensor:
        r"""Fuse views of shape (N, d): :math:`Z = Z^E + \beta Z^R` with :math:`Z^E = \tilde A\, mean(views)`.

        Parameters
        ----------
        views
            Embeddings :math:`Z^{G1}, Z^{G2}, Z^{C1}, Z^{C2}`, each (N, d).
        average
            Product with :math:`\tilde A` of shape (N, N).
        n_reference
            Self-correlation runs over the first so many cells: all of them, or those without the new ones.
        """
        enhanced = average(torch.stack(views).mean(dim=0))
        return enhanced + self.beta * self_correlation(enhanced, self._landmarks(enhanced[:n_reference]))

    def _landmarks(self, enhanced: Tensor) -> Tensor:
        if len(enhanced) <= self.exact_limit:
            return enhanced
        generator = torch.Generator().manual_seed(0)
        index = torch.randperm(len(enhanced), generator=generator)[: self.n_landmarks]
        return enhanced[index.to(enhanced.device)]
