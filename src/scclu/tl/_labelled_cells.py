"""Reading of a clustering and of what its cells are compared by, for tools that judge clusterings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from scclu._labels import read_labels
from scclu._rng import child_seed
from scclu.cluster.batches import BatchCorrection
from scclu.cluster.representations import input_representations
from scclu.data.kinds import detect_kind
from scclu.data.matrix import canonical_order, read_matrix, reordered
from scclu.methods._batches import training_batches

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
        What :func:`~scclu.tl.cicl` clusters, arrays ``(n_cells, n_dims)``, corrected for batches if there are any.
    batches
        Batch of each cell, ``(n_cells,)`` int; ``None`` without batches.
    """

    labels: pd.Categorical
    rows: np.ndarray
    codes: np.ndarray
    representations: list[np.ndarray]
    batches: np.ndarray | None

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
    adata: AnnData,
    key: str,
    labels: pd.Categorical,
    *,
    use_rep: str | None,
    batch_key: str | None = None,
    random_state: int,
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
    batch_key
        Column of ``adata.obs`` with batches. If ``None`` and scclu made the clustering, the same batches are used.
    random_state
        Seed.
    """
    params = _clustering_params(adata, key)
    layer, use_rep = (None, use_rep) if use_rep is not None else (params.get("layer"), params.get("use_rep"))
    if batch_key is None and params.get("batch_key") in adata.obs:
        batch_key = params["batch_key"]
    _, batches = training_batches(adata, batch_key)
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
    codes = labels.codes[rows].astype(np.int64)
    if batches is None:
        return LabelledCells(labels, rows, codes, list(representations), None)
    batches = np.unique(batches[rows], return_inverse=True)[1]
    n_batches, seed = int(batches.max()) + 1, child_seed(random_state, "batch correction")
    corrections = [BatchCorrection.fit(each, batches, n_batches, random_state=seed) for each in representations]
    corrected = [fitted(each, batches) for fitted, each in zip(corrections, representations, strict=True)]
    return LabelledCells(labels, rows, codes, corrected, batches)


def _clustering_params(adata: AnnData, key: str) -> dict[str, Any]:
    """Arguments of the tool of scclu that made a clustering; empty if another one did."""
    params = _params(adata, key)
    # cut_tree names the clustering whose tree it has cut
    params = _params(adata, params["key"]) if "n_clusters" in params and "key" in params else params
    # version 0.1.0 wrote None as text
    return {name: None if isinstance(value, str) and value == "None" else value for name, value in params.items()}


def _params(adata: AnnData, key: str) -> Mapping[str, Any]:
    results = adata.uns.get(key)
    params = results.get("params") if isinstance(results, Mapping) else None
    return params if isinstance(params, Mapping) else {}
