"""Principal components of cells, by blocks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def principal_axes(
    blocks: Callable[[], list], n_features: int, n_components: int, *, random_state: int = 0, n_iter: int = 7
) -> tuple[np.ndarray, np.ndarray]:
    """Leading principal axes by randomised subspace iteration; only one block is dense at a time.

    Parameters
    ----------
    blocks
        Called for each pass; returns functions that each make one dense block of rows, ``(n_rows, n_features)``.
    n_features
        Columns.
    n_components
        Axes wanted.
    random_state
        Of the start.
    n_iter
        Passes over the blocks.

    Returns
    -------
    Mean of the rows, ``(n_features,)``, and orthonormal axes, ``(n_features, n_components)``, largest variance first,
    both float32.
    """
    total, n_rows = np.zeros(n_features), 0
    for make in blocks():
        block = make()
        total += block.sum(axis=0, dtype=np.float64)
        n_rows += len(block)
    mean = total / n_rows
    width = min(n_components + 10, n_features)
    start = np.random.default_rng(random_state).standard_normal((n_features, width))
    axes = np.linalg.qr(start)[0]
    for _ in range(n_iter):
        product = np.zeros((n_features, width))
        for make in blocks():
            block = make()
            scores = block @ axes.astype(np.float32) - (mean @ axes).astype(np.float32)
            product += block.T @ scores - np.outer(mean, scores.sum(axis=0, dtype=np.float64))
        axes, sizes, _ = np.linalg.svd(product, full_matrices=False)
    # after the last pass the left singular vectors are the axes, in order of variance
    return mean.astype(np.float32), axes[:, :n_components].astype(np.float32)
