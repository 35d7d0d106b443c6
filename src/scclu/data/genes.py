"""Statistics of cells and genes that are computed in blocks of rows, and selection of variable genes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from scclu.data.matrix import Matrix, blocks


def library_sizes(matrix: Matrix, columns: np.ndarray | None = None) -> np.ndarray:
    """Total of each cell over all genes or those of a mask `columns`, ``(n_cells,)`` float64."""
    sums = np.empty(matrix.shape[0])
    for rows, block in blocks(matrix):
        sums[rows] = row_sums(block, columns)
    return sums


def row_sums(block: Any, columns: np.ndarray | None = None) -> np.ndarray:
    """Sum of each row of a block in memory, over the columns of a mask if there is one, ``(n_rows,)`` float64."""
    if columns is not None and sparse.issparse(block):
        return block @ columns.astype(np.float64)  # faster than a selection of columns
    return np.asarray((block if columns is None else block[:, columns]).sum(axis=1, dtype=np.float64)).ravel()


def column_means(matrix: Matrix) -> np.ndarray:
    """Mean of each column, ``(n_genes,)`` float64."""
    sums = (np.asarray(block.sum(axis=0, dtype=np.float64)).ravel() for _, block in blocks(matrix))
    return sum(sums, np.zeros(matrix.shape[1])) / matrix.shape[0]


def dominant_genes(matrix: Matrix, library: np.ndarray, max_share: float) -> np.ndarray:
    """Find genes that make up a large share of the counts of single cells.

    Parameters
    ----------
    matrix
        Counts or expression, ``(n_cells, n_genes)``.
    library
        Library size of each cell, ``(n_cells,)``.
    max_share
        Genes with a larger share of the counts of any cell are dominant.

    Returns
    -------
    Mask ``(n_genes,)``. It is all False if excluding the dominant genes would leave the median cell with less than
    three quarters of its counts.
    """
    dominant = np.zeros(matrix.shape[1], dtype=bool)
    for rows, block in blocks(matrix):
        if sparse.issparse(block):
            dominant[block.indices[block.data > np.repeat(max_share * library[rows], np.diff(block.indptr))]] = True
        else:
            dominant |= (block > max_share * library[rows, None]).any(axis=0)
    if not dominant.any():
        return dominant
    filled = library > 0
    left = library_sizes(matrix, ~dominant)[filled] / library[filled]
    return dominant if np.median(left) >= 0.75 else np.zeros_like(dominant)


def variable_genes(
    matrix: Matrix, log: Callable[[Any], Any], n_top_genes: int, min_cells: int, n_bins: int = 20
) -> np.ndarray:
    """Select the most variable genes by normalised dispersion (the "seurat" flavor of scanpy).

    The dispersion is the logarithm of variance over mean of the values before `log`; it is z-scored among genes of
    similar mean expression.

    Parameters
    ----------
    matrix
        Values, ``(n_cells, n_genes)``.
    log
        Row-wise log-normalisation of a block.
    n_top_genes
        Number of genes to select.
    min_cells
        Genes that fewer cells express are selected last. The threshold is lowered for fewer than nine cells per
        required cell.
    n_bins
        Number of bins of mean expression.

    Returns
    -------
    Increasing positions of the selected genes, ``(n_top_genes,)``.
    """
    n_cells, n_genes = matrix.shape

    def logged() -> Iterator[Any]:
        return (log(block) for _, block in blocks(matrix))

    expressed = sum(np.asarray((block > 0).sum(axis=0)).ravel() for block in logged())
    mean, variance = _mean_and_variance(logged, n_cells, n_genes, lambda values, _: np.expm1(values))
    mean = np.maximum(mean, 1e-12)
    # the dispersion of a constant gene is undefined
    dispersion = np.log(np.where(variance > 1e-9 * mean**2, variance / mean, np.nan))
    table = pd.DataFrame({"dispersion": dispersion})
    groups = table.groupby(pd.cut(np.log1p(mean), n_bins), observed=True)["dispersion"]
    center, spread = groups.transform("mean"), groups.transform("std")
    # a bin with one gene has no standard deviation; as in scanpy, the z-score of that gene is 1
    alone = spread.isna()
    score = ((table["dispersion"] - center.mask(alone, 0)) / spread.mask(alone, center)).to_numpy()
    rare = expressed < min(min_cells, max(1, n_cells // 9))
    score = np.where(np.isnan(score) | rare, -np.inf, score)
    return np.sort(np.argsort(-score, kind="stable")[:n_top_genes])


def moments(matrix: Matrix, z_score: np.ndarray | None = None, max_value: float = np.inf) -> np.ndarray:
    """Mean and standard deviation (n - 1) of each column, accumulated in blocks in float64.

    Parameters
    ----------
    matrix
        Values, ``(n_cells, n_genes)``.
    z_score
        Result of an earlier call. If given, the moments of the clipped z-scores are computed.
    max_value
        Z-scores are clipped to [-max_value, max_value].

    Returns
    -------
    Means and standard deviations, ``(2, n_genes)``; the standard deviation of a constant column is set to 1.
    """

    def value(values: np.ndarray, columns: np.ndarray | slice) -> np.ndarray:
        if z_score is None:
            return values
        return np.clip((values - z_score[0, columns]) / z_score[1, columns], -max_value, max_value)

    n_rows, n_columns = matrix.shape
    mean, variance = _mean_and_variance(lambda: (block for _, block in blocks(matrix)), n_rows, n_columns, value)
    scale = np.sqrt(variance)
    return np.stack((mean, np.where(scale > 1e-6, scale, 1.0)))


def _mean_and_variance(
    make_blocks: Callable[[], Iterator[Any]],
    n_rows: int,
    n_columns: int,
    value: Callable[[np.ndarray, np.ndarray | slice], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (n - 1) of a function of the values of each column, without making sparse blocks dense.

    Parameters
    ----------
    make_blocks
        Called once for each of the two passes over the rows.
    n_rows, n_columns
        Shape of all blocks together.
    value
        Elementwise function of values and their columns.
    """

    def total(of: Callable[[np.ndarray, np.ndarray | slice], np.ndarray]) -> np.ndarray:
        zero = of(np.zeros(n_columns), slice(None))
        sums = n_rows * zero
        for block in make_blocks():
            if sparse.issparse(block):
                more = of(block.data, block.indices) - zero[block.indices]
                sums += np.bincount(block.indices, more, minlength=n_columns)
            else:
                sums += (of(block, slice(None)) - zero).sum(axis=0, dtype=np.float64)
        return sums

    mean = total(value) / n_rows
    squares = total(lambda values, columns: (value(values, columns) - mean[columns]) ** 2)
    return mean, squares / max(n_rows - 1, 1)
