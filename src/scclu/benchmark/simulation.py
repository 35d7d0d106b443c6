"""Simulated counts of cell types, in memory or written to a file in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import sparse_dataset, write_elem
from scipy import sparse
from scipy.optimize import brentq

# cells that are simulated at a time, from a random stream of their own
_BLOCK_CELLS = 2_000
# types of a lineage
_LINEAGE = 6
# shares of the genes that are raised in a lineage and in a type, and mean and standard deviation of ln(fold change)
_LINEAGE_GENES, _TYPE_GENES = 0.04, 0.02
_FOLD = 1.6, 0.4
# standard deviation of ln(factor) of each gene in a batch, and of ln(depth)
_BATCH_SPREAD, _DEPTH_SPREAD = 0.3, 0.35
# dispersion of the negative binomial distribution: variance = mean + mean^2 / dispersion
_DISPERSION = 5.0


def type_sizes(n_types: int = 60, smallest: float = 0.0005, largest: float = 0.1) -> np.ndarray:
    """Shares of cell types of very different sizes, most of which are small.

    The logarithm of the share grows from the smallest to the largest type as a power of the rank, such that all shares
    sum to one.

    Parameters
    ----------
    n_types
        Number of types, at least 2.
    smallest, largest
        Shares of the smallest and the largest type.

    Returns
    -------
    Increasing shares, ``(n_types,)``.

    Raises
    ------
    ValueError
        If no shares between these two sum to one.
    """
    if n_types < 2 or not 0 < smallest < 1 / n_types < largest < 1 - (n_types - 1) * smallest:
        raise ValueError(
            f"The shares of {n_types} types must be on both sides of 1 / {n_types}, but {smallest:g} (smallest) and "
            f"{largest:g} (largest) were passed. Pass other shares, or another number of types."
        )
    rank = np.linspace(0, 1, n_types)

    def shares(power: float) -> np.ndarray:
        return smallest * (largest / smallest) ** (rank**power)

    sizes = shares(brentq(lambda power: shares(power).sum() - 1, 1e-3, 1e3))
    return sizes / sizes.sum()


def _profiles(n_genes: int, n_types: int, rng: np.random.Generator) -> np.ndarray:
    """Share of each gene in the counts of each type, ``(n_types, n_genes)``, with lineages of six types."""
    mean = np.tile(rng.gamma(0.35, size=n_genes) + 1e-4, (n_types, 1))
    lineage = np.arange(n_types) // _LINEAGE
    for groups, share in ((lineage, _LINEAGE_GENES), (np.arange(n_types), _TYPE_GENES)):
        folds = np.ones((groups.max() + 1, n_genes))
        for row in folds:
            raised = rng.choice(n_genes, max(1, round(share * n_genes)), replace=False)
            row[raised] = np.exp(rng.normal(*_FOLD, len(raised)))
        mean *= folds[groups]
    return mean / mean.sum(axis=1, keepdims=True)


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
        past = (n > means[open_]) & (density[open_] <= 1e-9)
        open_ = open_[(drawn[open_] > below[open_]) & ~past]
    return sparse.csr_matrix((counts, (rows, columns)), shape=none.shape)


def _blocks(
    n_cells: int,
    n_genes: int = 2000,
    n_types: int = 60,
    *,
    smallest: float = 0.0005,
    largest: float = 0.1,
    n_batches: int = 1,
    counts_per_gene: float = 0.75,
    seed: int = 0,
) -> Iterator[tuple[sparse.csr_matrix, pd.DataFrame]]:
    """Yield blocks of cells as counts and ``obs``; a block depends on the seed and its number only."""
    rng = np.random.default_rng([seed, 0])
    profiles = (counts_per_gene * n_genes * _profiles(n_genes, n_types, rng)).astype(np.float32)
    # types of a lineage have various sizes
    sizes = rng.permutation(type_sizes(n_types, smallest, largest))
    batches = np.exp(rng.normal(0, _BATCH_SPREAD, (n_batches, n_genes))).astype(np.float32)
    for number, start in enumerate(range(0, n_cells, _BLOCK_CELLS)):
        rng = np.random.default_rng([seed, 1 + number])
        # the whole block is drawn, so that fewer cells are the first ones of more cells
        types, batch = rng.choice(n_types, _BLOCK_CELLS, p=sizes), rng.integers(n_batches, size=_BLOCK_CELLS)
        depth = rng.lognormal(0, _DEPTH_SPREAD, (_BLOCK_CELLS, 1)).astype(np.float32)
        mean = profiles[types] * depth
        if n_batches > 1:
            mean *= batches[batch]
        names = pd.RangeIndex(start, start + _BLOCK_CELLS).astype(str)
        obs = pd.DataFrame({"type": _names(types, n_types)}, index="cell" + names)
        if n_batches > 1:
            obs["batch"] = _names(batch, n_batches)
        n = min(_BLOCK_CELLS, n_cells - start)
        yield _draw(mean, rng)[:n], obs[:n]


def _names(codes: np.ndarray, n: int) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, categories=pd.RangeIndex(n).astype(str))


def _obs(blocks: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join ``obs`` of all blocks; types without cells are no categories."""
    joined = pd.concat(blocks)
    return joined.apply(lambda column: column.cat.remove_unused_categories())


