"""The tool ``annotate``: cell types of clusters."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scclu._checks import check_key, check_name, check_number, listed
from scclu._labels import as_column, read_labels
from scclu._process import one_at_a_time
from scclu._settings import warn
from scclu.annotate.evidence import Expression, TypeScores, check_comparable
from scclu.annotate.markers import score_by_markers
from scclu.annotate.ranking import comparable_groups
from scclu.annotate.reference import score_by_reference
from scclu.data.lognorm import log_normalised
from scclu.tl._write import h5ad_safe, write_results

logger = logging.getLogger(__name__)

_MIN_SCORE = {"reference": 0.4, "markers": 0.5}


@one_at_a_time
def annotate(
    adata: AnnData,
    groupby: str,
    *,
    reference: AnnData | None = None,
    reference_key: str = "cell_type",
    markers: Mapping[str, Sequence[str]] | None = None,
    n_genes: int = 50,
    min_score: float | None = None,
    layer: str | None = None,
    reference_layer: str | None = None,
    key_added: str | None = None,
    unassigned: str = "Unknown",
    copy: bool = False,
) -> AnnData | None:
    """Assign a cell type to each cluster by its marker genes.

    Each cluster gets the type with the highest score. With a labelled `reference`, the score is the number of genes
    that are among the leading `n_genes` of both the cluster and the type, divided by `n_genes` (Fig. 5 of the
    scSiameseClu paper); genes are ranked on the shared genes by :func:`scanpy.tl.rank_genes_groups` (t-test against
    all other cells, only genes with higher expression). With `markers`, the score is the cluster's mean log-normalised
    expression of each of the type's genes, z-scored over the clusters and averaged over the genes: 0 is an average
    cluster. Several clusters can get the same type. Because scores compare clusters, at least two clusters are needed,
    and `markers` do not recognise a type that all clusters belong to.

    Parameters
    ----------
    adata
        Annotated data, cells x genes. Log-normalised values are read from ``X``, a layer or raw, or computed from
        counts on a copy; the source is logged.
    groupby
        Column of ``adata.obs`` with the clusters. Clusters of one cell have no markers and stay `unassigned`.
    reference
        Annotated data with known cell types, read in the same way. Types of one cell are left out.
    reference_key
        Column of ``reference.obs`` with the cell types.
    markers
        Maps cell types to their marker genes; used instead of a reference.
    n_genes
        Number of markers per cluster and per type of the reference; all shared genes if there are fewer.
    min_score
        A cluster whose highest score is lower stays `unassigned`. If None, 0.4 for a reference (20 of 50 genes) and
        0.5 for markers (half a standard deviation above the average cluster; a type that four in five clusters belong
        to does not score higher).
    layer, reference_layer
        Layer of `adata` and of `reference` to read instead.
    key_added
        Key under which results are stored; ``f"{groupby}_annotation"`` if None.
    unassigned
        Name for clusters that are not recognised.
    copy
        Return a copy with the results instead of writing to `adata`.

    Returns
    -------
    None, or the copy if `copy` is True. Sets the following fields:

    ``adata.obs[key_added]``
        Cell types, categorical.
    ``adata.uns[key_added]``
        ``"scores"``, ``(n_clusters, n_types)`` float64, 0 for a cluster of one cell; ``"clusters"`` and ``"types"``,
        the names of its rows and columns; ``"names"``, the type of each cluster; ``"unmatched_genes"``, genes of the
        reference or of `markers` that are not in `adata`; ``"case_matched_genes"``, such as ``"CD3E -> Cd3e"``;
        ``"unmatched_types"``, types that were left out; ``"params"``.

    Warns
    -----
    UserWarning
        If markers are missing, genes match only when case is ignored, types are left out, or clusters have one cell.

    Raises
    ------
    TypeError, ValueError
        If an argument is not allowed, labels are missing, there are no two clusters of which one has two cells, or
        there are no shared genes. `adata` is then unchanged.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> markers = {"B": ["CD79A", "MS4A1"], "NK": ["GNLY", "NKG7"], "monocyte": ["S100A8", "LYZ"]}
    >>> scclu.tl.annotate(adata, "cell_type", markers=markers, key_added="guess")
    >>> adata.obs["guess"].cat.categories.tolist()
    ['B', 'NK', 'monocyte', 'Unknown']
    """
    evidence = _check_evidence(reference, markers)
    labels = read_labels(adata, groupby, argument="groupby")
    key = check_key(f"{groupby}_annotation" if key_added is None else key_added, groupby)
    check_number("n_genes", n_genes, integer=True, low=1)
    threshold = _MIN_SCORE[evidence] if min_score is None else float(check_number("min_score", min_score))
    check_name("unassigned", unassigned)
    check_comparable(labels, f"adata.obs[{groupby!r}]")
    expression = Expression(*log_normalised(adata, layer=layer))
    if reference is not None:
        types = read_labels(reference, reference_key, argument="reference_key", source="reference")
        check_comparable(types, f"reference.obs[{reference_key!r}]")
        other = Expression(*log_normalised(reference, layer=reference_layer))
        scores = score_by_reference(expression, labels, other, types, n_genes)
    else:
        scores = score_by_markers(expression, labels, markers or {})
    best = scores.table.idxmax(axis=1).where(scores.table.max(axis=1) >= threshold, unassigned)
    names = best.reindex(labels.categories, fill_value=unassigned).to_numpy(dtype=object)
    single = sorted(set(labels.categories) - set(comparable_groups(labels)))
    if single:
        warn(f"Clusters of one cell have no markers and are {unassigned!r}: {listed(single)}.")
    params = {
        "groupby": groupby,
        "evidence": evidence,
        "reference_key": None if reference is None else reference_key,
        "n_genes": n_genes,
        "min_score": threshold,
        "unassigned": unassigned,
        "values": expression.source,
    }
    adata = write_results(
        adata,
        copy=copy,
        obs={key: as_column(names[labels.codes], list(scores.table.columns), unassigned)},
        uns={key: {"params": h5ad_safe(params), **_as_arrays(scores, labels, names)}},
    )
    logger.info("Wrote obs[%r] and uns[%r].", key, key)
    return adata if copy else None


def _check_evidence(reference: Any, markers: Any) -> str:
    """Return ``"reference"`` or ``"markers"``, whichever was passed; raise unless it is exactly one."""
    if (reference is None) == (markers is None):
        both = "neither was" if reference is None else "both were"
        raise ValueError(f"Pass either reference (labelled cells) or markers ({{type: genes}}), but {both} passed.")
    if markers is None:
        return "reference"
    if not isinstance(markers, Mapping):
        raise TypeError(f"markers must be a dict of {{type: genes}}, but a {type(markers).__name__} was passed.")
    if not markers:
        raise ValueError("markers is empty; at least one type is needed.")
    for name, genes in markers.items():
        if isinstance(genes, str) or not all(isinstance(gene, str) for gene in genes):
            raise TypeError(f"markers[{name!r}] must be a list of gene names, but {genes!r} was passed.")
    return "markers"


def _as_arrays(scores: TypeScores, labels: pd.Categorical, names: np.ndarray) -> dict[str, np.ndarray]:
    """Convert scores, and the name of each cluster, to arrays that h5ad files can hold."""
    table = scores.table.reindex(labels.categories, fill_value=0.0)
    return {
        "scores": table.to_numpy(dtype=np.float64),
        "clusters": np.array(table.index, dtype=str),
        "types": np.array(table.columns, dtype=str),
        "names": names.astype(str),
        "unmatched_genes": np.array(scores.genes.unmatched, dtype=str),
        "case_matched_genes": np.array([f"{a} -> {b}" for a, b in scores.genes.by_case.items()], dtype=str),
        "unmatched_types": np.array(scores.missing_types, dtype=str),
    }
