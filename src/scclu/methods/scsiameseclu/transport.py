"""Transport targets with given cluster proportions (Eq. 10-12)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scclu._settings import warn

__all__ = ["TransportPlan", "transport_target"]


@dataclass(frozen=True)
class TransportPlan:
    """Result of :func:`transport_target`.

    Parameters
    ----------
    plan
        P of shape (N, K): rows sum to one, columns to ``N * proportions``.
    proportions
        Cluster proportions used as column constraints, of shape (K,).
    converged
        Whether the marginal error fell below the tolerance.
    n_iter
        Sinkhorn iterations used.
    error
        Largest deviation of a column's share from its proportion.
    log_scaling
        Logarithms of u (N,) and v (K,) of Eq. 12, from which the next problem can start.
    """

    plan: Tensor
    proportions: Tensor
    converged: bool
    n_iter: int
    error: float
    log_scaling: tuple[Tensor, Tensor]


def transport_target(
    log_assignment: Tensor,
    proportions: Tensor,
    *,
    sharpness: float = 5.0,
    tolerance: float = 1e-6,
    max_iter: int = 1000,
    warm_start: tuple[Tensor, Tensor] | None = None,
) -> TransportPlan:
    r"""Plan :math:`\hat P = diag(u) Q^\lambda diag(v)` with row sums 1 and column sums :math:`N\pi` (Eq. 12).

    POT's log-domain Sinkhorn solver runs on float64 tensors with cost :math:`-\log Q` and entropic weight
    :math:`1/\lambda` (Eq. 11), so no power of Q can underflow. The rows are normalised exactly at the end, so ``error``
    refers to the columns.

    Parameters
    ----------
    log_assignment
        :math:`\log Q`, tensor or array of shape (N, K).
    proportions
        :math:`\pi`, tensor or array of shape (K,), non-negative; scaled to sum to one. A cluster with proportion zero
        receives nothing.
    sharpness
        :math:`\lambda`: with larger values the plan is closer to the unregularised one.
    tolerance
        Convergence threshold on the marginals.
    max_iter
        Maximum number of iterations.
    warm_start
        ``log_scaling`` of the plan of a similar problem of the same shape.

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

    log_assignment = torch.as_tensor(log_assignment, dtype=torch.float64)
    proportions = torch.as_tensor(proportions, dtype=torch.float64, device=log_assignment.device)
    _check_problem(log_assignment, proportions, sharpness)
    n_cells, n_clusters = log_assignment.shape
    proportions = proportions / proportions.sum()
    live = proportions > 0
    live_plan, log = ot.sinkhorn(
        torch.full_like(log_assignment[:, 0], 1.0 / n_cells),
        proportions[live],
        -log_assignment[:, live],
        reg=1.0 / sharpness,
        method="sinkhorn_log",
        numItermax=max_iter,
        stopThr=tolerance,
        log=True,
        warn=False,  # replaced by the warning below, which names this function's arguments
        warmstart=None if warm_start is None else (warm_start[0], warm_start[1][live]),
    )
    plan = log_assignment.new_zeros(n_cells, n_clusters)
    plan[:, live] = live_plan / live_plan.sum(dim=1, keepdim=True)
    log_v = torch.zeros_like(proportions)
    log_v[live] = log["log_v"]
    error = float((plan.mean(dim=0) - proportions).abs().max())
    converged = error <= max(10 * tolerance, 1e-9)
    if not converged:
        warn(
            f"Sinkhorn did not converge in {max_iter} iterations (column error {error:.1e}, tolerance "
            f"{tolerance:.1e}); lower sharpness or raise max_iter.",
            RuntimeWarning,
        )
    return TransportPlan(plan, proportions, converged, int(log["niter"]), error, (log["log_u"], log_v))


def _check_problem(log_assignment: Tensor, proportions: Tensor, sharpness: float) -> None:
    n_clusters = log_assignment.shape[1]
    if proportions.shape != (n_clusters,) or not proportions.isfinite().all() or (proportions < 0).any():
        raise ValueError(
            f"proportions must be {n_clusters} non-negative numbers, but {proportions.cpu().numpy()} was passed."
        )
    if not proportions.any():
        raise ValueError("proportions must not all be zero.")
    if not log_assignment.isfinite().all():
        raise ValueError("log_assignment must be finite: it holds values that are NaN or infinite.")
    if sharpness <= 0:
        raise ValueError(f"sharpness must be positive, but {sharpness} was passed.")
