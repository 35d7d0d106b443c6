"""Principal components of cells that are read block by block."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from scclu.nn.components import FeatureProjection
from scclu.pp.components import principal_axes
from scclu.pp.matrix import Matrix, row_blocks
from scclu.train import batch_tensor


def fit_projection(projection: FeatureProjection, matrix: Matrix, random_state: int) -> torch.Tensor:
    """Fit a projection to log-normalised training cells.

    Returns
    -------
    The principal components of the cells, ``(n_cells, n_features)``.
    """

    def block(rows: slice) -> np.ndarray:
        return projection.standardise(batch_tensor(matrix, rows)).numpy()

    mean, axes = principal_axes(
        lambda: [partial(block, rows) for rows in row_blocks(matrix)],
        matrix.shape[1],
        projection.n_features,
        random_state=random_state,
    )
    projection.axes.copy_(torch.from_numpy(axes))
    projection.offset.copy_(torch.from_numpy(mean @ axes))
    components = project(projection, matrix)
    projection.fit_unit(components)
    return components


def project(projection: FeatureProjection, matrix: Matrix) -> torch.Tensor:
    """Principal components of log-normalised cells, ``(n_cells, n_features)``, made where the projection is."""
    device = projection.axes.device
    blocks = (batch_tensor(matrix, rows).to(device) for rows in row_blocks(matrix))
    return torch.cat([projection.components(block) for block in blocks]).cpu()
