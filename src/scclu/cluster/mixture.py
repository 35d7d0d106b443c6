"""A Gaussian mixture with one covariance."""

from __future__ import annotations

import numpy as np
from scipy import linalg
from sklearn.cluster import KMeans

_MAX_ITER = 60
_TOLERANCE = 1e-3


def tied_mixture(fitted: np.ndarray, values: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    r"""Assignment by a Gaussian mixture whose components share one covariance.

    With one covariance the log-likelihood ratio of two components is linear in x: as
    :math:`\log \pi_k - (x - \mu_k)^\top \Sigma^{-1} (x - \mu_k) / 2` has the same quadratic term in x for each k, the
    E-step is one product with :math:`\Sigma^{-1} \mu_k`, and the M-step updates :math:`\Sigma` from the means.
    scikit-learn's ``GaussianMixture(covariance_type="tied")``, which this equals but for rounding, transforms all cells
    once for each component.

    Parameters
    ----------
    fitted
        Cells that the mixture is fitted to, ``(n_fitted, n_dims)`` float64.
    values
        Cells that are assigned, ``(n_cells, n_dims)`` float64; their variance sets what is added to the covariance.
    n_clusters
        K, at most ``n_fitted``.
    seed
        Of the K-means that it starts from.

    Returns
    -------
    ``(n_cells,)`` int.
    """
    start = KMeans(n_clusters, n_init=1, random_state=seed).fit(fitted).labels_
    columns = np.ascontiguousarray(fitted.T)
    # a row a component: sums over components then run along the cells
    share = (np.arange(n_clusters)[:, None] == start).astype(np.float64)
    scatter = columns @ fitted
    # identical cells have no variance at all
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
    """Slope and offset of each component's log-likelihood in x, and the mean of the terms that all share."""
    weight = share.sum(axis=1) + 10 * np.finfo(float).eps
    means = (share @ fitted) / weight[:, None]
    covariance = (scatter - (means.T * weight) @ means) / weight.sum() + ridge
    factor = linalg.cho_factor(covariance, lower=True)
    slope = linalg.cho_solve(factor, means.T).T
    offset = np.log(weight / weight.sum()) - 0.5 * (means * slope).sum(axis=1)
    quadratic = np.trace(linalg.cho_solve(factor, scatter)) / len(fitted)
    return slope, offset, -0.5 * quadratic - np.log(factor[0].diagonal()).sum()
