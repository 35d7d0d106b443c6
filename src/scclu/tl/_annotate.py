"""Name clusters by their markers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from scclu._checks import check_number
from scclu._labels import as_column, check_key, read_labels
from scclu.annotate.markers import comparable_groups, marker_scores, overlap_scores, top_markers
from scclu.data.lognorm import log_normalised
from scclu.data.matrix import GeneMatch, Matrix, listed, match_genes
from scclu.methods._randomness import one_at_a_time
from scclu.tl._write import h5ad_safe, write_results

logger = logging.getLogger(__name__)

_MIN_SCORE = {"reference": 0.4, "markers": 0.5}


class _Expression(NamedTuple):
    matrix: Matrix
    names: np.ndarray
    source: str


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
    """Name each cluster after the cell type that its markers fit best.

    With a labelled `reference`, a cluster's score for a type is the number of genes that are among the leading
    `n_genes` of both, over `n_genes` (Fig. 5 of the scSiameseClu paper); both are ranked on the shared genes by
    :func:`scanpy.tl.rank_genes_groups` (t-test against all other cells, higher genes only). With `markers`, it is the
    mean, over a type's genes, of the cluster's mean log-normalised expression, z-scored over the clusters: 0 is an
    average cluster. Several clusters can be of one type. Scores compare clusters, so at least two are needed, and a
    type that all clusters belong to is not recognised by `markers`.

    Parameters
    ----------
    adata
        Cells x genes. Log-normalised values are taken from ``X``, a layer or raw, or made from counts on a private
        copy; which is logged.
    groupby
        Clusters: a column of ``adata.obs``. Clusters of one cell have no markers and stay `unassigned`.
    reference
        Labelled cells, read as `adata` is. Types of one cell are left out.
    reference_key
        Their types: a column of ``reference.obs``.
    markers
        Genes of each type, in place of a reference.
    n_genes
        Markers of a cluster and of a type of the reference (all shared genes, where there are fewer).
    min_score
        A cluster whose best score is lower stays `unassigned`. ``None`` is 0.4 for a reference (20 of 50 genes) and 0.5
        for markers (half a standard deviation above the average cluster; a type that four in five clusters are of
        reaches no more).
    layer, reference_layer
        Read this layer of `adata`, of `reference`, and nothing else.
    key_added
        Name of the results; ``None`` is ``f"{groupby}_annotation"``.
    unassigned
        Name of what is not recognised.
    copy
        Write to a copy and return it.

    Returns
    -------
    ``None``, or the copy. Written are

    ``adata.obs[key_added]``
        Types, categorical.
    ``adata.uns[key_added]``
        ``"scores"``, ``(n_clusters, n_types)`` float64, 0 for a cluster of one cell; ``"clusters"`` and ``"types"``,
        its rows and columns; ``"names"``, the type given to each cluster; ``"unmatched_genes"``, the genes of the
        reference or of `markers` that `adata` lacks; ``"case_matched_genes"``, such as ``"CD3E -> Cd3e"``;
        ``"unmatched_types"``, those left out; ``"params"``.

    Warns
    -----
    UserWarning
        If markers are missing, genes match only when case is ignored, types are left out, or clusters have one cell.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it must be, labels are missing, there are no two clusters of two or more cells, or no
        genes are shared. `adata` is then unchanged.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> markers = {"B": ["CD79A", "MS4A1"], "NK": ["GNLY", "NKG7"], "monocyte": ["S100A8", "LYZ"]}
    >>> scclu.tl.annotate(adata, "cell_type", markers=markers, key_added="guess")
    >>> adata.obs["guess"].cat.categories.tolist()
    ['B', 'NK', 'monocyte', 'Unknown']
    """
    kind = _check_evidence(reference, markers)
    labels = read_labels(adata, groupby, argument="groupby")
    key = check_key(f"{groupby}_annotation" if key_added is None else key_added, groupby)
    check_number("n_genes", n_genes, integer=True, low=1)
    threshold = _MIN_SCORE[kind] if min_score is None else float(check_number("min_score", min_score))
    if not isinstance(unassigned, str) or not unassigned:
        raise TypeError(f"unassigned must be a name, but {unassigned!r} was passed.")
    _check_comparable(labels, f"adata.obs[{groupby!r}]")
    expression = _Expression(*log_normalised(adata, layer=layer))
    if reference is not None:
        scores, match, lost = _against_reference(
            expression, labels, reference, reference_key, layer=reference_layer, n_genes=n_genes
        )
    else:
        scores, match, lost = _against_markers(expression, labels, markers or {})
    names = (
        _best(scores, threshold, unassigned).reindex(labels.categories, fill_value=unassigned).to_numpy(dtype=object)
    )
    scores = scores.reindex(labels.categories, fill_value=0.0)
    single = sorted(set(labels.categories) - set(comparable_groups(labels)))
    if single:
        _warn(f"Clusters of one cell have no markers and are {unassigned!r}: {listed(single)}.")

    adata = write_results(
        adata,
        copy=copy,
        obs={key: as_column(names[labels.codes], list(scores.columns), unassigned)},
        uns={
            key: {
                "params": h5ad_safe(
                    {
                        "groupby": groupby,
                        "evidence": kind,
                        "reference_key": None if reference is None else reference_key,
                        "n_genes": n_genes,
                        "min_score": threshold,
                        "unassigned": unassigned,
                        "values": expression.source,
                    }
                ),
                "scores": scores.to_numpy(dtype=np.float64),
                "clusters": np.array(scores.index, dtype=str),
                "types": np.array(scores.columns, dtype=str),
                "names": names.astype(str),
                "unmatched_genes": np.array(match.unmatched, dtype=str),
                "case_matched_genes": np.array([f"{a} -> {b}" for a, b in match.by_case.items()], dtype=str),
                "unmatched_types": np.array(lost, dtype=str),
            }
        },
    )
    logger.info("Wrote obs[%r] and uns[%r].", key, key)
    return adata if copy else None


def _check_evidence(reference: Any, markers: Any) -> str:
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


def _check_comparable(labels: pd.Categorical, source: str) -> None:
    groups = comparable_groups(labels)
    if len(labels.categories) < 2 or not groups:
        raise ValueError(
            f"{source} has {len(labels.categories)} groups, {len(groups)} of them with two or more cells; markers are "
            "found by comparison and need two groups, of which at least one has two cells."
        )


def _against_reference(
    expression: _Expression,
    labels: pd.Categorical,
    reference: AnnData,
    reference_key: str,
    *,
    layer: str | None,
    n_genes: int,
) -> tuple[pd.DataFrame, GeneMatch, list[str]]:
    """Overlap of markers on the shared genes."""
    types = read_labels(reference, reference_key, argument="reference_key", source="reference")
    _check_comparable(types, f"reference.obs[{reference_key!r}]")
    other = _Expression(*log_normalised(reference, layer=layer))
    match = match_genes(other.names, expression.names)
    _check_found(match, other.names, expression.names, "reference")
    logger.info("%d genes are shared, of %d in the reference.", len(match.found), len(other.names))
    theirs = pd.Index(other.names).get_indexer(list(match.found))
    mine = pd.Index(expression.names).get_indexer(list(match.found.values()))
    shared = np.array(list(match.found.values()), dtype=object)
    n_genes = min(n_genes, len(shared))
    scores = overlap_scores(
        top_markers(expression.matrix[:, mine], shared, labels, n_genes),
        top_markers(other.matrix[:, theirs], shared, types, n_genes),
        n_genes,
    )
    lost = [name for name in types.categories if name not in scores.columns]
    if lost:
        _warn(f"Types of one cell in the reference have no markers and are left out: {listed(lost)}.")
    return scores, match, lost


def _against_markers(
    expression: _Expression, labels: pd.Categorical, markers: Mapping[str, Sequence[str]]
) -> tuple[pd.DataFrame, GeneMatch, list[str]]:
    """Z-scores of the markers that are there."""
    if len(comparable_groups(labels)) < 2:
        raise ValueError("Markers are scored by comparing clusters: two of them need two or more cells.")
    wanted = [gene for genes in markers.values() for gene in genes]
    match = match_genes(wanted, expression.names)
    _check_found(match, wanted, expression.names, "markers")
    if match.unmatched:
        _warn(
            f"{len(match.unmatched)} of {len(set(wanted))} markers are not among the genes of {expression.source}, or "
            f"are there in several spellings: {listed(match.unmatched)}."
        )
    found = {
        str(name): list(dict.fromkeys(match.found[gene] for gene in genes if gene in match.found))
        for name, genes in markers.items()
    }
    lost = [name for name, genes in found.items() if not genes]
    if lost:
        _warn(f"Types without any gene here are left out: {listed(lost)}.")
    kept = {name: genes for name, genes in found.items() if genes}
    return marker_scores(expression.matrix, expression.names, labels, kept), match, lost


def _check_found(match: GeneMatch, wanted: Sequence[str] | np.ndarray, there: np.ndarray, what: str) -> None:
    if not match.found:
        raise ValueError(
            f"{what} and adata have no genes in common: {what} has {listed(wanted[:3])}, adata {listed(there[:3])}. "
            "Bring both to the same kind of names (symbols, or Ensembl identifiers)."
        )
    if match.by_case:
        pairs = [f"{a} -> {b}" for a, b in match.by_case.items()]
        _warn(f"{len(pairs)} genes of {what} match only when case is ignored: {listed(pairs)}.")


def _best(scores: pd.DataFrame, threshold: float, unassigned: str) -> pd.Series:
    """Name of each cluster that has scores."""
    return scores.idxmax(axis=1).where(scores.max(axis=1) >= threshold, unassigned)


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=4)
