"""Updates between epochs of joint training: pruned edges, clusters and transport targets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy import sparse

from scclu.cluster.kmeans import kmeans
from scclu.cluster.numbering import by_size
from scclu.methods.scsiameseclu.batches import EPOCH_STEPS, GraphBatches
from scclu.methods.scsiameseclu.edges import drop_weak_edges
from scclu.methods.scsiameseclu.final import fit_embedding
from scclu.methods.scsiameseclu.module import ScSiameseCluModule
from scclu.methods.scsiameseclu.settings import ScSiameseCluSettings
from scclu.methods.scsiameseclu.transport import transport_target


@torch.no_grad()
def embed_whole(module: ScSiameseCluModule, batches: GraphBatches) -> torch.Tensor:
    """Embed all cells on the whole graph; returns the fused embedding ``(n_cells, n_latent)`` on the CPU."""
    graph = batches.whole().to(module.device)
    return module.embed(batches.features.to(module.device), graph).fused.float().cpu()


class JointRefresh:
    r"""Callback that updates graph, clusters and targets in the joint phase.

    Parameters
    ----------
    module, batches
        The network, and the batches whose pruned graph and targets are updated.
    edge_drop
        Fraction of edges that Eq. 2 removes.
    sharpness
        :math:`\lambda` of Eq. 11.
    labels
        First clusters, ``(n_cells,)`` int; ``None`` finds them by K-means on the embedding.
    warm_epoch
        First epoch with a transport target. Clusters found at its start give the centroids and the first proportions.
    every
        Number of epochs between refreshes.
    seed
        Random seed of the first clusters.
    """

    def __init__(
        self,
        module: ScSiameseCluModule,
        batches: GraphBatches,
        *,
        edge_drop: float,
        sharpness: float,
        labels: np.ndarray | None,
        warm_epoch: int,
        every: int,
        seed: int,
    ):
        self.module = module
        self.batches = batches
        self.edge_drop = edge_drop
        self.sharpness = sharpness
        self.labels = labels
        self.warm_epoch = warm_epoch
        self.every = every
        self.seed = seed
        # fraction of cells whose cluster changed since the last refresh, a label-free measure of convergence
        self.changed: list[float] = []
        self._last: np.ndarray | None = None
        self._log_scaling: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, epoch: int) -> None:
        """Refresh if it is due at the start of this epoch."""
        if epoch % self.every and epoch != self.warm_epoch:
            return
        embedding = embed_whole(self.module, self.batches)
        self._prune(embedding)
        if not self.module.ot_weight or epoch < self.warm_epoch:
            if epoch == 0:  # the readout of Eq. 5 needs clusters from the start
                self.set_clusters(embedding)
            return
        self._set_target(embedding)

    def state_dict(self) -> dict[str, Any]:
        """Return what changes during training."""
        return {"changed": self.changed, "last": self._last, "log_scaling": self._log_scaling}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        self.changed, self._last = list(state_dict["changed"]), state_dict["last"]
        self._log_scaling = state_dict["log_scaling"]

    def _prune(self, embedding: torch.Tensor) -> None:
        if self.edge_drop:
            adjacency: sparse.csr_matrix = self.batches.adjacency
            self.batches.prune(drop_weak_edges(adjacency, embedding.numpy(), self.edge_drop))

    def find_clusters(self, cells: np.ndarray) -> np.ndarray:
        """First clusters of embedded cells; returns integer labels ``(n_cells,)``."""
        if self.labels is not None:
            return self.labels
        return kmeans(cells, len(self.module.trained_centroids), n_init=3, random_state=self.seed)[0]

    def snapshot(self, random_state: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the current embedding ``(n_cells, n_embedding)`` and clusters ``(n_cells,)``, numbered by size."""
        embedding = embed_whole(self.module, self.batches)
        if self.batches.target is None:  # the centroids are not initialised yet
            labels = self.find_clusters(embedding.numpy())
        else:
            labels = self.module.log_assignment(embedding.to(self.module.device)).argmax(1).cpu().numpy()
        return fit_embedding(self.module, embedding, self.batches.features, random_state), by_size(labels)

    @torch.no_grad()
    def set_clusters(self, embedding: torch.Tensor) -> np.ndarray:
        """Initialise the centroids with new clusters; returns their proportions, ``(n_clusters,)``."""
        cells = embedding.numpy()
        n_clusters = len(self.module.trained_centroids)
        labels = self.find_clusters(cells)
        sizes = np.bincount(labels, minlength=n_clusters)
        # with fewer distinct cells than clusters, an empty cluster gets the centroid of the largest, which wins ties
        members = [labels == (k if sizes[k] else sizes.argmax()) for k in np.argsort(-sizes, kind="stable")]
        centroids = np.stack([cells[rows].mean(axis=0) for rows in members])
        self.module.trained_centroids.copy_(torch.from_numpy(centroids))
        return -np.sort(-sizes) / len(cells)

    def _set_target(self, embedding: torch.Tensor) -> None:
        """Compute targets (Eq. 10-12) with the proportions of the current clusters, so that errors do not persist."""
        first = self.set_clusters(embedding) if self.batches.target is None else None
        log_assignment = self.module.log_assignment(embedding.to(self.module.device)).cpu()
        now = log_assignment.argmax(dim=1).numpy()
        if self._last is not None:
            self.changed.append(float((now != self._last).mean()))
        self._last = now
        proportions = np.bincount(now, minlength=log_assignment.shape[1]) / len(now)
        plan = transport_target(
            log_assignment,
            torch.from_numpy(proportions if first is None else first),
            sharpness=self.sharpness,
            tolerance=1e-4,
            warm_start=self._log_scaling,
        )
        self._log_scaling = plan.log_scaling
        self.batches.target = plan.plan.float()


def make_refresh(
    module: ScSiameseCluModule,
    batches: GraphBatches,
    settings: ScSiameseCluSettings,
    n_epochs: int,
    labels: np.ndarray | None,
    seed: int,
) -> JointRefresh:
    """Create the refresh of a joint phase of `n_epochs` epochs."""
    return JointRefresh(
        module,
        batches,
        edge_drop=settings.edge_drop,
        sharpness=settings.sharpness,
        labels=labels,
        warm_epoch=min(math.ceil(settings.ot_warmup * n_epochs), n_epochs - 1),
        # a refresh embeds all cells, so it runs about four times per pass over the cells
        every=max(1, round(batches.n_batches / (4 * EPOCH_STEPS))),
        seed=seed,
    )
