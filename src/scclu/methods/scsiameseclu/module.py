"""The network of scSiameseClu: augmented views, fusion, and the losses of each training phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from scclu.cluster.head import LinearHead
from scclu.data.components import FeatureProjection
from scclu.methods._assignment import CentroidHead, log_student_t
from scclu.methods._components import JointComponents
from scclu.methods._randomness import RandomStream
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

# settings that the module takes by their names
MODULE_SETTINGS = (
    "n_latent",
    "gene_hidden",
    "graph_hidden",
    "shared_weights",
    "noise_scale",
    "correlation_weight",
    "reconstruction_weight",
    "propagation_weight",
    "zinb_weight",
    "ot_weight",
    "scale_free_graph",
)


@dataclass(frozen=True)
class CellBatch:
    r"""Input of a training step on n cells.

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
        Positions of the rows with counts, ``(m,)``: a random subset limits the cost of ZINB.
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
        """Return a copy on a device."""
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
        Number of genes whose counts ZINB models; 0 disables ZINB.
    n_clusters, n_latent, gene_hidden, graph_hidden, noise_scale
        As in :class:`scclu.model.ScSiameseClu`.
    correlation_weight, reconstruction_weight, propagation_weight, zinb_weight, ot_weight
        Loss weights, as in :class:`scclu.model.ScSiameseClu`.
    scale_free_graph
        Whether the graph is reconstructed up to a scale or literally, see
        :func:`~scclu.methods.scsiameseclu.losses.graph_alignment_loss`.
    shared_weights
        Whether both views pass the same autoencoders; otherwise each view has its own.
    linear_head
        Whether the final clusters are assigned by a linear classifier of the fused embedding and the features, or by
        similarity of the fused embedding to centroids.
    noise_seed, landmark_seed
        Random seeds of the noise of Eq. 1 and of the landmarks of Eq. 7.
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
        shared_weights: bool = True,
        linear_head: bool = True,
        noise_seed: int = 0,
        landmark_seed: int = 0,
    ) -> None:
        super().__init__()
        self.projection = projection
        n_features = projection.n_features
        self.gene_autoencoder = GeneAutoencoder(n_features, n_latent, gene_hidden)
        self.graph_autoencoder = GraphAutoencoder(n_features, n_latent, graph_hidden)
        self.shared_weights = shared_weights
        if not shared_weights:
            self.second_gene_autoencoder = GeneAutoencoder(n_features, n_latent, gene_hidden)
            self.second_graph_autoencoder = GraphAutoencoder(n_features, n_latent, graph_hidden)
        self.fusion = AdaptiveFusion(landmark_seed=landmark_seed)
        self.noise = RandomStream(noise_seed)
        self.trained_centroids = nn.Parameter(torch.zeros(n_clusters, n_latent))
        # the rule of the final clusters, fitted after training
        self.head: LinearHead | CentroidHead
        self.joint: JointComponents | None = None
        if linear_head:
            self.joint = JointComponents(n_latent, n_features, max(n_latent, n_features), hidden_weight=1.0)
            self.head = LinearHead(n_clusters, n_latent + n_features)
        else:
            self.head = CentroidHead(n_clusters, n_latent, self.dof)
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
        """Device of the parameters, which scvi-tools reads."""
        return self.trained_centroids.device

    def on_load(self, model: object, **_: object) -> None:
        """Do nothing; scvi-tools' loader calls this method."""

    @property
    def gene_autoencoders(self) -> list[GeneAutoencoder]:
        """The autoencoders of expression: one, or one for each view."""
        return [self.gene_autoencoder] if self.shared_weights else [self.gene_autoencoder, self.second_gene_autoencoder]

    @property
    def graph_autoencoders(self) -> list[GraphAutoencoder]:
        """The autoencoders of the graph: one, or one for each view."""
        if self.shared_weights:
            return [self.graph_autoencoder]
        return [self.graph_autoencoder, self.second_graph_autoencoder]

    def start_counts(self, mean: Tensor) -> None:
        """Initialise ZINB with the mean count of each gene at size factor 1, ``(n_counts,)``."""
        with torch.no_grad():
            self.count_rate.bias.copy_(torch.log(mean + 1e-4))

    def embed(self, features: Tensor, graph: GraphOperators | AttachedOperators, *, augment: bool = False) -> Embedding:
        """Embed both views of every cell and fuse them (Eq. 1-3, 6-7).

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
        gene_first = self.gene_autoencoders[0].encode(first)
        same = self.shared_weights and not augment
        gene_second = gene_first if same else self.gene_autoencoders[-1].encode(second)
        graph_first = self.graph_autoencoders[0].encode(first, graph.pruned)
        graph_second = self.graph_autoencoders[-1].encode(second, graph.diffused)
        fused = self.fusion([gene_first, gene_second, graph_first, graph_second], graph.walk, graph.n_reference)
        return Embedding(gene_first, gene_second, graph_first, graph_second, fused)

    def clustered(self, fused: Tensor, features: Tensor) -> Tensor:
        """The embedding that is clustered: components of the fused embedding and of the features, or the former.

        Parameters
        ----------
        fused, features
            ``(n, n_latent)`` and ``(n, n_features)``.
        """
        return fused if self.joint is None else self.joint(fused, features)

    def expression_loss(self, batch: CellBatch) -> dict[str, Tensor]:
        """First pretraining phase: each gene autoencoder reconstructs the features from an augmented copy."""
        losses = []
        for autoencoder in self.gene_autoencoders:
            rebuilt = autoencoder.decode(autoencoder.encode(self._augment(batch.features, True)))
            losses.append(mse_loss(rebuilt, batch.features))
        return {"features": torch.stack(losses).mean()}

    def graph_loss(self, batch: CellBatch) -> dict[str, Tensor]:
        """Second pretraining phase: each graph autoencoder reconstructs the propagated features and the graph."""
        graph = batch.graph
        propagated = graph.walk @ batch.features
        features, edges = [], []
        for autoencoder in self.graph_autoencoders:
            latent = autoencoder.encode(self._augment(batch.features, True), graph.symmetric)
            features.append(mse_loss(autoencoder.decode(latent, graph.symmetric), propagated))
            edges.append(self._rebuild_graph(latent, graph.walk))
        return {"propagated_features": torch.stack(features).mean(), "edges": torch.stack(edges).mean()}

    def joint_loss(self, batch: CellBatch) -> dict[str, Tensor]:
        r"""Weighted terms of Eq. 14, whose sum is the loss; a term of weight 0 is neither computed nor returned.

        The transport term is included if the batch has a target.
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
        if not augment:
            return features
        generator = self.noise.on(features.device)
        noise = torch.randn(features.shape, generator=generator, dtype=features.dtype, device=features.device)
        return features * (1.0 + self.noise_scale * noise)

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
        propagated = graph.walk @ batch.features
        genes = [mse_loss(each.decode(views.fused), batch.features) for each in self.gene_autoencoders]
        graphs = [mse_loss(each.decode(views.fused, graph.symmetric), propagated) for each in self.graph_autoencoders]
        return {
            "features": self.reconstruction_weight * torch.stack(genes).mean(),
            "propagated_features": self.reconstruction_weight * torch.stack(graphs).mean(),
            "edges": self.reconstruction_weight * self._rebuild_graph(views.fused, graph.walk),
        }

    def _zinb(self, batch: CellBatch, fused: Tensor) -> Tensor:
        """ZINB on the counted rows; the rate is scaled by the size factor, so depth is no signal."""
        counts: Any = batch.counts
        size_factors: Any = batch.size_factors
        trunk = self.count_trunk(fused[batch.counted])
        rate = torch.exp(self.count_rate(trunk).clamp(-15.0, 12.0)) * size_factors[:, None]
        return zinb_loss(counts, rate, self.log_dispersion, self.count_dropout(trunk))
