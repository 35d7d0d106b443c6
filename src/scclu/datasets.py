"""Small real data that needs no download."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["pbmc68k_reduced"]

# scanpy's file holds log1p(10,000 * count / total) with three decimals
_TARGET_SUM = 1e4
_HALF_DECIMAL = 5e-4


def pbmc68k_reduced() -> AnnData:
    """700 peripheral blood mononuclear cells with their counts and ten labelled types.

    The file that scanpy ships (:func:`scanpy.datasets.pbmc68k_reduced`) has log-normalised values, rounded to three
    decimals, and each cell's total. The integer counts are recovered as ``expm1(x) * total / 10,000`` and checked to be
    whole numbers within what the rounding allows.

    Returns
    -------
    :class:`~anndata.AnnData` of 700 cells x 765 genes: ``X`` the counts (CSR, float32), ``obs["cell_type"]`` the ten
    labels of the file's ``bulk_labels`` (for metrics and figures only), ``obs["n_counts"]`` the total over all genes of
    the study, ``obsm["X_umap"]`` and ``obsm["X_pca"]`` as in the file.

    Raises
    ------
    RuntimeError
        If the recovered values are not whole numbers, which would mean that scanpy ships another file.

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
    # an error of half a decimal in log1p(x), carried through expm1 (1.1 leaves room for the second-order term and for
    # totals that are themselves rounded)
    allowed = 1.1 * _HALF_DECIMAL * np.exp(logged.data) * per_unit + 0.02
    if (np.abs(values - counts) > np.minimum(allowed, 0.5)).any() or counts.min(initial=1.0) < 1:
        raise RuntimeError(
            "The values in scanpy.datasets.pbmc68k_reduced() do not come from whole counts: the file that scanpy ships "
            "has changed. Please report it."
        )
    logged.data = counts.astype(np.float32)
    obs = source.obs[["bulk_labels", "n_counts"]].rename(columns={"bulk_labels": "cell_type"})
    adata = AnnData(logged.astype(np.float32), obs=obs, var=source.raw.var[[]])
    for key in ("X_pca", "X_umap"):
        adata.obsm[key] = source.obsm[key].copy()
    return adata
