"""Correction of representations for batches."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from scclu.cluster.kmeans import kmeans
from scclu.cluster.space import rows_with_each_label

# cells that a correction is fitted to, if there are more
FITTED_CELLS = 20_000
_MOST_CLUSTERS = 100
# cells per cluster, in small data
_CELLS = 30
# width of a cluster, in units of the squared distance of cells of norm 1
_WIDTH = 0.1
# exponent of the penalty on clusters in which a batch is over-represented
_DIVERSITY = 2.0
# pseudocount of cells without a shift, in each batch of each cluster
_RIDGE = 1.0
_ROUNDS = 10
_STEPS = 3
_PARTS = 20
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class BatchCorrection:
    r"""Removal of the differences between batches within soft clusters: :math:`x - \sum_k w_k(x) \delta_{kb}`.

    The clusters and the shifts :math:`\delta_{kb}` of batch b in cluster k are those of Harmony (Korsunsky et al.):
    soft K-means of the cells on the unit sphere, with a penalty on clusters in which a batch is over-represented, and a
    ridge regression on the batches in each cluster, repeated in turn. The correction itself is a function of a cell and
    its batch, so that new cells of a known batch are corrected as the training cells are. Its weights are

    .. math:: w_k(x) \propto n_{kb} \exp(-\lVert x / \lVert x \rVert - m_{kb} \rVert^2 / \sigma)

    with the directions :math:`m_{kb}` of the mean of batch b in cluster k before the correction, and the number of its
    cells :math:`n_{kb}`.

    Attributes
    ----------
    direction
        :math:`m_{kb}`, ``(n_clusters, n_batches, n_dims)`` float32.
    shift
        :math:`\delta_{kb}`, ``(n_clusters, n_batches, n_dims)`` float32.
    n_cells
        :math:`n_{kb}`, ``(n_clusters, n_batches)`` float32.

    References
    ----------
    Korsunsky et al. (2019), Fast, sensitive and accurate integration of single-cell data with Harmony.
    """

    direction: np.ndarray
    shift: np.ndarray
    n_cells: np.ndarray

    def __post_init__(self) -> None:
        """Raise ValueError if the attributes, which may come from a file, do not fit each other."""
        parts = (self.direction, self.shift, self.n_cells)
        if any(part.dtype != np.float32 for part in parts) or [part.ndim for part in parts] != [3, 3, 2]:
            raise ValueError("a correction for batches does not hold real numbers of each cluster and batch")
        if not self.direction.shape == self.shift.shape == (*self.n_cells.shape, self.shift.shape[2]):
            raise ValueError("the parts of a correction for batches are of different clusters or batches")

    @classmethod
    def fit(cls, points: np.ndarray, batches: np.ndarray, n_batches: int, *, random_state: int) -> Self:
        """Fit a correction to cells in random order: the first 20,000, and the first 30 of each batch.

        Parameters
        ----------
        points
            ``(n_cells, n_dims)``.
        batches
            Batch of each cell, 0 to `n_batches` - 1.
        n_batches
            Number of batches.
        random_state
            Seed.
        """
        used = rows_with_each_label(batches, FITTED_CELLS, _CELLS)
        cells, batch = points[used].astype(np.float64), batches[used]
        member = np.eye(n_batches)[batch]
        rng = np.random.default_rng(random_state)
        n_clusters = int(np.clip(len(cells) // _CELLS, 2, _MOST_CLUSTERS))
        mixed, unit = cells, _unit(cells)
        n_clusters = min(n_clusters, len(cells))
        start = kmeans(unit, n_clusters, random_state=random_state, n_init=1, max_iter=25)[1]
        share = _responsibility(unit, _unit(start.astype(np.float64)))
        for _ in range(_ROUNDS):
            share = _diverse_share(unit, share, member, rng)
            count = share.T @ member
            total = np.stack([share[batch == each].T @ cells[batch == each] for each in range(n_batches)], axis=1)
            shift = _ridge_shifts(count, total)
            before, mixed = mixed, cells.copy()
            for each in range(n_batches):
                mixed[batch == each] -= share[batch == each] @ shift[:, each]
            unit = _unit(mixed)
            if np.abs(mixed - before).mean() < _TOLERANCE * np.abs(mixed).mean():
                break
        direction = _unit(total / np.maximum(count, 1e-9)[:, :, None])
        return cls(*(values.astype(np.float32) for values in (direction, shift, count)))

    def __call__(self, points: np.ndarray, batches: np.ndarray) -> np.ndarray:
        """Corrected cells, ``(n_cells, n_dims)`` float32.

        Parameters
        ----------
        points
            ``(n_cells, n_dims)``.
        batches
            Batch of each cell, ``(n_cells,)`` int.
        """
        corrected = np.array(points, dtype=np.float32)
        log_size = np.log(np.maximum(self.n_cells, 1e-6))
        for batch in np.unique(batches):
            rows = np.flatnonzero(batches == batch)
            for part in np.array_split(rows, -(-len(rows) // FITTED_CELLS)):
                weight = _responsibility(_unit(corrected[part]), self.direction[:, batch], log_size[:, batch])
                corrected[part] -= weight @ self.shift[:, batch]
        return corrected

    def arrays(self) -> dict[str, Any]:
        """The attributes, for a file."""
        return asdict(self)


def _unit(points: np.ndarray) -> np.ndarray:
    return points / np.maximum(np.linalg.norm(points, axis=-1, keepdims=True), 1e-12)


def _responsibility(unit: np.ndarray, centers: np.ndarray, log_prior: np.ndarray | float = 0.0) -> np.ndarray:
    """Share of each cell in each cluster, ``(n_cells, n_clusters)``; rows sum to one."""
    logits = log_prior - 2 * (1 - unit @ centers.T) / _WIDTH
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)


def _diverse_share(unit: np.ndarray, share: np.ndarray, member: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Soft K-means with a penalty on over-represented batches; a twentieth of the cells is updated at a time."""
    share, batch, frequency = share.copy(), member.argmax(axis=1), member.mean(axis=0)
    count = share.T @ member
    for _ in range(_STEPS):
        centers = _unit(share.T @ unit)
        for part in np.array_split(rng.permutation(len(unit)), _PARTS):
            count -= share[part].T @ member[part]
            expected = count.sum(axis=1, keepdims=True) * frequency
            penalty = _DIVERSITY * np.log((expected + 1) / (count + 1))
            share[part] = _responsibility(unit[part], centers, penalty.T[batch[part]])
            count += share[part].T @ member[part]
    return share


def _ridge_shifts(count: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Shift of each batch in each cluster, by ridge regression on the batches with an intercept.

    Parameters
    ----------
    count
        Cells, ``(n_clusters, n_batches)``.
    total
        Sums of the cells, ``(n_clusters, n_batches, n_dims)``.
    """
    # for one-hot batches, the normal equations have a closed solution
    weight = count / (count + _RIDGE)
    mean = total / np.maximum(count, 1e-9)[:, :, None]
    scale = np.maximum((weight * _RIDGE).sum(axis=1), 1e-9)[:, None, None]
    center = (weight * _RIDGE)[:, :, None] * mean
    return weight[:, :, None] * (mean - center.sum(axis=1, keepdims=True) / scale)
