"""The tool ``compare``: agreement of clusterings with each other and with labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from scclu import metrics
from scclu._labels import read_labels

if TYPE_CHECKING:
    from anndata import AnnData


def compare(adata: AnnData, keys: Sequence[str], labels_key: str | None = None) -> pd.DataFrame:
    """Agreement of clusterings of the same cells with each other and, optionally, with known labels.

    Parameters
    ----------
    adata
        Annotated data with the clusterings; nothing is written.
    keys
        Columns of ``adata.obs`` with the clusterings.
    labels_key
        Column of ``adata.obs`` with known cell types, which are used only for the scores returned here.

    Returns
    -------
    Table with a row for each clustering. It has one column for each clustering with the adjusted Rand index of the
    two. With labels, it also has the columns ``f"{labels_key}: ARI"``, ``f"{labels_key}: NMI"`` (arithmetic mean of
    the entropies) and ``f"{labels_key}: ACC"``, computed by :mod:`scclu.metrics`.

    Raises
    ------
    TypeError, ValueError
        If `keys` is not a list of different columns, or a column is missing, has missing values or holds real numbers.

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
