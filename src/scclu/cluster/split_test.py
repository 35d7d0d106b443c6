"""Tests of whether two clusters are distinct, on cells that did not determine the direction of the comparison."""

from __future__ import annotations

import diptest
import numpy as np
from scipy.stats import norm

# below this number of cells in the smaller cluster, the dip test has little power
FEW_CELLS = 30
_N_FOLDS = 5
# below this number of independent differences between cells of two clusters within batches, batches are ignored
_FEW_CONTRASTS = 5


def split_p_value(first: np.ndarray, second: np.ndarray, sizes: tuple[int, int] | None = None) -> float:
    """P-value of the hypothesis that two clusters are parts of one.

    Each fifth of the cells is projected on the linear discriminant of the other cells (cross-fitting). If both clusters
    have at least 30 cells, Hartigan's dip test asks whether the projections have one mode. If not, their mean
    difference is compared with the largest that a cut through one mode can give (:func:`log_concave_separation`).

    Parameters
    ----------
    first, second
        Cells of the clusters, or random samples of them, ``(n, n_dims)`` in random order, in a space in which the
        covariance within clusters is close to the identity.
    sizes
        Numbers of cells of the whole clusters; ``None`` if all their cells are passed.

    Returns
    -------
    The p-value; 1 if there are too few cells for a discriminant.
    """
    sizes = sizes or (len(first), len(second))
    scores = cross_fitted_scores(first, second)
    if scores is None:
        return 1.0
    return separation_p_value(*scores, sizes) if min(sizes) < FEW_CELLS else dip_p_value(*scores)


def split_p_value_in_batches(
    first: np.ndarray,
    second: np.ndarray,
    batches: tuple[np.ndarray, np.ndarray],
    sizes: tuple[int, int] | None = None,
) -> float:
    """P-value of the hypothesis that two clusters are parts of one, from differences within batches.

    Only batches with cells of both clusters are used, and their shifts are removed (:func:`without_shifts`). If they
    have too few cells of both, a difference between batches cannot be told from one between cell types, and the
    clusters are compared as they are.

    Parameters
    ----------
    first, second, sizes
        As for :func:`split_p_value`.
    batches
        Batch of each cell of the two clusters, int.

    Returns
    -------
    The p-value.
    """
    n_batches = 1 + max(int(each.max(initial=0)) for each in batches)
    counts = np.array([np.bincount(each, minlength=n_batches) for each in batches], dtype=np.float64)
    contrast = counts.prod(axis=0) / np.maximum(counts.sum(axis=0), 1)
    if contrast.sum() < _FEW_CONTRASTS:
        return split_p_value(first, second, sizes)
    used = [contrast[each] > 0 for each in batches]
    first, second = without_shifts(
        first[used[0]], second[used[1]], batches[0][used[0]], batches[1][used[1]], contrast / contrast.sum()
    )
    return split_p_value(first, second, sizes)


