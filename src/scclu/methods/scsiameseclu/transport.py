"""Transport targets with given cluster proportions (Eq. 10-12)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

__all__ = ["TransportPlan", "transport_target"]


@dataclass(frozen=True)
class TransportPlan:
    """Result of :func:`transport_target`.

    Parameters
    ----------
    plan
        P of shape (N, K): rows sum to one, columns to ``N * proportions``.
    proportions
        Cluster proportions that the columns were held to, of shape (K,).
    converged
        Whether the marginal error fell below the tolerance.
    n_iter
        Sinkhorn iterations used.
    error
        Largest deviation of a column's share from its proportion.
    """

    plan: np.ndarray
    proportions: np.ndarray
    converged: bool
    n_iter: int
    error: float


def transport_target(
    log_assignment: np.ndarray,
    proportions: np.ndarray,
    *,
    sharpness: float = 5.0,
    tolerance: float = 1e-6,
    max_iter: int = 1000,
) -> TransportPlan:
    r"""Plan :math:`\hat P = diag(u) Q^\lambda diag(v)` with row sums 1 and column sums :math:`N\pi` (Eq. 12).

    POT's log-domain Sinkhorn with cost :math:`-\log Q` and entropic weight :math:`1/\lambda` (Eq. 11): no power of Q
    can underflow. The rows are made exact at the end, so ``error`` is that of the columns.

    Parameters
    ----------
    log_assignment
        :math:`\log Q` of shape (N, K).
    proportions
        :math:`\pi` of shape (K,), non-negative; scaled to sum to one. A cluster with proportion zero receives nothing.
    sharpness
        :math:`\lambda`: larger values bring the plan nearer to the unregularised one.
    tolerance
        Convergence threshold on the marginals.
    max_iter
        Iteration limit.

    Returns
    -------
    TransportPlan

    Raises
    ------
    ValueError
        If `proportions` are not K non-negative numbers, or all zero, `log_assignment` is not finite, or `sharpness` is
        not positive.

    Warns
    -----
    RuntimeWarning
        If the iteration has not converged.
    """
    import ot

    log_assignment = np.asarray(log_assignment, dtype=np.float64)
    proportions = np.asarray(proportions, dtype=np.float64)
    n_cells, n_clusters = log_assignment.shape
    if proportions.shape != (n_clusters,) or not np.isfinite(proportions).all() or (proportions < 0).any():
        raise ValueError(f"proportions must be {n_clusters} non-negative numbers, but {proportions} was passed.")
    if not proportions.any():
        raise ValueError("proportions must not all be zero.")
    if not np.isfinite(log_assignment).all():
        raise ValueError("log_assignment must be finite: it holds values that are NaN or infinite.")
    if sharpness <= 0:
        raise ValueError(f"sharpness must be positive, but {sharpness} was passed.")
    proportions = proportions / proportions.sum()
    live = proportions > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # POT's own warning; ours below says what to do
        live_plan, log = ot.sinkhorn(
            np.full(n_cells, 1.0 / n_cells),
            proportions[live],
            -log_assignment[:, live],
            reg=1.0 / sharpness,
            method="sinkhorn_log",
            numItermax=max_iter,
            stopThr=tolerance,
            log=True,
        )
    plan = np.zeros((n_cells, n_clusters))
    plan[:, live] = live_plan / live_plan.sum(axis=1, keepdims=True)
    assert np.allclose(plan.sum(axis=1), 1.0)
    error = float(np.abs(plan.mean(axis=0) - proportions).max())
    n_iter = int(log["niter"])
    converged = error <= max(10 * tolerance, 1e-9)
    if not converged:
        warnings.warn(
            f"Sinkhorn did not converge in {max_iter} iterations (column error {error:.1e}, tolerance "
            f"{tolerance:.1e}); lower sharpness or raise max_iter.",
            RuntimeWarning,
            stacklevel=2,
        )
    return TransportPlan(plan, proportions, converged, n_iter, error)
