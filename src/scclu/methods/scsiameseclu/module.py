"""The network of scSiameseClu: views, fusion and the losses of each phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from scclu.data.components import FeatureProjection
from scclu.methods._assignment import log_student_t
from scclu.methods.scsiameseclu.autoencoder import AdaptiveFusion, GeneAutoencoder, GraphAutoencoder
from scclu.methods.scsiameseclu.graph import AttachedOperators, GraphOperators
from scclu.methods.scsiameseclu.losses import (
    cell_correlation_loss,
    graph_alignment_loss,
    graph_reconstruction_loss,
    latent_correlation_loss,
    propagation_loss,
    transport_loss,
    zinb_loss,
)


@dataclass(frozen=True)
class CellBatch:
    r"""What a training step sees of its n cells.

    Attributes
    ----------
    features
        Scaled principal components, ``(n, n_features)``.
    graph
        Operators of the graph among these cells.
    counts
        Raw counts of the `counted` rows, ``(m, n_genes)``, or ``None`` without ZINB.
    size_factors
        Library size over its median, ``(m,)``.
    counted
        Positions of the rows with counts, ``(m,)``; a random subset bounds the cost of ZINB.
    target
        Transport plan :math:`\hat P`, ``(n, n_clusters)``, or ``None`` before there are clusters.
    """

    features: Tensor
    graph: GraphOperators
    counts: Tensor | None = None
    size_factors: Tensor | None = None
    counted: Tensor | None = None
    target: Tensor | None = None

    def to(self, device: torch.device) -> Self:
        """A copy on a device."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: part.to(device) for name, part in parts.items() if part is not None})


@dataclass(frozen=True)
class Embedding:
    """The four views and the fused embedding, each ``(n, n_latent)``."""

    gene_first: Tensor
    gene_second: Tensor
    graph_first: Tensor
    graph_second: Tensor
    fused: Tensor