def without_shifts(
    first: np.ndarray, second: np.ndarray, batch_first: np.ndarray, batch_second: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""Cells of two clusters without the shifts of their batches.

    In the model :math:`x = \mu + z \Delta + \delta_b + \epsilon`, with z = 1 in the second cluster, the difference
    :math:`\Delta` is the mean of the differences within batches, and :math:`\delta_b` what is left of a batch's mean.

    Parameters
    ----------
    first, second
        ``(n, n_dims)``; each batch has cells of both.
    batch_first, batch_second
        Batch of each cell, int.
    weight
        Weight of the difference within each batch, ``(n_batches,)``, with a sum of one.
    """
    n_batches = len(weight)

    def totals(cells: np.ndarray, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        member = np.eye(n_batches)[batch]
        return member.sum(axis=0)[:, None], member.T @ cells

    (n_first, sum_first), (n_second, sum_second) = totals(first, batch_first), totals(second, batch_second)
    means = [total / np.maximum(n, 1) for n, total in ((n_first, sum_first), (n_second, sum_second))]
    difference = weight @ (means[1] - means[0])
    n_cells = np.maximum(n_first + n_second, 1)
    shift = (sum_first + sum_second) / n_cells - n_second / n_cells * difference
    return first - shift[batch_first], second - shift[batch_second]


def cross_fitted_scores(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Projection of each cell on the discriminant of the cells of the other folds.

    In each fold, the means of the other cells of the two clusters are projected on 0 and 1, which makes the folds
    comparable. The covariance is shrunk towards the identity by d / (d + n).

    Parameters
    ----------
    first, second
        ``(n, n_dims)``, in random order.

    Returns
    -------
    The projections of both clusters, or ``None`` if a fold leaves fewer than two cells of a cluster.
    """
    sides = first.astype(np.float64), second.astype(np.float64)
    folds = [[cells[fold::_N_FOLDS] for fold in range(_N_FOLDS)] for cells in sides]
    numbers = np.array([[len(cells) for cells in parts] for parts in folds])
    # of the cells of the other folds
    numbers = numbers.sum(axis=1, keepdims=True) - numbers
    if numbers.min() < 2:
        return None
    sums = np.array([[cells.sum(axis=0) for cells in parts] for parts in folds])
    sums = sums.sum(axis=1, keepdims=True) - sums
    products = np.array([sum(cells.T @ cells for cells in parts) for parts in zip(*folds, strict=True)])
    products = products.sum(axis=0) - products
    directions, offsets = _discriminants(numbers, sums, products)
    scores = np.empty(len(first)), np.empty(len(second))
    for score, parts in zip(scores, folds, strict=True):
        for fold, cells in enumerate(parts):
            score[fold::_N_FOLDS] = cells @ directions[fold] - offsets[fold]
    return scores


def _discriminants(numbers: np.ndarray, sums: np.ndarray, products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions and offsets of the linear discriminants that map the means of two sets of cells to 0 and 1.

    Parameters
    ----------
    numbers, sums
        Number and sum of the cells of each set, ``(2, n)`` and ``(2, n, n_dims)`` for n discriminants.
    products
        Sum of the outer products of all cells, ``(n, n_dims, n_dims)``.
    """
    means = sums / numbers[:, :, None]
    scatter = products - sums.transpose(1, 2, 0) @ means.transpose(1, 0, 2)
    n_cells, n_dims = numbers.sum(axis=0)[:, None, None], products.shape[1]
    shrinkage = n_dims / (n_dims + n_cells)
    covariance = (1 - shrinkage) / np.maximum(n_cells - 2, 1) * scatter + shrinkage * np.eye(n_dims)
    difference = means[1] - means[0]
    directions = np.linalg.solve(covariance, difference[:, :, None])[:, :, 0]
    lengths = np.maximum((difference * directions).sum(axis=1), 1e-12)
    return directions / lengths[:, None], (means[0] * directions).sum(axis=1) / lengths


def dip_p_value(first: np.ndarray, second: np.ndarray) -> float:
    """P-value of Hartigan's dip test on two sets of projections.

    Only the cells of the larger set that are closest to the smaller are used, as many as the smaller has: the dip of
    unequal peaks is small.

    Parameters
    ----------
    first, second
        Projections with means close to 0 and 1.
    """
    if len(first) > len(second):
        first, second = 1 - second, 1 - first
    values = np.concatenate((first, np.sort(second)[: len(first)]))
    return float(diptest.diptest(values)[1]) if len(values) > 3 else 1.0


def separation_p_value(first: np.ndarray, second: np.ndarray, sizes: tuple[int, int]) -> float:
    r"""P-value of the difference of two means, compared with the largest that a cut through one mode gives.

    The difference d' is in units of the pooled standard deviation. Its variance is approximated by that of the
    difference of the means plus :math:`d'^2 / 2(n - 2)`.

    Parameters
    ----------
    first, second
        Projections of the cells of two clusters.
    sizes
        Numbers of cells of the whole clusters, which determine where the cut is.
    """
    n_cells = len(first) + len(second)
    if min(len(first), len(second)) < 2:
        return 1.0
    pooled = max((first.var() * len(first) + second.var() * len(second)) / (n_cells - 2), 1e-12)
    difference = (second.mean() - first.mean()) / np.sqrt(pooled)
    variance = (first.var() / len(first) + second.var() / len(second)) / pooled + difference**2 / (2 * (n_cells - 2))
    largest = log_concave_separation(min(sizes) / sum(sizes))
    return float(norm.sf((difference - largest) / np.sqrt(variance)))


def log_concave_separation(share: float) -> float:
    r"""Largest d' between the two parts of one population, `share` of which is on one side of a cut.

    The maximum over the normal, the uniform and the exponential density, which range from the shortest to the longest
    tails that a density with a concave logarithm can have: 2.65 for a normal density cut at its median, 3.46 for a
    uniform one.

    Parameters
    ----------
    share
        In (0, 1).
    """
    rest = 1 - share
    # differences of the means of the two parts, divided by the standard deviation of the whole
    normal = norm.pdf(norm.ppf(share)) / (share * rest)
    differences = np.array([normal, np.sqrt(3.0), -np.log(share) / rest, -np.log(rest) / share])
    return float(np.max(differences / np.sqrt(1 - share * rest * differences**2)))
