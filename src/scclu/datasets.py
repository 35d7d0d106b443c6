"""Small real datasets that need no download."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["pbmc68k_reduced"]


def __dir__() -> list[str]:
    return __all__


# The file of scanpy holds log1p(10,000 * count / total), rounded to three decimals.
_TARGET_SUM = 1e4
_HALF_DECIMAL = 5e-4


def pbmc68k_reduced() -> AnnData:
    """Load 700 peripheral blood mononuclear cells with counts and ten labelled types.

    The dataset is part of scanpy (:func:`scanpy.datasets.pbmc68k_reduced`), which stores log-normalised values rounded
    to three decimals and the total count of each cell. The counts are recovered as ``expm1(x) * total / 10,000`` and
    checked to be whole numbers up to the rounding error.

    Returns
    -------
    Annotated data, 700 cells x 765 genes: counts in ``X`` (CSR float32); the ten labels in ``obs["cell_type"]``
    (``bulk_labels`` of the file), which are meant for metrics and figures only; the total count over all genes of the
    study in ``obs["n_counts"]``; ``obsm["X_umap"]`` and ``obsm["X_pca"]`` as in the file.

    Raises
    ------
    RuntimeError
        If the recovered values are not whole numbers, because scanpy contains a different file.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> adata.shape
    (700, 765)
    >>> float(adata.X.data.min())
    1.0
    """
    import scanpy as sc
    from anndata import AnnData
    from scipy import sparse

    source = sc.datasets.pbmc68k_reduced()
    logged = sparse.csr_matrix(source.raw.X, dtype=np.float64)
    per_unit = np.repeat(source.obs["n_counts"].to_numpy(np.float64) / _TARGET_SUM, np.diff(logged.indptr))
    values = np.expm1(logged.data) * per_unit
    counts = np.round(values)
    # error of half a unit of the last decimal in log1p(x), propagated through expm1; the factor 1.1 and the constant
    # cover the second-order term and rounded totals
    allowed = 1.1 * _HALF_DECIMAL * np.exp(logged.data) * per_unit + 0.02
    if (np.abs(values - counts) > np.minimum(allowed, 0.5)).any() or counts.min(initial=1.0) < 1:
        raise RuntimeError(
            "The values in scanpy.datasets.pbmc68k_reduced() are not derived from whole counts: the file in scanpy has "
            "changed. Please report this."
        )
    logged.data = counts.astype(np.float32)
    obs = source.obs[["bulk_labels", "n_counts"]].rename(columns={"bulk_labels": "cell_type"})
    adata = AnnData(logged.astype(np.float32), obs=obs, var=source.raw.var[[]])
    for key in ("X_pca", "X_umap"):
        adata.obsm[key] = source.obsm[key].copy()
    return adata
