"""The tool ``test_clusters``: whether the clusters of any clustering are distinct."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scclu._checks import check_key, check_number, check_seed
from scclu.cluster.pair_tests import PairTests, TestedPairs
from scclu.tl._labelled_cells import LabelledCells, labelled_cells, read_clusters
from scclu.tl._write import check_writable, h5ad_safe, write_results

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)


def test_clusters(
    adata: AnnData,
    groupby: str,
    *,
    use_rep: str | None = None,
    batch_key: str | None = None,
    alpha: float = 0.05,
    merge: bool = False,
    key_added: str | None = None,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Test whether neighbouring clusters of any clustering are distinct, and merge those that are not.

    Each cluster is compared with the five clusters whose means are nearest. The cells of two clusters are projected on
    their linear discriminant, which is fitted to other cells, and the null hypothesis is that the projections have one
    mode, as those of a single population that was cut in two (:doc:`/clustering`). At most 2,000 random cells of
    a cluster are used. The p-values are corrected for the number of pairs by Holm's method.

    With `merge`, the pair with the lowest cost in Ward's sense whose corrected p-value is not below `alpha` is merged,
    and the pairs of the new cluster are tested, until all neighbours are distinct.

    Parameters
    ----------
    adata
        Annotated data with clusters.
    groupby
        Column of ``adata.obs`` with at least two clusters, such as those of :func:`scanpy.tl.leiden` or published
        labels. Cells with missing values are left out.
    use_rep
        Key of ``adata.obsm`` with an embedding in which clusters are compared, such as ``"X_scVI"``. If None, principal
        components are computed as in :func:`~scclu.tl.cicl`, from the layer or embedding that was clustered if scclu
        has made the clusters, and from ``adata.X`` otherwise.
    batch_key
        Column of ``adata.obs`` with batches. The data are corrected for them, as by :func:`cicl`, and two clusters are
        compared within the batches that have cells of both, if there are any. If None, the batches that scclu has
        corrected for when it made the clusters, if it has.
    alpha
        Probability that any pair is called distinct although it is one cluster, in [0, 1].
    merge
        Merge clusters that are not distinct.
    key_added
        Key under which results are stored; ``f"{groupby}_tests"``, and ``f"{groupby}_merged"`` for merged clusters, if
        None.
    random_state
        Seed.
    copy
        Return a copy with the results instead of writing to `adata`.

    Returns
    -------
    None, or the copy if `copy` is True. Sets the following fields:

    ``adata.uns[key_added]``
        ``"table"``, a data frame with one row for each pair of neighbours: ``"cluster_1"``, ``"cluster_2"``,
        ``"n_cells_1"``, ``"n_cells_2"``, ``"p"`` and ``"p_adjusted"``; ``"params"``. With `merge` also
        ``"merged_table"``, the same for the merged clusters.
    ``adata.obs[key_added]``
        With `merge`, the merged clusters, a categorical. Each has the name of the largest cluster that it contains.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than two clusters, the matrix is missing or not what it must be, or an argument is not
        allowed. `adata` is then unchanged.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.test_clusters(adata, "cell_type", merge=True)
    >>> adata.uns["cell_type_tests"]["table"].columns.tolist()
    ['cluster_1', 'cluster_2', 'n_cells_1', 'n_cells_2', 'p', 'p_adjusted']
    >>> adata.obs["cell_type_merged"].nunique() < adata.obs["cell_type"].nunique()
    True
    """
    check_writable(adata, copy=copy)
    labels = read_clusters(adata, groupby, argument="groupby")
    check_number("alpha", alpha, low=0, high=1)
    check_seed("random_state", random_state)
    in_uns, in_obs = (
        check_key(f"{groupby}_{end}" if key_added is None else key_added, groupby, batch_key)
        for end in ("tests", "merged")
    )
    cells = labelled_cells(adata, groupby, labels, use_rep=use_rep, batch_key=batch_key, random_state=random_state)
    params = {"groupby": groupby, "use_rep": use_rep, "batch_key": batch_key, "alpha": float(alpha), "merge": merge}
    params["random_state"] = int(random_state)
    tests = PairTests(cells.representations, cells.codes, cells.batches)
    results: dict[str, Any] = {"table": _table(cells, tests.tested(), tests.sizes), "params": h5ad_safe(params)}
    obs = {}
    if merge:
        group = tests.merge_until_distinct(alpha)
        results["merged_table"] = _table(cells, tests.tested(), tests.sizes, group)
        obs[in_obs] = _merged(cells, group)
    adata = write_results(adata, copy=copy, obs=obs, uns={in_uns: results})
    n_distinct = int((results["table"]["p_adjusted"] < alpha).sum())
    logger.info("%d of %d pairs of neighbouring clusters are distinct.", n_distinct, len(results["table"]))
    if merge:
        kept = len(np.unique(group))
        logger.info("Merged %d clusters into %d. Wrote obs[%r].", len(group), kept, in_obs)
    logger.info("Wrote uns[%r].", in_uns)
    return adata if copy else None


# pytest would otherwise take it for a test where it is imported by name
test_clusters.__test__ = False  # type: ignore[attr-defined]


def _largest(cells: LabelledCells, group: np.ndarray) -> np.ndarray:
    """The largest cluster in the group of each cluster, ``(n_clusters,)`` int."""
    sizes = np.bincount(cells.codes)
    best = {each: max(np.flatnonzero(group == each), key=sizes.__getitem__) for each in np.unique(group)}
    return np.array([best[each] for each in group])


def _merged(cells: LabelledCells, group: np.ndarray) -> pd.Categorical:
    largest = _largest(cells, group)
    codes = cells.labels.codes
    merged = np.full(len(codes), None, dtype=object)
    merged[codes >= 0] = cells.names[largest[codes[codes >= 0]]]
    return pd.Categorical(merged, categories=cells.names[np.unique(largest)])


def _table(
    cells: LabelledCells, pairs: TestedPairs, sizes: np.ndarray, group: np.ndarray | None = None
) -> pd.DataFrame:
    """Table of pairs, with the names of the clusters, or of the groups that they were merged into."""
    names = cells.names if group is None else cells.names[_largest(cells, group)]
    return pd.DataFrame(
        {
            "cluster_1": names[pairs.first],
            "cluster_2": names[pairs.second],
            "n_cells_1": sizes[pairs.first].astype(np.int64),
            "n_cells_2": sizes[pairs.second].astype(np.int64),
            "p": pairs.p,
            "p_adjusted": pairs.p_adjusted,
        }
    )
