"""Principal components of cells: by blocks, or of a sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from sklearn.decomposition import PCA

from .matrix import Matrix


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


def input_components(
    matrix: Matrix,
    moments: np.ndarray,
    max_value: float | None,
    random_state: int,
    *,
    n_components: int = 20,
    n_cells: int = 5_000,
) -> np.ndarray:
    """Leading principal components of standardised cells, of at most `n_cells`: the first ones.

    Parameters
    ----------
    matrix
        Log-normalised or scaled values, ``(n, n_genes)``; cells in random order.
    moments, max_value
        Of the :class:`~scclu.pp.Recipe`: each gene is z-scored, clipped, and z-scored again.
    random_state
        Of the solver.
    n_components, n_cells
        How many to keep, and to look at.

    Returns
    -------
    ``(min(n, n_cells), <= n_components)`` float32.
    """
    block = matrix[:n_cells]
    mean, scale, clipped_mean, clipped_scale = moments
    values = ((block.toarray() if sparse.issparse(block) else np.asarray(block)) - mean) / scale
    if max_value is not None:
        values = (np.clip(values, -max_value, max_value) - clipped_mean) / clipped_scale
    n_components = min(n_components, len(values) - 1, values.shape[1])
    with np.errstate(invalid="ignore"):  # identical cells have no variance to divide by
        pca = PCA(n_components, svd_solver="randomized", random_state=random_state)
        return pca.fit_transform(values.astype(np.float32))
