"""Composition of clusters by batch, and which clusters are one batch alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

from scclu.cluster.pair_tests import holm

# share of a cluster's cells from which on it is called one batch alone
_ALONE = 0.95


def batch_table(clusters: np.ndarray, batches: np.ndarray, n_clusters: int, names: list[str]) -> dict[str, Any]:
    """Number of cells of each batch in each cluster, and a test of the batch that stands out most.

    The p-value is that of a binomial test: whether the cluster has more cells of the batch than a random sample of all
    cells would have. It is corrected for the number of batches and, by Holm's method, of clusters.

    Parameters
    ----------
    clusters, batches
        Cluster and batch of each cell, ``(n_cells,)`` int from 0.
    n_clusters
        Number of clusters.
    names
        Names of the batches.

    Returns
    -------
    ``"batches"``, the names; ``"counts"`` ``(n_clusters, n_batches)`` int; ``"table"``, a data frame with the columns
    ``"cluster"``, ``"n_cells"``, ``"batch"`` (the one that is most over-represented), ``"share"`` (of the cluster's
    cells), ``"expected"`` (of all cells), ``"p_adjusted"`` and ``"one_batch"``.
    """
    counts = np.zeros((n_clusters, len(names)), dtype=np.int64)
    np.add.at(counts, (clusters, batches), 1)
    sizes, expected = counts.sum(axis=1), counts.sum(axis=0) / counts.sum()
    p = np.minimum(1.0, len(names) * binom.sf(counts - 1, sizes[:, None], expected))
    share = counts / np.maximum(sizes, 1)[:, None]
    # the lowest p-value; of equal ones, which underflow to zero, the largest excess
    most = np.lexsort((-(share - expected), p), axis=1)[:, 0]
    rows = np.arange(n_clusters)
    adjusted = holm(p[rows, most])
    share = share[rows, most]
    table = pd.DataFrame(
        {
            "cluster": rows.astype(str),
            "n_cells": sizes,
            "batch": np.array(names, dtype=object)[most],
            "share": share,
            "expected": expected[most],
            "p_adjusted": adjusted,
            "one_batch": (share >= _ALONE) & (adjusted < 0.05),
        }
    )
    return {"batches": np.array(names, dtype=str), "counts": counts, "table": table}
