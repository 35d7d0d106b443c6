"""Components of the network's output and input, which are the final embedding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from scclu.data.components import MOST_COLUMNS
from scclu.data.matrix import Matrix, blocks
from scclu.data.tensors import batch_tensor
from scclu.methods.cicl.module import CICLModule

# cells that the components of the input are fitted to: z-scores of rarely expressed genes are noise, which fewer cells
# do not average out
_INPUT_CELLS = 100_000


def fit_components(module: CICLModule, matrix: Matrix, hidden: torch.Tensor, random_state: int) -> None:
    """Fit the components of a network's embedding.

    Parameters
    ----------
    module
        The trained network, with components.
    matrix
        Log-normalised cells in random order, ``(n_cells, n_genes)``.
    hidden
        The network's output for the first cells, ``(n_reference, n_hidden)``.
    random_state
        Random seed.
    """
    assert module.joint is not None

    def standardised(cells: Matrix) -> torch.Tensor:
        return module.standardise(batch_tensor(cells, slice(None)).to(module.device))

    x: torch.Tensor | Iterator[np.ndarray]
    if matrix.shape[0] > len(hidden) and matrix.shape[1] <= MOST_COLUMNS:
        x = (standardised(part).cpu().numpy() for _, part in blocks(matrix, _INPUT_CELLS))
    else:
        x = standardised(matrix[: len(hidden)])
    module.joint.fit(hidden.to(module.device), x, random_state)
