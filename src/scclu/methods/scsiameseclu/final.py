"""Final clusters of the network's own assignment."""

from __future__ import annotations

import numpy as np
import torch

from scclu.methods._assignment import CentroidHead
from scclu.methods.scsiameseclu.module import ScSiameseCluModule


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
