"""The tool ``align_labels``: names of clusters, taken from another clustering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics.cluster import contingency_matrix

from scclu._checks import check_key
from scclu._labels import as_column, obs_column, read_labels
from scclu._palette import palette
from scclu.tl._write import h5ad_safe, write_results

if TYPE_CHECKING:
    from anndata import AnnData


def align_labels(
    adata: AnnData, key: str, reference_key: str, *, key_added: str | None = None, copy: bool = False
) -> AnnData | None:
    """Rename clusters to match the names of another clustering.

    Clusters are matched one to one such that the number of cells with the same name is largest (Hungarian method). A
    cluster without a match keeps its name, prefixed by `key` (``"cicl_3"``) if the reference has the same name. Which
    cells form a cluster does not change. Clusters also get the colours of the reference, if it has any.

    Parameters
    ----------
    adata
        Annotated data with both clusterings.
    key
        Column of ``adata.obs`` with the clusters to rename.
    reference_key
        Column of ``adata.obs`` with the reference clustering.
    key_added
        Key under which results are stored; ``f"{key}_aligned"`` if None.
    copy
        Return a copy with the results instead of writing to `adata`.

    Returns
    -------
    None, or the copy if `copy` is True. Sets the following fields:

    ``adata.obs[key_added]``
        The renamed clusters, categorical, in the order of the reference.
    ``adata.uns[f"{key_added}_colors"]``
        Colours, if ``adata.uns[f"{reference_key}_colors"]`` exists.
    ``adata.uns[key_added]``
        ``"overlap"``, number of cells of each cluster in each cluster of the reference, ``(n_clusters, n_reference)``
        int64; ``"clusters"`` and ``"reference"``, the names of its rows and columns; ``"names"``, the new name of each
        cluster; ``"params"``.

    Raises
    ------
    TypeError, ValueError
        If a column is missing, has missing values or holds real numbers, or if `key_added` is one of the two columns.
        `adata` is then unchanged.

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
    column = as_column(names[labels.codes], order, unassigned="")
    adata = write_results(
        adata,
        copy=copy,
        obs={key_added: column},
        uns={
            **_colors(adata, reference_key, key_added, list(column.categories)),
            key_added: {
                "params": h5ad_safe({"key": key, "reference_key": reference_key}),
                "overlap": overlap.astype(np.int64),
                "clusters": np.array(labels.categories, dtype=str),
                "reference": np.array(reference.categories, dtype=str),
                "names": names.astype(str),
            },
        },
    )
    return adata if copy else None


def _colors(adata: AnnData, reference_key: str, key_added: str, names: list[str]) -> dict[str, list[str]]:
    """Colours to write: those of the reference for its names, and unused ones for the other names."""
    colors = [str(color) for color in adata.uns.get(f"{reference_key}_colors", ())]
    reference = obs_column(adata, reference_key).astype("category").cat.categories
    if len(colors) < len(reference):
        return {}
    known = dict(zip(map(str, reference), colors, strict=False))
    unused = [color for color in palette(len(names) + len(colors)) if color not in colors]
    others = iter(unused or palette(len(names)))
    return {f"{key_added}_colors": [known[name] if name in known else next(others) for name in names]}
