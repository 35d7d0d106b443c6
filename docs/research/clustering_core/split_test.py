"""Are two clusters two? Tests on cells that did not choose the direction in which the clusters are compared."""

from __future__ import annotations

import diptest
import numpy as np
from scipy.stats import norm

__all__ = ["cross_fitted_scores", "dip_p", "log_concave_separation", "separation_p", "split_p"]

# with fewer cells on one side than this, the dip test has next to no power
_SMALL = 30


def split_p(
    first: np.ndarray, second: np.ndarray, folds: tuple[np.ndarray, np.ndarray], sizes: tuple[int, int]
) -> float:
    """P-value of the hypothesis that two clusters are parts of one.

    The cells are projected on a discriminant fitted to the other folds (:func:`cross_fitted_scores`). From 30 cells a
    side on, the projections are tested for one mode (:func:`dip_p`); below, for a distance of the means that a cut
    through one mode could give (:func:`separation_p`).

    Parameters
    ----------
    first, second
        Cells of the two clusters, or samples of them, of shape (n, d), in a space where the covariance within clusters
        is near the identity.
    folds
        Fold of each cell of the first and of the second.
    sizes
        Numbers of cells of the two whole clusters.

    Returns
    -------
    The p-value; 1.0 where there are too few cells to fit a discriminant.
    """
    scores = cross_fitted_scores(first, second, *folds)
    if scores is None:
        return 1.0
    return separation_p(*scores, sizes) if min(sizes) < _SMALL else dip_p(*scores)


def cross_fitted_scores(
    first: np.ndarray, second: np.ndarray, first_folds: np.ndarray, second_folds: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Projections of each cell on the discriminant fitted to the cells of the other folds.

    The scale is that on which the fitting cells' means are 0 and 1, so that the folds can be put together. The
    covariance is shrunk to the identity by d / (d + n).

    Parameters
    ----------
    first, second
        Cells of shape (n, d).
    first_folds, second_folds
        Fold of each cell.

    Returns
    -------
    The projections of both, or None where a fold leaves fewer than two cells of a side.
    """
    out = np.empty(len(first)), np.empty(len(second))
    for fold in np.union1d(first_folds, second_folds):
        here = first_folds == fold, second_folds == fold
        fit = first[~here[0]], second[~here[1]]
        if min(len(fit[0]), len(fit[1])) < 2:
            return None
        direction, offset = _discriminant(*fit)
        out[0][here[0]] = first[here[0]] @ direction - offset
        out[1][here[1]] = second[here[1]] @ direction - offset
    return out


def _discriminant(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, float]:
    """Direction and offset of a linear discriminant, the means at 0 and 1."""
    mean = first.mean(axis=0), second.mean(axis=0)
    residual = np.vstack((first - mean[0], second - mean[1]))
    n_cells, n_dims = residual.shape
    shrinkage = n_dims / (n_dims + n_cells)
    covariance = (1 - shrinkage) * (residual.T @ residual) / max(n_cells - 2, 1) + shrinkage * np.eye(n_dims)
    direction = np.linalg.solve(covariance, mean[1] - mean[0])
    length = max(float((mean[1] - mean[0]) @ direction), 1e-12)
    return direction / length, float(mean[0] @ direction) / length


def dip_p(first: np.ndarray, second: np.ndarray) -> float:
    """P-value of Hartigan's dip test on two sets of projections, the larger cut to its nearest to the smaller.

    Parameters
    ----------
    first, second
        Projections, the first's mean near 0 and the second's near 1.
    """
    if len(first) > len(second):
        first, second = 1 - second, 1 - first
    values = np.concatenate((first, np.sort(second)[: len(first)]))
    return float(diptest.diptest(values)[1]) if len(values) > 3 else 1.0


def separation_p(first: np.ndarray, second: np.ndarray, sizes: tuple[int, int]) -> float:
    r"""P-value of the distance of two means against the largest that a cut through one mode gives.

    The distance is in pooled standard deviations, :math:`d'`; its variance is, to first order, the variance of the
    difference of the means in those units plus :math:`d'^2 / 2(n - 2)`.

    Parameters
    ----------
    first, second
        Projections of the two clusters' cells.
    sizes
        Numbers of cells of the two whole clusters, which set the place of the cut.
    """
    n_cells = len(first) + len(second)
    if min(len(first), len(second)) < 2:
        return 1.0
    pooled = max((first.var() * len(first) + second.var() * len(second)) / (n_cells - 2), 1e-12)
    distance = (second.mean() - first.mean()) / np.sqrt(pooled)
    error = (first.var() / len(first) + second.var() / len(second)) / pooled + distance**2 / (2 * (n_cells - 2))
    share = min(sizes) / sum(sizes)
    return float(norm.sf((distance - log_concave_separation(share)) / np.sqrt(error)))


def log_concave_separation(share: float) -> float:
    r"""Largest :math:`d'` of the two parts of one population, cut where ``share`` of it lies on one side.

    The largest over a normal, a uniform and an exponential density (either tail), which span the log-concave ones from
    no tail to the heaviest: 2.65 is a normal's at its median, 3.46 a uniform's.

    Parameters
    ----------
    share
        In (0, 1).
    """
    rest = 1 - share
    # distances of the two parts' means, by the standard deviation of the whole
    normal = norm.pdf(norm.ppf(share)) / (share * rest)
    uniform = np.sqrt(3.0)
    upper, lower = -np.log(share) / rest, -np.log(rest) / share
    between = np.array([normal, uniform, upper, lower])
    return float(np.max(between / np.sqrt(1 - share * rest * between**2)))