class ScSiameseCluModule(nn.Module):
    r"""Siamese autoencoders on expression and graph, fused and clustered by optimal transport.

    Parameters
    ----------
    projection
        From log-normalised genes to features.
    n_counts
        Genes whose counts ZINB models; 0 leaves it out.
    n_clusters, n_latent, gene_hidden, graph_hidden, noise_scale
        As in :class:`scclu.model.ScSiameseClu`.
    correlation_weight, reconstruction_weight, propagation_weight, zinb_weight, ot_weight
        As there.
    scale_free_graph
        Whether the graph is rebuilt up to a scale or literally, see
        :func:`~scclu.methods.scsiameseclu.losses.graph_alignment_loss`.
    """

    dof = 1.0

    def __init__(
        self,
        projection: FeatureProjection,
        n_clusters: int,
        *,
        n_counts: int,
        n_latent: int,
        gene_hidden: Sequence[int],
        graph_hidden: Sequence[int],
        noise_scale: float,
        correlation_weight: float,
        reconstruction_weight: float,
        propagation_weight: float,
        zinb_weight: float,
        ot_weight: float,
        scale_free_graph: bool,
    ) -> None:
        super().__init__()
        self.projection = projection
        n_features = projection.n_features
        self.gene_autoencoder = GeneAutoencoder(n_features, n_latent, gene_hidden)
        self.graph_autoencoder = GraphAutoencoder(n_features, n_latent, graph_hidden)
        self.fusion = AdaptiveFusion()
        self.trained_centroids = nn.Parameter(torch.zeros(n_clusters, n_latent))
        # the centres of the clusters that have cells, largest first: what a finished model predicts with
        self.register_buffer("centroids", torch.zeros(n_clusters, n_latent))
        self.centroids: Tensor
        self.noise_scale = noise_scale
        self._rebuild_graph = graph_alignment_loss if scale_free_graph else graph_reconstruction_loss
        self.correlation_weight = correlation_weight
        self.reconstruction_weight = reconstruction_weight
        self.propagation_weight = propagation_weight
        self.zinb_weight = zinb_weight if n_counts else 0.0
        self.ot_weight = ot_weight
        if self.zinb_weight:
            self.count_trunk = nn.Sequential(nn.Linear(n_latent, 128), nn.LeakyReLU(0.2))
            self.count_rate = nn.Linear(128, n_counts)
            self.count_dropout = nn.Linear(128, n_counts)
            self.log_dispersion = nn.Parameter(torch.zeros(n_counts))

    @property
    def device(self) -> torch.device:
        """Where the parameters are (scvi-tools asks a module for it)."""
        return self.trained_centroids.device

    def on_load(self, model: object, **_: object) -> None:
        """Nothing is left to do after loading (scvi-tools' own loader calls it)."""

    def start_counts(self, mean: Tensor) -> None:
        """Start ZINB at the mean count of each gene at size factor 1, ``(n_counts,)``."""
        with torch.no_grad():
            self.count_rate.bias.copy_(torch.log(mean + 1e-4))

    def embed(self, features: Tensor, graph: GraphOperators | AttachedOperators, *, augment: bool = False) -> Embedding:
        """Both views of every cell and their fusion (Eq. 1-3, 6-7).

        Parameters
        ----------
        features
            ``(n, n_features)``.
        graph
            Operators among these n cells.
        augment
            Whether the noise of Eq. 1 is drawn; without it the result is deterministic.
        """
        first, second = self._augment(features, augment), self._augment(features, augment)
        gene_first = self.gene_autoencoder.encode(first)
        gene_second = self.gene_autoencoder.encode(second) if augment else gene_first
        graph_first = self.graph_autoencoder.encode(first, graph.pruned)
        graph_second = self.graph_autoencoder.encode(second, graph.diffused)
        fused = self.fusion([gene_first, gene_second, graph_first, graph_second], graph.walk, graph.n_reference)
        return Embedding(gene_first, gene_second, graph_first, graph_second, fused)

    def expression_loss(self, batch: CellBatch) -> dict[str, Tensor]:
        """First pretraining phase: the gene autoencoder rebuilds the features from an augmented copy."""
        rebuilt = self.gene_autoencoder.decode(self.gene_autoencoder.encode(self._augment(batch.features, True)))
        return {"features": mse_loss(rebuilt, batch.features)}

    def graph_loss(self, batch: CellBatch) -> dict[str, Tensor]:
        """Second pretraining phase: the graph autoencoder rebuilds the propagated features and the graph."""
        graph = batch.graph
        latent = self.graph_autoencoder.encode(self._augment(batch.features, True), graph.symmetric)
        rebuilt = self.graph_autoencoder.decode(latent, graph.symmetric)
        return {
            "propagated_features": mse_loss(rebuilt, graph.walk @ batch.features),
            "edges": self._rebuild_graph(latent, graph.walk),
        }

    def joint_loss(self, batch: CellBatch) -> dict[str, Tensor]:
        r"""Weighted terms of Eq. 14, whose sum is the loss; a term of weight 0 is neither computed nor returned.

        The transport term is there as soon as the batch has a target.
        """
        views = self.embed(batch.features, batch.graph, augment=True)
        terms: dict[str, Tensor] = {}
        log_assignment = self.log_assignment(views.fused)
        if self.correlation_weight:
            terms |= self._correlation_terms(views, log_assignment.detach().exp())
        if self.reconstruction_weight:
            terms |= self._reconstruction_terms(batch, views)
        if self.propagation_weight:
            terms["propagation"] = self.propagation_weight * propagation_loss(views.fused, batch.graph.walk)
        if self.zinb_weight and batch.counts is not None:
            terms["zinb"] = self.zinb_weight * self._zinb(batch, views.fused)
        if self.ot_weight and batch.target is not None:
            terms["transport"] = self.ot_weight * transport_loss(batch.target, log_assignment)
        return terms

    def log_assignment(self, embedding: Tensor) -> Tensor:
        """Logarithm of Q, ``(n, n_clusters)``, for fused embeddings ``(n, n_latent)`` (section 3.5)."""
        return log_student_t(embedding, self.trained_centroids, self.dof)

    def _augment(self, features: Tensor, augment: bool) -> Tensor:
        """Multiplicative noise N(1, noise_scale) (Eq. 1)."""
        return features * (1.0 + self.noise_scale * torch.randn_like(features)) if augment else features

    def _correlation_terms(self, views: Embedding, assignment: Tensor) -> dict[str, Tensor]:
        cells = cell_correlation_loss(views.gene_first, views.gene_second)
        cells = cells + cell_correlation_loss(views.graph_first, views.graph_second)
        latent = latent_correlation_loss(views.gene_first, views.gene_second, assignment)
        latent = latent + latent_correlation_loss(views.graph_first, views.graph_second, assignment)
        return {
            "cell_correlation": self.correlation_weight * cells,
            "latent_correlation": self.correlation_weight * latent,
        }

    def _reconstruction_terms(self, batch: CellBatch, views: Embedding) -> dict[str, Tensor]:
        graph = batch.graph
        rebuilt = self.gene_autoencoder.decode(views.fused)
        propagated = self.graph_autoencoder.decode(views.fused, graph.symmetric)
        return {
            "features": self.reconstruction_weight * mse_loss(rebuilt, batch.features),
            "propagated_features": self.reconstruction_weight * mse_loss(propagated, graph.walk @ batch.features),
            "edges": self.reconstruction_weight * self._rebuild_graph(views.fused, graph.walk),
        }

    def _zinb(self, batch: CellBatch, fused: Tensor) -> Tensor:
        """ZINB on the counted rows; the rate is scaled by the size factor, so depth is no signal."""
        counts: Any = batch.counts
        size_factors: Any = batch.size_factors
        trunk = self.count_trunk(fused[batch.counted])
        rate = torch.exp(self.count_rate(trunk).clamp(-15.0, 12.0)) * size_factors[:, None]
        return zinb_loss(counts, rate, self.log_dispersion, self.count_dropout(trunk))
