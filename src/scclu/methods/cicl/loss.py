"""Instance-wise and cluster-aware contrastive losses of CICL, from blocks of one similarity matrix."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

# number of similarities per block: 32 M of float32 are 128 MB, and the backward pass needs three times that
_CHUNK_VALUES = 32 * 2**20


class ClusterAwareContrastiveLoss(nn.Module):
    r"""The two losses of CICL (Eq. 12-16).

    Let s be the cosine similarities of the 2B projections of both views and T the temperature. For a projection a, let
    a' be the other view of its cell, P(a) the other projections of its cluster, and N(a) those of other clusters:

    .. math::

        l_{ins}(a) = -\log \frac{e^{s_{aa'} / T}}{\sum_{b \ne a} e^{s_{ab} / T}}, \qquad
        l_{clu}(a) = -\log \frac{\sum_{b \in P(a)} e^{s_{ab} / T}}{\sum_{b \in N(a)} e^{s_{ab} / T}}

    Each loss is the mean over the 2B projections. If all cells are in one cluster, N is empty and the cluster-aware
    loss is 0. For a cell that is alone in its cluster, P contains its other view.

    Parameters
    ----------
    temperature
        T; 0.5 in the paper.
    chunk_rows
        Number of rows of the 2B x 2B similarity matrix per block; blocks are recomputed in the backward pass. ``None``
        chooses blocks of at most 32 million entries, so that memory is O(B) instead of O(B^2).

    References
    ----------
    Jiang et al., scRNA-seq Data Clustering by Cluster-aware Iterative Contrastive Learning, section 2.2.4.
    """

    def __init__(self, temperature: float = 0.5, chunk_rows: int | None = None):
        super().__init__()
        self.temperature = temperature
        self.chunk_rows = chunk_rows

    def forward(
        self, z: torch.Tensor, labels: torch.Tensor, cells: slice = slice(None)
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both losses.

        Parameters
        ----------
        z
            Projections of the two views, ``(2, n_cells, n_dims)``.
        labels
            Pseudo-labels of the cells, ``(n_cells,)``.
        cells
            Add up these cells' share of the means alone, contrasted with all cells: the shares of a division of the
            cells sum to the losses.

        Returns
        -------
        The instance-wise loss (Eq. 14) and the cluster-aware loss (Eq. 16), scalars, in float32 at least.
        """
        with torch.autocast(z.device.type, enabled=False):
            z = F.normalize(z.flatten(0, 1).to(torch.promote_types(z.dtype, torch.float32)), dim=1)
            labels = labels.repeat(2)
            n = len(z)
            own = torch.arange(n, device=z.device).view(2, -1)[:, cells].flatten()
            step = self.chunk_rows or max(1, _CHUNK_VALUES // n)
            total = z.new_zeros(2)
            for rows in own.split(step):
                if n <= step:
                    total = total + self._row_losses(z, labels, rows)
                else:
                    total = total + checkpoint(
                        self._row_losses, z, labels, rows, use_reentrant=False, preserve_rng_state=False
                    )
            instance, cluster = total / n
        return instance, cluster

    def _row_losses(self, z: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Sums of both losses over `rows`, shape ``(2,)``."""
        scaled = z[rows] / self.temperature
        positive = (scaled * z[(rows + len(z) // 2) % len(z)]).sum(1)
        similarity = scaled @ z.T
        # without a node of autograd for the diagonal: where the exponential is 0, so is its gradient
        similarity.detach()[torch.arange(len(rows), device=z.device), rows] = -torch.inf
        largest = similarity.detach().amax(1, keepdim=True)
        clusters, cluster = labels.unique(return_inverse=True)
        members = F.one_hot(cluster, len(clusters)).to(z.dtype)
        by_cluster = (similarity - largest).exp() @ members
        own = cluster[rows, None]
        # a low temperature can make one of the two sums 0
        tiny = torch.finfo(z.dtype).tiny
        same, others = by_cluster.gather(1, own), by_cluster.scatter(1, own, 0.0).sum(1, keepdim=True)
        log_all = (same + others).log() + largest
        contrast = others.clamp_min(tiny).log() - same.clamp_min(tiny).log()
        return torch.stack(((log_all[:, 0] - positive).sum(), contrast.sum() * (len(clusters) > 1)))
