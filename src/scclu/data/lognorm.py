"""Log-normalised expression values, found in an AnnData or computed on a copy."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

import numpy as np
import scanpy as sc
from anndata import AnnData

from scclu._checks import check_adata
from scclu._process import scanpy_is_quiet
from scclu.data.kinds import Kind, detect_kind
from scclu.data.matrix import Matrix, layer_names, read_matrix

logger = logging.getLogger(__name__)


def log_normalised(
    adata: AnnData, *, layer: str | None = None, use_raw: bool = False
) -> tuple[Matrix, np.ndarray, str]:
    """Find or compute log-normalised values of all genes.

    Log-normalised values in ``X`` are used as they are; counts or normalised expression in ``X`` are normalised to the
    median library size and log-transformed on a copy. If ``X`` is scaled or missing, the first of these is used:
    log-normalised values in a layer, log-normalised values in raw, counts in a layer or raw (``layers["counts"]``
    before other layers), and normalised expression likewise. The source is logged.

    Parameters
    ----------
    adata
        Annotated data, cells x genes; it is not changed.
    layer
        Use this layer only.
    use_raw
        Use ``adata.raw`` only.

    Returns
    -------
    matrix
        Values, ``(n_cells, n_genes)`` float32, which may share memory with the input.
    names
        Names of the genes, ``(n_genes,)``.
    source
        Description of where the values come from.

    Raises
    ------
    TypeError, ValueError
        As :func:`read_matrix`, and if there are only scaled values.
    """
    check_adata(adata)
    if use_raw:
        if adata.raw is None:
            raise ValueError("adata.raw is None, but its values were asked for. Pass layer=.")
        return _only(*_read_raw(adata))
    if layer is not None:
        return _only(*read_matrix(adata, layer=layer))
    if adata.X is not None or not (layer_names(adata) or adata.raw is not None):
        matrix, genes, source = read_matrix(adata)
        kind = detect_kind(matrix, source)
        if kind != "scaled":
            return _logged(matrix, genes, source, kind)
    found: dict[Kind, tuple[Matrix, np.ndarray, str]] = {}
    for matrix, genes, source in _alternatives(adata):
        try:
            kind = detect_kind(matrix, source)
        except ValueError:  # all values are zero, or whole numbers of both signs
            continue
        found.setdefault(kind, (matrix, genes, source))
        if kind == "log":
            break
    for kind in ("log", "counts", "expression"):
        if kind in found:
            return _logged(*found[kind], kind)
    raise ValueError(
        "adata.X holds scaled values or is missing, and neither a layer nor raw holds counts or log-normalised "
        "values, which markers need. Keep the counts in adata.layers['counts'], or pass layer=."
    )


def _alternatives(adata: AnnData) -> Iterator[tuple[Matrix, np.ndarray, str]]:
    """Read the layers, "counts" first, and then raw."""
    for layer in sorted(layer_names(adata), key=lambda layer: layer != "counts"):
        yield read_matrix(adata, layer=layer)
    if adata.raw is not None:
        yield _read_raw(adata)


def _read_raw(adata: AnnData) -> tuple[Matrix, np.ndarray, str]:
    matrix, genes, _ = read_matrix(AnnData(adata.raw.X, var=adata.raw.var[[]]))
    return matrix, genes, "adata.raw.X"


def _only(matrix: Matrix, genes: np.ndarray, source: str) -> tuple[Matrix, np.ndarray, str]:
    """Log-normalise the one matrix that was asked for."""
    kind = detect_kind(matrix, source)
    if kind == "scaled":
        raise ValueError(f"{source} holds scaled values; markers need counts or log-normalised values.")
    return _logged(matrix, genes, source, kind)


def _logged(matrix: Matrix, genes: np.ndarray, source: str, kind: Kind) -> tuple[Matrix, np.ndarray, str]:
    """Normalise and log-transform a copy of `matrix` unless it holds logarithms."""
    if kind == "log":
        logger.info("%s: taken as log-normalised.", source)
        return matrix, genes, source
    logger.info("%s: %s, normalised to the median library size and log-transformed on a copy.", source, kind)
    work = AnnData(matrix.copy())
    with scanpy_is_quiet.held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scanpy warns about cells without counts, which stay zero
        sc.pp.normalize_total(work)
        sc.pp.log1p(work)
    return work.X, genes, f"{source}, normalised and logged"
