"""Reading of a clustering and of what its cells are compared by, for tools that judge clusterings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from scclu._labels import read_labels
from scclu._rng import child_seed
from scclu.cluster.representations import input_representations
from scclu.data.kinds import detect_kind
from scclu.data.matrix import canonical_order, read_matrix, reordered

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)


class LabelledCells(NamedTuple):
    """Cells that have a label, in an order that does not depend on that of `adata`.

    Attributes
    ----------
    labels
        Label of each cell of `adata`, ``(n_obs,)``; NaN if it has none.
    rows
        Positions in `adata` of the cells with a label, ``(n_cells,)``, in random order.
    codes
        Cluster of each cell, ``(n_cells,)`` int.
    representations
        What :func:`~scclu.tl.cicl` clusters, arrays ``(n_cells, n_dims)``.
    """

    labels: pd.Categorical
    rows: np.ndarray
    codes: np.ndarray
    representations: tuple[np.ndarray, ...]

    @property
    def names(self) -> np.ndarray:
        """Names of the clusters, ``(n_clusters,)``."""
        return self.labels.categories.to_numpy(dtype=object)


def read_clusters(adata: AnnData, key: str, *, argument: str) -> pd.Categorical:
    """Read at least two clusters from ``adata.obs``; cells may have none.

    Raises
    ------
    TypeError, ValueError
        As :func:`~scclu._labels.read_labels`, or if there are fewer than two clusters.
    """
    labels = read_labels(adata, key, argument=argument, allow_missing=True)
    if len(labels.categories) < 2:
        raise ValueError(
            f"{argument} must name at least two clusters, but adata.obs[{key!r}] has {len(labels.categories)}."
        )
    return labels


def labelled_cells(
    adata: AnnData, key: str, labels: pd.Categorical, *, use_rep: str | None, random_state: int
) -> LabelledCells:
    """Compute the representations of the cells that have a label.

    Parameters
    ----------
    adata
        Annotated data.
    key
        Name of the clustering. If `use_rep` is ``None`` and scclu made it, the same matrix is read.
    labels
        Result of :func:`read_clusters`.
    use_rep
        Key of ``adata.obsm`` to read instead of genes.
    random_state
        Seed.
    """
    layer, use_rep = (None, use_rep) if use_rep is not None else _clustered_matrix(adata, key)
    matrix, names, source = read_matrix(adata, layer=layer, use_rep=use_rep, by_block=True)
    is_representation = use_rep not in (None, "X")
    order = canonical_order(matrix)
    rows = order[labels.codes[order] >= 0]
    rows = rows[np.random.default_rng(child_seed(random_state, "order")).permutation(len(rows))]
    matrix = matrix[rows] if len(rows) < len(order) else reordered(matrix, rows)
    logger.info("Reading %d cells of %s.", len(rows), source)
    representations = input_representations(
        matrix,
        names,
        source,
        kind="scaled" if is_representation else detect_kind(matrix, source),
        is_representation=is_representation,
        random_state=child_seed(random_state, "representations"),
    )
    return LabelledCells(labels, rows, labels.codes[rows].astype(np.int64), representations)


def _clustered_matrix(adata: AnnData, key: str) -> tuple[str | None, str | None]:
    """Layer and representation that a tool of scclu has clustered, or ``None`` twice."""
    params = _params(adata, key)
    # cut_tree names the clustering whose tree it has cut
    params = _params(adata, params["key"]) if "n_clusters" in params and "key" in params else params
    layer, use_rep = (params.get(name) for name in ("layer", "use_rep"))
    # AnnData cannot write None
    return None if layer == "None" else layer, None if use_rep == "None" else use_rep


def _params(adata: AnnData, key: str) -> Mapping[str, Any]:
    results = adata.uns.get(key)
    params = results.get("params") if isinstance(results, Mapping) else None
    return params if isinstance(params, Mapping) else {}
