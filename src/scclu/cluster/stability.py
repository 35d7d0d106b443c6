"""How often clusters are found again in clusterings of random subsamples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from scclu._rng import child_seed, spawn_seeds
from scclu.cluster.core import tree_clusters


class FoundAgain(NamedTuple):
    """How often clusters are found again.

    Attributes
    ----------
    jaccard
        Highest Jaccard index of each cluster with a cluster of each run, restricted to the cells of the run,
        ``(n_runs, n_clusters)``; NaN if the run has no cell of the cluster.
    agreement
        Share of the runs with a cell in which it is in the cluster that is most similar to its own, ``(n_cells,)``;
        NaN if no run has the cell.
    """

    jaccard: np.ndarray
    agreement: np.ndarray


def found_again(labels: np.ndarray, runs: Iterable[tuple[np.ndarray, np.ndarray]]) -> FoundAgain:
    """Compare clusters with those of subsamples.

    Parameters
    ----------
    labels
        Cluster of each cell, 0 to n_clusters - 1.
    runs
        Positions of the cells of each subsample, and the clusters of these cells.
    """
    n_cells, n_clusters = len(labels), int(labels.max()) + 1
    jaccard, n_drawn, n_agreed = [], np.zeros(n_cells), np.zeros(n_cells)
    for rows, found in runs:
        own = labels[rows]
        table = jaccard_table(own, found, n_clusters)
        there = np.bincount(own, minlength=n_clusters) > 0
        jaccard.append(np.where(there, table.max(axis=1), np.nan))
        n_drawn[rows] += 1
        n_agreed[rows] += table.argmax(axis=1)[own] == found
    agreement = np.divide(n_agreed, n_drawn, out=np.full(n_cells, np.nan), where=n_drawn > 0)
    return FoundAgain(np.array(jaccard), agreement)


def subsample_clusters(
    representations: Sequence[np.ndarray],
    n_clusters: int,
    *,
    n_runs: int,
    fraction: float,
    batches: np.ndarray | None = None,
    random_state: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cluster random subsamples of the cells, each with another seed, by a tree of tested merges.

    Parameters
    ----------
    representations
        Arrays ``(n_cells, n_dims)`` of the same cells in random order.
    n_clusters
        Number of clusters.
    n_runs
        Number of subsamples.
    fraction
        Share of the cells in each subsample.
    batches
        Batch of each cell, for which the representations were corrected.
    random_state
        Seed.

    Yields
    ------
    Positions of the cells of a subsample, and the cluster of each of them.
    """
    n_cells = len(representations[0])
    for seed in spawn_seeds(random_state, n_runs):
        drawn = np.random.default_rng(child_seed(seed, "subsample")).permutation(n_cells)
        rows = np.sort(drawn[: round(fraction * n_cells)])
        found = tree_clusters(
            [values[rows] for values in representations],
            min(n_clusters, len(rows)),
            n_repetitions=1,
            batches=None if batches is None else batches[rows],
            random_state=child_seed(seed, "tree"),
        )
        yield rows, found.labels


def jaccard_table(labels: np.ndarray, other: np.ndarray, n_clusters: int) -> np.ndarray:
    """Jaccard index of each cluster with each cluster of another clustering of the same cells.

    Parameters
    ----------
    labels, other
        Clusters of the cells, ``(n_cells,)`` int.
    n_clusters
        Number of clusters of `labels`, of which some may have no cell here; their rows are 0.

    Returns
    -------
    ``(n_clusters, n_others)``, between 0 and 1.
    """
    n_others = int(other.max()) + 1
    both = np.bincount(labels * n_others + other, minlength=n_clusters * n_others).reshape(n_clusters, n_others)
    return both / (both.sum(axis=1, keepdims=True) + both.sum(axis=0) - both)
