"""Log-normalised values, found in an AnnData or made on a private copy."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

import numpy as np
import scanpy as sc
from anndata import AnnData

from scclu.data.matrix import Matrix, layer_names, read_matrix
from scclu.data.recipe import Kind, detect_kind

logger = logging.getLogger(__name__)


def log_normalised(adata: AnnData, *, layer: str | None = None) -> tuple[Matrix, np.ndarray, str]:
    """Log-normalised values of all genes.

    ``X`` is taken as it is if it is log-normalised, and normalised to the median library size and logged on a private
    copy if it holds counts. Where it is scaled or missing, the first layer that is log-normalised is taken, then raw,
    then counts in a layer or in raw. What was taken is logged.

    Parameters
    ----------
    adata
        Cells x genes; not changed.
    layer
        Take this layer and nothing else.

    Returns
    -------
    The matrix, ``(n_cells, n_genes)`` float32, which may share memory with the user's; names of the genes; where the
    values come from, in words.

    Raises
    ------
    TypeError, ValueError
        As :func:`read_matrix`, and if there are scaled values only.
    """
    if layer is not None or adata.X is not None or not (layer_names(adata) or adata.raw is not None):
        first = read_matrix(adata, layer=layer)
        kind = detect_kind(first[0], first[2])
        if kind != "scaled":
            return _logged(*first, kind)
        if layer is not None:
            raise ValueError(f"{first[2]} holds scaled values; markers need counts or log-normalised values.")
    found: dict[Kind, tuple[Matrix, np.ndarray, str]] = {}
    for matrix, names, source in _others(adata):
        try:
            kind = detect_kind(matrix, source)
        except ValueError:  # a layer of zeros or of signed whole numbers is no expression
            continue
        found.setdefault(kind, (matrix, names, source))
        if kind == "log":
            break
    for kind in ("log", "counts", "expression"):
        if kind in found:
            return _logged(*found[kind], kind)
    raise ValueError(
        "adata.X holds scaled values, and neither a layer nor raw holds counts or log-normalised values, which "
        "markers need. Keep the counts in adata.layers['counts']."
    )


def _others(adata: AnnData) -> Iterator[tuple[Matrix, np.ndarray, str]]:
    """The layers, "counts" first, and raw."""
    for name in sorted(layer_names(adata), key=lambda name: name != "counts"):
        yield read_matrix(adata, layer=name)
    if adata.raw is not None:
        matrix, names, _ = read_matrix(AnnData(adata.raw.X, var=adata.raw.var[[]]))
        yield matrix, names, "adata.raw.X"


def _logged(matrix: Matrix, names: np.ndarray, source: str, kind: Kind) -> tuple[Matrix, np.ndarray, str]:
    if kind == "log":
        logger.info("%s: taken as log-normalised.", source)
        return matrix, names, source
    logger.info("%s: %s, normalised to the median library size and logged on a copy.", source, kind)
    work = AnnData(matrix.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scanpy, about cells without counts: they stay zero
        sc.pp.normalize_total(work)
        sc.pp.log1p(work)
    return work.X, names, f"{source}, normalised and logged"
