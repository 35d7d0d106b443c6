"""The tool ``choose_n_clusters``: an estimate of the number of clusters of an embedding."""

from __future__ import annotations

import logging
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from scclu._checks import check_key, check_seed
from scclu._process import one_at_a_time
from scclu.cluster.n_clusters import find_n_clusters, most_clusters
from scclu.data.matrix import canonical_order, read_matrix
from scclu.tl._write import check_writable, h5ad_safe, write_results

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)


@one_at_a_time
def choose_n_clusters(
    adata: AnnData,
    *,
    use_rep: str,
    k_range: tuple[int, int] = (2, 30),
    key_added: str = "choose_n_clusters",
    random_state: int = 0,
    copy: bool = False,
) -> int | tuple[int, AnnData]:
    """Estimate the number of clusters of an embedding, without labels.

    The search is limited to the range between the numbers of Leiden communities at a coarse resolution (0.15) and
    at a fine one (0.6). In this range, the k is chosen for which Gaussian mixtures with a shared covariance have
    the highest product of stability and silhouette. ``tl.cicl`` and ``tl.scsiameseclu`` find their number of
    clusters by tests instead (:doc:`/clustering`). At most 1,500 randomly sampled cells are used, and their number
    is logged; cell types with less than about 1 % of the cells have no influence. Plot the scores with
    :func:`scclu.pl.choose_n_clusters` before relying on the estimate.

    Parameters
    ----------
    adata
        Annotated data with an embedding.
    use_rep
        Key of ``adata.obsm`` with the embedding, such as ``"X_pca"`` or ``"X_cicl"``.
    k_range
        Smallest and largest number of clusters to try, at least 2 and at most 80 % of the cells.
    key_added
        Key of ``adata.uns`` under which results are stored.
    random_state
        Seed. The same seed on the same machine gives the same number for any order of the cells.
    copy
        Write to a copy, and return it after the number.

    Returns
    -------
    The number of clusters; with `copy`, a tuple of the number and the copy. Sets ``adata.uns[key_added]`` with:

    ``"k"``
        The number of clusters.
    ``"leiden_k"``
        Number of Leiden communities of the same cells at resolution 1.
    ``"table"``
        Data frame with one row for each k: ``"k"``; ``"stability"`` and ``"stability_sd"``, the mean and standard
        deviation of the adjusted Rand index between mixtures that were fitted to random draws of 80 % of the cells
        with different seeds; and ``"silhouette"``.
    ``"params"``
        The arguments; ``"n_cells"``, the number of cells used; and ``"leiden_range"``, the limits of the search.

    Raises
    ------
    TypeError, ValueError
        If the embedding is missing or has values that are not finite numbers, or an argument is not allowed. `adata` is
        then unchanged.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> k = scclu.tl.choose_n_clusters(adata, use_rep="X_pca", k_range=(2, 12))
    >>> k == adata.uns["choose_n_clusters"]["k"]
    True
    >>> adata.uns["choose_n_clusters"]["table"].columns.tolist()
    ['k', 'stability', 'stability_sd', 'silhouette']
    """
    if not isinstance(use_rep, str):
        raise TypeError(f"use_rep must be a key of adata.obsm, but {use_rep!r} was passed.")
    check_key(key_added)
    check_writable(adata, copy=copy)
    check_seed("random_state", random_state)
    embedding, _, source = read_matrix(adata, layer=None, use_rep=use_rep)
    k_range = _check_range(k_range, len(embedding), source)
    order = canonical_order(embedding)[np.random.default_rng(random_state).permutation(len(embedding))]
    found = find_n_clusters(embedding[order], k_range=k_range, random_state=random_state)
    logger.info(
        "%d clusters, estimated from %d of %d cells of %s (Leiden at resolution 1: %d). Wrote uns[%r].",
        found.k,
        found.n_cells,
        len(embedding),
        source,
        found.leiden_k,
        key_added,
    )
    params = {"use_rep": use_rep, "k_range": k_range, "random_state": random_state}
    adata = write_results(
        adata,
        copy=copy,
        uns={
            key_added: {
                "k": found.k,
                "leiden_k": found.leiden_k,
                "table": found.table,
                "params": h5ad_safe(params | {"n_cells": found.n_cells, "leiden_range": found.leiden_range}),
            }
        },
    )
    return (found.k, adata) if copy else found.k


def _check_range(k_range: Any, n_cells: int, source: str) -> tuple[int, int]:
    """Return `k_range` as a pair of integers; raise if it is not allowed for the `n_cells` cells of `source`."""
    try:
        low, high = k_range
    except (TypeError, ValueError):
        low = high = None
    if any(isinstance(k, bool) or not isinstance(k, Integral) for k in (low, high)):
        raise TypeError(f"k_range must be two whole numbers, as in (2, 30), but {k_range!r} was passed.")
    if not 2 <= low <= high:
        raise ValueError(f"k_range must be (low, high) with 2 <= low <= high, but {k_range!r} was passed.")
    if n_cells < 3:
        raise ValueError(f"{source} has {n_cells} cells; choosing a number of clusters needs at least 3.")
    most = most_clusters(n_cells)
    if high > most:
        raise ValueError(
            f"k_range must end at {most} or below (80 % of the cells that are used) for the {n_cells} cells of "
            f"{source}, but {k_range!r} was passed. Pass k_range=({min(low, most)}, {most}) or less."
        )
    return int(low), int(high)
