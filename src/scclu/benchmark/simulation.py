"""Counts of simulated types, in memory or written to disk block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem
from scipy import sparse

_BLOCK_CELLS = 2_000
_SMALLEST, _LARGEST = 0.002, 0.30
# of the negative binomial: variance = mean + mean^2 / dispersion
_DISPERSION = 2.0


def type_sizes(n_types: int) -> np.ndarray:
    """Shares of the types, from about 30 % falling off to about 0.2 %, ``(n_types,)``."""
    low, high = 0.0, 1.0
    for _ in range(60):
        ratio = (low + high) / 2
        sizes = _SMALLEST + (_LARGEST - _SMALLEST) * ratio ** np.arange(n_types)
        low, high = (ratio, high) if sizes.sum() < 1 else (low, ratio)
    return sizes / sizes.sum()


def _profiles(n_genes: int, n_types: int, nonzero: float, rng: np.random.Generator) -> np.ndarray:
    """Mean count of each gene in each type, ``(n_types, n_genes)``: lineages of four types each."""
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
    for _ in range(60):  # the depth that gives the share of values that are not zero
        depth = (low + high) / 2
        expected = weights @ (1 - (1 + depth * profiles / _DISPERSION) ** -_DISPERSION).mean(axis=1)
        low, high = (depth, high) if expected < nonzero else (low, depth)
    return depth * profiles


def _draw(mean: np.ndarray, rng: np.random.Generator) -> sparse.csr_matrix:
    """Negative binomial counts by inversion of the distribution function: only what is not zero costs much."""
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
        # the distribution function may stay below the last float32 before 1
        open_ = open_[(drawn[open_] > below[open_]) & (density[open_] > 1e-9)]
    return sparse.csr_matrix((counts, (rows, columns)), shape=none.shape)


def _blocks(
    n_cells: int, n_genes: int, n_types: int, nonzero: float, seed: int
) -> Iterator[tuple[sparse.csr_matrix, np.ndarray]]:
    rng = np.random.default_rng(seed)
    profiles = _profiles(n_genes, n_types, nonzero, rng).astype(np.float32)
    sizes = type_sizes(n_types)
    for start in range(0, n_cells, _BLOCK_CELLS):
        types = rng.choice(n_types, min(_BLOCK_CELLS, n_cells - start), p=sizes)
        depth = rng.lognormal(-0.045, 0.3, (len(types), 1)).astype(np.float32)
        yield _draw(profiles[types] * depth, rng), types


def _obs(types: Sequence[np.ndarray]) -> pd.DataFrame:
    codes = np.concatenate(types)
    names = pd.RangeIndex(len(codes)).astype(str)
    return pd.DataFrame({"type": pd.Categorical(codes.astype(str))}, index="cell" + names)


def _var(n_genes: int) -> pd.DataFrame:
    return pd.DataFrame(index="gene" + pd.RangeIndex(n_genes).astype(str))


def simulate_counts(
    n_cells: int, n_genes: int = 2000, n_types: int = 20, *, nonzero: float = 0.05, seed: int = 0
) -> AnnData:
    """Negative binomial counts of types in lineages of four, from 30 % of the cells to 0.2 %.

    Parameters
    ----------
    n_cells, n_genes, n_types
        Sizes; at least 4 types.
    nonzero
        Share of the values that are not zero.
    seed
        Of everything random.

    Returns
    -------
    Counts in ``X``, CSR float32 ``(n_cells, n_genes)``; ``obs["type"]``.
    """
    blocks, types = zip(*_blocks(n_cells, n_genes, n_types, nonzero, seed), strict=True)
    return AnnData(sparse.vstack(blocks, format="csr"), obs=_obs(types), var=_var(n_genes))


def write_counts(
    path: str | Path, n_cells: int, n_genes: int = 2000, n_types: int = 20, *, nonzero: float = 0.05, seed: int = 0
) -> None:
    """Write what :func:`simulate_counts` returns, a block in memory at a time.

    Parameters
    ----------
    path
        An h5ad file.
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
