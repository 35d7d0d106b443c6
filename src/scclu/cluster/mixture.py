"""Gaussian mixtures whose components share one covariance matrix."""

from __future__ import annotations

import numpy as np
from scipy import linalg
from sklearn.cluster import KMeans

_MAX_ITER = 60
_TOLERANCE = 1e-3


def tied_mixture(fitted: np.ndarray, values: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    r"""Fit a Gaussian mixture with a shared covariance matrix and assign cells to its components.

    The quadratic term of :math:`\log \pi_k - (x - \mu_k)^\top \Sigma^{-1} (x - \mu_k) / 2` in x is the same for all
    components k. The E-step is therefore a product with :math:`\Sigma^{-1} \mu_k`, and the M-step updates
    :math:`\Sigma` from the means. Up to rounding, the result equals that of scikit-learn's
    ``GaussianMixture(covariance_type="tied")``, which is slower because it transforms all cells for each component.

    Parameters
    ----------
    fitted
        Cells that the mixture is fitted to, ``(n_fitted, n_dims)`` float64.
    values
        Cells that are assigned, ``(n_cells, n_dims)`` float64; the regularisation of the covariance is proportional to
        their variance.
    n_clusters
        Number of components, at most ``n_fitted``.
    seed
        Seed for the K-means clustering that initialises the mixture.

    Returns
    -------
    Component of each cell in `values`, ``(n_cells,)`` int.
    """
    start = KMeans(n_clusters, n_init=1, random_state=seed).fit(fitted).labels_
    columns = np.ascontiguousarray(fitted.T)
    # components are rows, so that sums over them are vectorised over cells
    share = (np.arange(n_clusters)[:, None] == start).astype(np.float64)
    scatter = columns @ fitted
    # the lower bound keeps the covariance of identical cells invertible
    ridge = 1e-4 * max(float(values.var()), 1e-6) * np.eye(len(columns))
    slope, offset, constant = _maximise(share, fitted, scatter, ridge)
    likelihood = -np.inf
    for _ in range(_MAX_ITER):
        share = slope @ columns
        share += offset[:, None]
        top = share.max(axis=0)
        np.exp(np.subtract(share, top, out=share), out=share)
        total = share.sum(axis=0)
        share /= total
        before, likelihood = likelihood, float((top + np.log(total)).mean()) + constant
        slope, offset, constant = _maximise(share, fitted, scatter, ridge)
        if abs(likelihood - before) < _TOLERANCE:
            break
    return (values @ slope.T + offset).argmax(axis=1)


def _maximise(
    share: np.ndarray, fitted: np.ndarray, scatter: np.ndarray, ridge: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """M-step: slope and offset in x of each component's log-likelihood, and the mean of the terms shared by all."""
    weight = share.sum(axis=1) + 10 * np.finfo(float).eps
    means = (share @ fitted) / weight[:, None]
    covariance = (scatter - (means.T * weight) @ means) / weight.sum() + ridge
    factor = linalg.cho_factor(covariance, lower=True)
    slope = linalg.cho_solve(factor, means.T).T
    offset = np.log(weight / weight.sum()) - 0.5 * (means * slope).sum(axis=1)
    quadratic = np.trace(linalg.cho_solve(factor, scatter)) / len(fitted)
    return slope, offset, -0.5 * quadratic - np.log(factor[0].diagonal()).sum()
