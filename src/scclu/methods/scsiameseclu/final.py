"""Final embedding, and final clusters of the network's own assignment."""

from __future__ import annotations

import numpy as np
import torch

from scclu.methods._assignment import CentroidHead
from scclu.methods.scsiameseclu.module import ScSiameseCluModule

# cells that the components of the embedding are fitted to
_REFERENCE_CELLS = 20_000


@torch.no_grad()
def fit_embedding(
    module: ScSiameseCluModule, fused: torch.Tensor, features: torch.Tensor, random_state: int
) -> np.ndarray:
    """Fit the components of the embedding that is clustered, if the network has any, and embed all cells.

    Parameters
    ----------
    module
        The trained network.
    fused, features
        Fused embedding ``(n_cells, n_latent)`` and features ``(n_cells, n_features)`` of all cells, in random order.
    random_state
        Random seed.

    Returns
    -------
    ``(n_cells, n_embedding)`` float32.
    """
    fused, features = fused.to(module.device), features.to(module.device)
    if module.joint is not None:
        module.joint.fit(fused[:_REFERENCE_CELLS], features[:_REFERENCE_CELLS], random_state)
    return module.clustered(fused, features).cpu().numpy()


def assignment_head(module: ScSiameseCluModule, embedding: torch.Tensor) -> CentroidHead:
    """Head that assigns each cell to its most probable cluster under Q.

    Parameters
    ----------
    module
        The trained network.
    embedding
        Fused embedding of all cells, ``(n_cells, n_latent)``.

    Returns
    -------
    The head of the centroids of the clusters that contain cells, the largest first.
    """
    assigned = module.log_assignment(embedding.to(module.device)).argmax(1).cpu().numpy()
    sizes = np.bincount(assigned, minlength=len(module.trained_centroids))
    kept = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    return CentroidHead.of(module.trained_centroids.detach().cpu().numpy()[kept], module.dof)