def _var(n_genes: int) -> pd.DataFrame:
    return pd.DataFrame(index="gene" + pd.RangeIndex(n_genes).astype(str))


def simulate_counts(n_cells: int, n_genes: int = 2000, n_types: int = 60, **kwargs: Any) -> AnnData:
    """Simulate negative binomial counts of cell types of very different sizes.

    Each six types are a lineage. A lineage has 4 % of the genes as markers and a type another 2 %, which are about five
    times as high as elsewhere (log-normal fold changes). Cells differ in depth by a log-normal factor.

    Parameters
    ----------
    n_cells, n_genes
        Numbers of cells and genes. The cells are the first ones of any larger number.
    n_types
        Number of cell types.
    **kwargs
        ``smallest`` and ``largest``, the shares of the smallest and the largest type (default 0.05 % and 10 %, which
        needs more than ten types), as in :func:`type_sizes`; ``n_batches`` (default 1), in which each gene is higher or
        lower by a factor that is the same for all types; ``counts_per_gene``, the counts of a cell of median depth per
        gene (default 0.75, with which about 30 % of the values are not zero); ``seed`` (default 0).

    Returns
    -------
    Annotated data with counts in ``X``, CSR ``(n_cells, n_genes)`` float32, types in ``obs["type"]``, and, if there are
    several batches, ``obs["batch"]``.

    Raises
    ------
    ValueError
        If no shares between the smallest and the largest sum to one.

    Examples
    --------
    >>> from scclu.benchmark.simulation import simulate_counts
    >>> simulate_counts(500, 100, n_batches=2).obs.columns.tolist()
    ['type', 'batch']
    """
    blocks, obs = zip(*_blocks(n_cells, n_genes, n_types, **kwargs), strict=True)
    return AnnData(sparse.vstack(blocks, format="csr"), obs=_obs(obs), var=_var(n_genes))


def write_counts(path: str | Path, n_cells: int, n_genes: int = 2000, n_types: int = 60, **kwargs: Any) -> None:
    """Write the result of :func:`simulate_counts` to a file, with only one block of cells in memory at a time.

    Parameters
    ----------
    path
        Path of the h5ad file.
    n_cells, n_genes, n_types, **kwargs
        As in :func:`simulate_counts`.
    """
    blocks = _blocks(n_cells, n_genes, n_types, **kwargs)
    counts, first = next(blocks)
    obs = [first]
    AnnData(counts, obs=_obs(obs), var=_var(n_genes)).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        stored = sparse_dataset(file["X"])
        for counts, more in blocks:
            stored.append(counts)
            obs.append(more)
        write_elem(file, "obs", _obs(obs))
