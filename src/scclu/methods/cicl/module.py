"""The network of CICL."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from scclu.cluster.head import LinearHead
from scclu.methods._assignment import CentroidHead, student_t
from scclu.methods._components import JointComponents
from scclu.methods._randomness import RandomStream
from scclu.methods.cicl.encoder import Attention, CellEncoder, gaussian_noise, mask_genes
from scclu.methods.cicl.loss import ClusterAwareContrastiveLoss

# norm of the output's part of the embedding relative to that of the input's
_HIDDEN_WEIGHT = 0.5
# settings that are arguments of the network
MODULE_SETTINGS = (
    "n_layers",
    "n_heads",
    "n_hidden",
    "attention",
    "mask_rate",
    "noise_scale",
    "temperature",
    "cluster_weight",
    "dof",
    "n_components",
)


class CICLLosses(NamedTuple):
    """The terms of Eq. 17 for one minibatch, scalars."""

    loss: torch.Tensor
    instance_loss: torch.Tensor
    cluster_loss: torch.Tensor


class Share(NamedTuple):
    """The part of a minibatch that one of several devices holds.

    Attributes
    ----------
    n_cells
        Number of cells in the whole minibatch.
    cells
        Position of this device's cells in it.
    n_devices
        Number of devices that share it.
    gather
        Collects ``(n_cells, ...)`` from all devices, given the cells of this one; differentiable.
    """

    n_cells: int
    cells: slice
    n_devices: int
    gather: Callable[[torch.Tensor], torch.Tensor]


class CICLModule(nn.Module):
    """Encoder, projection head, centroids and losses of CICL.

    Parameters
    ----------
    moments
        Mean and standard deviation of each gene over the training cells, then those of the clipped z-scores,
        ``(4, n_genes)``: the z-score is part of the network.
    n_clusters, n_layers, n_heads, n_hidden, attention, mask_rate, noise_scale
        As in :class:`scclu.model.CICL`. The projection head has `n_hidden` and half as many units.
    temperature, cluster_weight, dof, n_components
        As in :class:`scclu.model.CICL`.
    max_value
        Z-scores are clipped to [-max_value, max_value]; ``None`` does not clip.
    linear_head
        Whether the final clusters are assigned by a linear classifier or by similarity to centroids.
    augmentation_seed
        Random seed of the augmented views.
    """

    def __init__(
        self,
        moments: torch.Tensor,
        n_clusters: int,
        *,
        n_layers: int,
        n_heads: int,
        n_hidden: int,
        attention: Attention,
        mask_rate: float,
        noise_scale: float,
        temperature: float,
        cluster_weight: float,
        dof: float,
        n_components: int,
        max_value: float | None,
        linear_head: bool = True,
        augmentation_seed: int = 0,
    ):
        super().__init__()
        self.register_buffer("moments", moments)
        n_genes = moments.shape[1]
        self.joint = JointComponents(n_hidden, n_genes, n_components, _HIDDEN_WEIGHT) if n_components else None
        n_embedding = sum(self.joint.n_components) if self.joint else n_hidden
        # centroids of the pseudo-labels of K-means
        self.register_buffer("pseudo_centroids", torch.zeros(n_clusters, n_hidden))
        self.moments: torch.Tensor
        self.pseudo_centroids: torch.Tensor
        # the rule of the final clusters, fitted after training
        self.head: LinearHead | CentroidHead
        if linear_head:
            self.head = LinearHead(n_clusters, n_embedding)
        else:
            self.head = CentroidHead(n_clusters, n_embedding, dof)
        self.encoder = CellEncoder(n_genes, n_hidden, n_layers, n_heads, attention)
        self.projection = nn.Sequential(
            nn.Linear(n_hidden, n_hidden), nn.ReLU(), nn.Linear(n_hidden, max(1, n_hidden // 2))
        )
        self.contrastive = ClusterAwareContrastiveLoss(temperature)
        self.augmentation = RandomStream(augmentation_seed)
        self.mask_rate = mask_rate
        self.noise_scale = noise_scale
        self.cluster_weight = cluster_weight
        self.dof = dof
        self.max_value = max_value

    @property
    def device(self) -> torch.device:
        """Device of the parameters, which scvi-tools asks a module for."""
        return self.moments.device

    def on_load(self, model: object, **_: object) -> None:
        """Do nothing; scvi-tools calls this after loading."""

    def standardise(self, x: torch.Tensor) -> torch.Tensor:
        """Z-score of log-normalised values, clipped and z-scored again, ``(n_cells, n_genes)``."""
        mean, scale, clipped_mean, clipped_scale = self.moments
        x = (x - mean).div_(scale)
        if self.max_value is None:
            return x
        return x.clamp_(-self.max_value, self.max_value).sub_(clipped_mean).div_(clipped_scale)

    def augment(self, x: torch.Tensor, share: Share | None = None) -> torch.Tensor:
        """Two augmented views of standardised cells, ``(2, n_cells, n_genes)``, different at every call.

        Each device draws for the whole minibatch, so that views do not depend on how it is divided.
        """
        if share is not None:
            whole = x.new_zeros(share.n_cells, x.shape[1])
            whole[share.cells] = x
            return self.augment(whole)[:, share.cells]
        views = x.expand(2, *x.shape)
        generator = self.augmentation.on(x.device)
        return mask_genes(gaussian_noise(views, self.noise_scale, generator), self.mask_rate, generator)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """H of log-normalised cells (Eq. 7), ``(n_cells, n_hidden)`` float32."""
        return self._encode(self.standardise(x))

    def _encode(self, standardised: torch.Tensor) -> torch.Tensor:
        return self.encoder(standardised[None])[0].float()

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """The embedding that is clustered: H, or components of H and of the input, ``(n_cells, n_embedding)``."""
        x = self.standardise(x)
        return self._encode(x) if self.joint is None else self.joint(self._encode(x), x)

    def pseudo_labels(self, hidden: torch.Tensor) -> torch.Tensor:
        """Index of the centroid with the largest Student-t similarity, the nearest one (Eq. 8-9), ``(n_cells,)``."""
        return student_t(hidden, self.pseudo_centroids, self.dof).argmax(1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor, share: Share | None = None) -> CICLLosses:
        """Losses of one minibatch (Eq. 10-17).

        Parameters
        ----------
        x
            Log-normalised cells, ``(n_cells, n_genes)``.
        labels
            Their pseudo-labels, ``(n_cells,)``.
        share
            Position of these cells in a minibatch that several devices share. Projections and labels of all its cells
            are gathered, so that the mean of the devices' losses, and of their gradients, is that of the whole
            minibatch.
        """
        z = self.projection(self.encoder(self.augment(self.standardise(x), share)))
        if share is None:
            instance, cluster = self.contrastive(z, labels)
        else:
            z = share.gather(z.float().transpose(0, 1)).transpose(0, 1)
            instance, cluster = self.contrastive(z, share.gather(labels), share.cells)
            instance, cluster = share.n_devices * instance, share.n_devices * cluster
        return CICLLosses(instance + self.cluster_weight * cluster, instance, cluster)
