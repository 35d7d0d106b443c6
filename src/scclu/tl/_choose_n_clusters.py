"""The number of clusters of an embedding, with the evidence."""

from __future__ import annotations

import logging
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from scclu._checks import check_number
from scclu._labels import check_key
from scclu.cluster.n_clusters import find_n_clusters, most_clusters
from scclu.data.matrix import canonical_order, read_matrix
from scclu.methods._randomness import one_at_a_time
from scclu.tl._write import h5ad_safe, write_results

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
    """Choose the number of clusters of an embedding, without labels.

    The number of Leiden communities at a coarse resolution (0.15) and at a fine one (0.6) bound the search. Between
    them the k is chosen at which Gaussian mixtures with a shared covariance have the highest product of stability and
    silhouette. ``tl.cicl`` and ``tl.scsiameseclu`` use the same rule, on principal components of their input, where no
    `n_clusters` is given. At most 1,500 cells are looked at, a random sample of which the size is logged: types of
    less than about 1 % of the cells do not count. The evidence is there to be overruled: see
    :func:`scclu.pl.choose_n_clusters`.

    Parameters
    ----------
    adata
        Cells with an embedding.
    use_rep
        The embedding: a key of ``adata.obsm``, such as ``"X_pca"`` or ``"X_cicl"``.
    k_range
        Smallest and largest number of clusters to try, at least 2 and at most 80 % of the cells.
    key_added
        Name of the results.
    random_state
        Seed; the same seed on the same machine gives the same number, in whatever order the cells are.
    copy
        Write to a copy and return it after the number.

    Returns
    -------
    The number of clusters; with `copy`, also the copy. Written is ``adata.uns[key_added]``:

    ``"k"``
        The number.
    ``"leiden_k"``
        Communities that Leiden finds on the same cells at resolution 1.
    ``"table"``
        One row a k: ``"k"``; ``"stability"`` and ``"stability_sd"``, mean and standard deviation of the adjusted Rand
        index between mixtures that were fitted to random draws of 80 % of the cells, from different seeds; and
        ``"silhouette"``.
    ``"params"``
        The arguments, ``"n_cells"``, the cells looked at, and ``"leiden_range"``, the two numbers that bounded the
        search.

    Raises
    ------
    TypeError, ValueError
        If the embedding is missing or holds anything but finite numbers, or an argument is not what it must be. `adata`
        is then unchanged.

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
    check_number("random_state", random_state, integer=True, low=0, below=2**32)
    embedding, _, source = read_matrix(adata, layer=None, use_rep=use_rep)
    k_range = _check_range(k_range, len(embedding), source)
    order = canonical_order(embedding)[np.random.default_rng(random_state).permutation(len(embedding))]
    found = find_n_clusters(embedding[order], k_range=k_range, random_state=random_state)
    logger.info(
        "%d clusters, found on %d of %d cells of %s (Leiden at resolution 1: %d). Wrote uns[%r].",
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
            f"k_range must end at {most} or below (80 % of the cells that are looked at) for the {n_cells} cells of "
            f"{source}, but {k_range!r} was passed. Pass k_range=({min(low, most)}, {most}) or less."
        )
    return int(low), int(high)
