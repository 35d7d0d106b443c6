"""Conversion of rows of a matrix to tensors, and batched evaluation of a network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse

from scclu.data.disk import consecutive_rows
from scclu.data.matrix import Matrix, blocks


def batch_tensor(matrix: Matrix, rows: np.ndarray | slice) -> torch.Tensor:
    """Convert rows of a matrix to a dense tensor, ``(n_rows, n_features)`` float32."""
    block = consecutive_rows(matrix, rows) if isinstance(rows, slice) else matrix[rows]
    return torch.from_numpy(block.toarray() if sparse.issparse(block) else np.ascontiguousarray(block))


def embed_cells(
    encode: Callable[[torch.Tensor], torch.Tensor],
    matrix: Matrix,
    device: torch.device,
    batch_size: int,
    *,
    equal_batches: bool = False,
) -> np.ndarray:
    """Apply `encode` to all rows in batches, without gradients.

    Parameters
    ----------
    encode
        Maps a batch of cells, ``(n_batch, n_features)`` float32, to ``(n_batch, n_dims)``.
    matrix
        Cells, ``(n_cells, n_features)``, in memory or on disk.
    device
        Device that batches are moved to.
    batch_size
        Largest number of cells per batch.
    equal_batches
        Make batches of nearly equal sizes, in the order of the rows, as training does. For networks in which the cells
        of a batch depend on each other; slower for a matrix on disk.

    Returns
    -------
    Embedding on the CPU, ``(n_cells, n_dims)`` float32.
    """
    embedding: np.ndarray | None = None
    with torch.inference_mode():
        if equal_batches:
            parts = np.array_split(np.arange(matrix.shape[0]), -(-matrix.shape[0] // batch_size))
            return torch.cat([encode(batch_tensor(matrix, rows).to(device)).float().cpu() for rows in parts]).numpy()
        for rows, block in blocks(matrix):
            starts = range(0, block.shape[0], batch_size)
            batches = (batch_tensor(block, slice(start, start + batch_size)).to(device) for start in starts)
            part = torch.cat([encode(batch).float().cpu() for batch in batches]).numpy()
            if embedding is None:
                embedding = np.empty((matrix.shape[0], part.shape[1]), dtype=np.float32)
            embedding[rows] = part
    assert embedding is not None  # read_matrix refuses a matrix without rows
    return embedding
