"""The tool ``stability``: how often clusters are found again in subsamples."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scclu._checks import check_key, check_number, check_seed
from scclu._rng import child_seed
from scclu.cluster.stability import found_again, subsample_clusters
from scclu.methods._trainer import progress_bar
from scclu.tl._labelled_cells import labelled_cells, read_clusters
from scclu.tl._write import check_writable, h5ad_safe, write_results

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)
# cells that a subsample needs
_FEWEST_CELLS = 4


def stability(
    adata: AnnData,
    key: str = "cicl",
    *,
    use_rep: str | None = None,
    n_runs: int = 20,
    fraction: float = 0.8,
    key_added: str | None = None,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Measure how often the clusters of any clustering are found again in random subsamples.

    Each run draws a subsample of the cells and clusters it into as many clusters, with another seed, by a tree of
    tested merges of the input (:doc:`/clustering`), without training a network. The stability of a cluster is the
    highest Jaccard index of its cells in the subsample with a cluster of the run, averaged over the runs. As tests use
    at most 2,000 random cells of a cluster, the time is about linear in the number of cells.

    Clusters that are not found again are often parts of a larger group, or mixtures. The reverse does not hold: a
    mixture of two types that the data do not separate can be stable.

    Parameters
    ----------
    adata
        Annotated data with clusters.
    key
        Column of ``adata.obs`` with at least two clusters. Cells with missing values are left out.
    use_rep
        Key of ``adata.obsm`` with an embedding that is clustered, such as ``"X_scVI"``. If None, principal components
        are computed as in :func:`~scclu.tl.cicl`, from the layer or embedding that was clustered if scclu has made
        the clusters, and from ``adata.X`` otherwise. Batches that they were corrected for are corrected here, too.
    n_runs
        Number of subsamples.
    fraction
        Share of the cells in each subsample, above 0 and at most 1.
    key_added
        Key under which results are stored; ``f"{key}_stability"`` if None.
    random_state
        Seed.
    copy
        Return a copy with the results instead of writing to `adata`.

    Returns
    -------
    None, or the copy if `copy` is True. Sets the following fields:

    ``adata.obs[key_added]``
        Share of the runs with the cell in which it is in the cluster that is most similar to its own, in [0, 1],
        float32. NaN for cells without a cluster, or in no subsample.
    ``adata.uns[key_added]``
        ``"table"``, a data frame with one row for each cluster: ``"cluster"``, ``"n_cells"``, and ``"jaccard"`` and
        ``"jaccard_sd"``, the mean and the standard deviation over the runs; ``"params"``.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than two clusters, the matrix is missing or not what it must be, or an argument is not
        allowed. `adata` is then unchanged.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.stability(adata, "cell_type", n_runs=2)
    >>> adata.uns["cell_type_stability"]["table"].columns.tolist()
    ['cluster', 'n_cells', 'jaccard', 'jaccard_sd']
    """
    check_writable(adata, copy=copy)
    labels = read_clusters(adata, key, argument="key")
    check_number("n_runs", n_runs, integer=True, low=1)
    check_number("fraction", fraction, above=0, high=1)
    check_seed("random_state", random_state)
    name = check_key(f"{key}_stability" if key_added is None else key_added, key)
    n_cells = int((labels.codes >= 0).sum())
    if round(fraction * n_cells) < _FEWEST_CELLS:
        raise ValueError(
            f"A subsample needs at least {_FEWEST_CELLS} cells, but has {round(fraction * n_cells)} with "
            f"fraction={fraction!r} of {n_cells} cells. Pass more cells or a larger fraction."
        )
    cells = labelled_cells(adata, key, labels, use_rep=use_rep, random_state=random_state)
    runs = subsample_clusters(
        cells.representations,
        len(cells.names),
        n_runs=n_runs,
        fraction=fraction,
        batches=cells.batches,
        random_state=child_seed(random_state, "stability"),
    )
    found = found_again(cells.codes, progress_bar(n_runs, "Subsamples", runs))
    agreement = np.full(adata.n_obs, np.nan, dtype=np.float32)
    agreement[cells.rows] = found.agreement
    per_run = pd.DataFrame(found.jaccard)  # its mean is over the runs that have cells of the cluster
    columns = {"jaccard": per_run.mean().to_numpy(), "jaccard_sd": per_run.std(ddof=0).to_numpy()}
    table = pd.DataFrame({"cluster": cells.names, "n_cells": np.bincount(cells.codes), **columns})
    params = {"key": key, "use_rep": use_rep, "n_runs": n_runs, "fraction": fraction, "random_state": random_state}
    adata = write_results(
        adata, copy=copy, obs={name: agreement}, uns={name: {"table": table, "params": h5ad_safe(params)}}
    )
    mean = table["jaccard"].mean()
    logger.info("Mean stability of %d clusters: %.2f. Wrote obs[%r] and uns[%r].", len(table), mean, name, name)
    return adata if copy else None
