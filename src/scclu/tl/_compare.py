"""Clusterings beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.metrics.cluster import contingency_matrix

from scclu import metrics
from scclu._labels import as_column, check_key, read_labels
from scclu.tl._write import h5ad_safe, write_results

if TYPE_CHECKING:
    from anndata import AnnData


def align_labels(
    adata: AnnData, key: str, reference_key: str, *, key_added: str | None = None, copy: bool = False
) -> AnnData | None:
    """Rename clusters after those of another clustering that they share most cells with.

    The match is one to one and maximises the number of cells whose names agree (Hungarian method). A cluster without a
    partner keeps its name, with `key` before it (``"cicl_3"``) if the reference has that name too. The cells of each
    cluster stay the same.

    Parameters
    ----------
    adata
        Cells with both clusterings.
    key
        The clusters to rename: a column of ``adata.obs``.
    reference_key
        The names to take: another column.
    key_added
        Name of the result; ``None`` is ``f"{key}_aligned"``.
    copy
        Write to a copy and return it.

    Returns
    -------
    ``None``, or the copy. Written are

    ``adata.obs[key_added]``
        The renamed clusters, categorical, in the order of the reference.
    ``adata.uns[key_added]``
        ``"overlap"``, cells in each cluster and each cluster of the reference, ``(n_clusters, n_reference)`` int64;
        ``"clusters"`` and ``"reference"``, its rows and columns; ``"names"``, the new name of each cluster;
        ``"params"``.

    Raises
    ------
    TypeError, ValueError
        If a column is missing or has missing values, or `key_added` is one of the two. `adata` is then unchanged.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> adata.obs["clusters"] = adata.obs["cell_type"].cat.rename_categories(lambda name: name[::-1])
    >>> scclu.tl.align_labels(adata, "clusters", "cell_type")
    >>> bool((adata.obs["clusters_aligned"] == adata.obs["cell_type"]).all())
    True
    """
    labels = read_labels(adata, key, argument="key")
    reference = read_labels(adata, reference_key, argument="reference_key")
    key_added = check_key(f"{key}_aligned" if key_added is None else key_added, key, reference_key)
    overlap = contingency_matrix(labels.codes, reference.codes)
    partners = {
        row: str(reference.categories[column])
        for row, column in zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
        if overlap[row, column] > 0
    }
    order = [str(name) for name in reference.categories]
    names = np.empty(len(labels.categories), dtype=object)
    for row, name in enumerate(map(str, labels.categories)):
        if row not in partners:
            while name in order:
                name = f"{key}_{name}"
            order.append(name)
        names[row] = partners.get(row, name)
    adata = write_results(
        adata,
        copy=copy,
        obs={key_added: as_column(names[labels.codes], order, unassigned="")},
        uns={
            key_added: {
                "params": h5ad_safe({"key": key, "reference_key": reference_key}),
                "overlap": overlap.astype(np.int64),
                "clusters": np.array(labels.categories, dtype=str),
                "reference": np.array(reference.categories, dtype=str),
                "names": names.astype(str),
            }
        },
    )
    return adata if copy else None


def compare(adata: AnnData, keys: Sequence[str], labels_key: str | None = None) -> pd.DataFrame:
    """How far clusterings of the same cells agree, with each other and with labels.

    Parameters
    ----------
    adata
        Cells with the clusterings; nothing is written.
    keys
        The clusterings: columns of ``adata.obs``.
    labels_key
        A column of known types, if there is one. It is used for these figures only.

    Returns
    -------
    One row a clustering, and one column a clustering with the adjusted Rand index of the two. With labels, three
    columns follow: ``f"{labels_key}: ARI"``, ``f"{labels_key}: NMI"`` (arithmetic) and ``f"{labels_key}: ACC"``, as
    in :mod:`scclu.metrics`.

    Raises
    ------
    TypeError, ValueError
        If `keys` is no list of different columns, or a column is missing or has missing values.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> adata.obs["monocytes"] = adata.obs["cell_type"] == "CD14+ Monocyte"
    >>> scclu.tl.compare(adata, ["cell_type", "monocytes"]).round(2).to_numpy().tolist()
    [[1.0, 0.18], [0.18, 1.0]]
    """
    if isinstance(keys, str) or not isinstance(keys, Sequence) or not keys:
        raise TypeError(f"keys must be a list of columns of adata.obs, but {keys!r} was passed.")
    if len(set(keys)) < len(keys):
        raise ValueError(f"keys must be different columns, but {list(keys)!r} was passed.")
    columns = {key: read_labels(adata, key, argument="keys") for key in keys}
    labels = None if labels_key is None else read_labels(adata, labels_key, argument="labels_key")
    table = pd.DataFrame(1.0, index=list(keys), columns=list(keys))
    for i, first in enumerate(keys):
        for second in keys[i + 1 :]:
            table.loc[first, second] = table.loc[second, first] = metrics.ari(columns[first], columns[second])
    if labels is not None:
        for name, metric in (("ARI", metrics.ari), ("NMI", metrics.nmi), ("ACC", metrics.accuracy)):
            table[f"{labels_key}: {name}"] = [metric(labels, columns[key]) for key in keys]
    return table
