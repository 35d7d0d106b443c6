"""Simulated counts of cell types, in memory or written to a file in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem
from scipy import sparse

# Number of cells that are simulated at a time.
_BLOCK_CELLS = 2_000
# Offset of the shares of the cell types, and approximate share of the largest type.
_SMALLEST, _LARGEST = 0.002, 0.30
# Dispersion of the negative binomial distribution: variance = mean + mean^2 / dispersion.
_DISPERSION = 2.0


def type_sizes(n_types: int) -> np.ndarray:
    """Shares of the cell types, which decrease geometrically from about 30 % to about 0.2 %, ``(n_types,)``."""
    low, high = 0.0, 1.0
    for _ in range(60):
        ratio = (low + high) / 2
        sizes = _SMALLEST + (_LARGEST - _SMALLEST) * ratio ** np.arange(n_types)
        low, high = (ratio, high) if sizes.sum() < 1 else (low, ratio)
    return sizes / sizes.sum()


def _profiles(n_genes: int, n_types: int, nonzero: float, rng: np.random.Generator) -> np.ndarray:
    """Mean count of each gene in each type, ``(n_types, n_genes)``, with lineages of four types."""
    base = np.tile(rng.normal(0, 1.2, n_genes), (n_types, 1))
    lineage = np.arange(n_types) % -(-n_types // 4)
    for groups, share, spread in ((lineage, 0.1, 1.5), (np.arange(n_types), 0.05, 1.5)):
        shape = groups.max() + 1, n_genes
        shift = np.where(rng.random(shape) < share, rng.normal(0.5, spread, shape), 0.0)
        base += shift[groups]
    profiles = np.exp(base)
    profiles /= profiles.sum(axis=1, keepdims=True)
    low, high = 0.0, 1e6
    weights = type_sizes(n_types)
    for _ in range(60):  # find the depth that gives the share of non-zero values
        depth = (low + high) / 2
        expected = weights @ (1 - (1 + depth * profiles / _DISPERSION) ** -_DISPERSION).mean(axis=1)
        low, high = (depth, high) if expected < nonzero else (low, depth)
    return depth * profiles


def _draw(mean: np.ndarray, rng: np.random.Generator) -> sparse.csr_matrix:
    """Draw negative binomial counts by inversion of the distribution function, iterating over non-zero values only."""
    u = rng.random(mean.shape, dtype=np.float32)
    none = np.exp(-_DISPERSION * np.log1p(mean / np.float32(_DISPERSION)))
    rows, columns = np.nonzero(u > none)
    drawn, means, density = (values[rows, columns].astype(np.float64) for values in (u, mean, none))
    odds = means / (means + _DISPERSION)
    counts = np.zeros(len(rows), dtype=np.float32)
    below, open_ = density.copy(), np.arange(len(rows))
    while len(open_):
        n = counts[open_]
        density[open_] *= odds[open_] * (n + _DISPERSION) / (n + 1)
        counts[open_] += 1
        below[open_] += density[open_]
        # rounding may keep the distribution function below the largest float32 under 1: also stop at small densities
        open_ = open_[(drawn[open_] > below[open_]) & (density[open_] > 1e-9)]
    return sparse.csr_matrix((counts, (rows, columns)), shape=none.shape)


def _blocks(
    n_cells: int, n_genes: int, n_types: int, nonzero: float, seed: int
) -> Iterator[tuple[sparse.csr_matrix, np.ndarray]]:
    """Yield blocks of cells as counts and types."""
    rng = np.random.default_rng(seed)
    profiles = _profiles(n_genes, n_types, nonzero, rng).astype(np.float32)
    sizes = type_sizes(n_types)
    for start in range(0, n_cells, _BLOCK_CELLS):
        types = rng.choice(n_types, min(_BLOCK_CELLS, n_cells - start), p=sizes)
        depth = rng.lognormal(-0.045, 0.3, (len(types), 1)).astype(np.float32)
        yield _draw(profiles[types] * depth, rng), types


def _obs(types: Sequence[np.ndarray]) -> pd.DataFrame:
    """Make ``obs`` from the types of all blocks."""
    codes = np.concatenate(types)
    names = pd.RangeIndex(len(codes)).astype(str)
    return pd.DataFrame({"type": pd.Categorical(codes.astype(str))}, index="cell" + names)


def _var(n_genes: int) -> pd.DataFrame:
    return pd.DataFrame(index="gene" + pd.RangeIndex(n_genes).astype(str))


def simulate_counts(
    n_cells: int, n_genes: int = 2000, n_types: int = 20, *, nonzero: float = 0.05, seed: int = 0
) -> AnnData:
    """Simulate negative binomial counts of cell types in lineages of four.

    Parameters
    ----------
    n_cells, n_genes
        Numbers of cells and genes.
    n_types
        Number of cell types, at least 4. Their shares decrease from 30 % to 0.2 % of the cells.
    nonzero
        Expected share of non-zero counts.
    seed
        Random seed.

    Returns
    -------
    Annotated data with counts in ``X``, CSR ``(n_cells, n_genes)`` float32, and types in ``obs["type"]``.
    """
    blocks, types = zip(*_blocks(n_cells, n_genes, n_types, nonzero, seed), strict=True)
    return AnnData(sparse.vstack(blocks, format="csr"), obs=_obs(types), var=_var(n_genes))


def write_counts(
    path: str | Path, n_cells: int, n_genes: int = 2000, n_types: int = 20, *, nonzero: float = 0.05, seed: int = 0
) -> None:
    """Write the result of :func:`simulate_counts` to a file, with only one block of cells in memory at a time.

    Parameters
    ----------
    path
        Path of the h5ad file.
    n_cells, n_genes, n_types, nonzero, seed
        As in :func:`simulate_counts`.
    """
    blocks = _blocks(n_cells, n_genes, n_types, nonzero, seed)
    first, codes = next(blocks)
    types = [codes]
    AnnData(first, obs=_obs(types), var=_var(n_genes)).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        counts = sparse_dataset(file["X"])
        for block, codes in blocks:
            counts.append(block)
            types.append(codes)
        write_elem(file, "obs", _obs(types))
