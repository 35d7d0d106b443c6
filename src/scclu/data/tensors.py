"""Rows of a matrix as tensors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse

from scclu.data.matrix import Matrix, blocks


def batch_tensor(matrix: Matrix, rows: np.ndarray | slice) -> torch.Tensor:
    """Rows of a matrix as a dense tensor, ``(n_rows, n_features)`` float32."""
    block = matrix[rows]
    return torch.from_numpy(block.toarray() if sparse.issparse(block) else np.ascontiguousarray(block))


def embed_cells(
    encode: Callable[[torch.Tensor], torch.Tensor], matrix: Matrix, device: torch.device, batch_size: int
) -> np.ndarray:
    """Run `encode` over all rows without gradients, `batch_size` at a time.

    Returns
    -------
    ``(n_cells, n_dims)`` float32.
    """
    embedding: np.ndarray | None = None
    with torch.inference_mode():
        for rows, block in blocks(matrix):
            starts = range(0, block.shape[0], batch_size)
            batches = (batch_tensor(block, slice(start, start + batch_size)).to(device) for start in starts)
            part = torch.cat([encode(batch).float().cpu() for batch in batches]).numpy()
            if embedding is None:
                embedding = np.empty((matrix.shape[0], part.shape[1]), dtype=np.float32)
            embedding[rows] = part
    assert embedding is not None  # every matrix has rows
    return embedding
