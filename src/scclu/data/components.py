"""Principal components of cells, in memory or in blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from scipy import linalg
from sklearn.decomposition import PCA
from torch import Tensor, nn

from scclu.data.disk import consecutive_rows
from scclu.data.matrix import Matrix, blocks
from scclu.data.recipe import Recipe
from scclu.data.tensors import batch_tensor

# columns of the largest covariance matrix, 128 MB
MOST_COLUMNS = 4_000
# cells from which on there are more components, and the covariance matrix gives their axes: in a few passes over the
# cells, later axes do not converge
_MANY_CELLS = 20_000
# dense values that are kept between the passes of a projection's fit, 160 MB
_KEPT_VALUES = 20_000 * 2_000


def default_components(n_cells: int) -> int:
    """Number of principal components that describe cells: 30, or 50 of more than 20,000 cells.

    What distinguishes rare types lies in later components, which are noise unless there are many cells.
    """
    return 30 if n_cells <= _MANY_CELLS else 50


def make_projection(recipe: Recipe, n_components: int, max_value: float | None, norm_power: float) -> FeatureProjection:
    """Create a projection, not fitted yet, of the values that `recipe` returns; scaled values are not clipped."""
    return FeatureProjection(
        torch.from_numpy(recipe.moments[0]),
        torch.from_numpy(recipe.moments[1]),
        n_components,
        max_value=None if recipe.kind == "scaled" else max_value,
        norm_power=norm_power,
    )


def fit_projection(projection: FeatureProjection, matrix: Matrix, random_state: int) -> torch.Tensor:
    """Fit a projection to log-normalised training cells.

    Returns
    -------
    The principal components of the cells, ``(n_cells, n_features)``.
    """
    if _are_few(matrix):
        matrix = consecutive_rows(matrix, slice(None))  # read once, in the order of the cells
    fit_axes(projection, matrix, random_state)
    components = project(projection, matrix)
    projection.fit_unit(components)
    return components


def fit_axes(projection: FeatureProjection, matrix: Matrix, random_state: int) -> None:
    """Fit the axes of a projection to log-normalised cells, ``(n_cells, n_genes)``."""

    def standardised() -> Iterator[np.ndarray]:
        return (projection.standardise(batch_tensor(block, slice(None))).numpy() for _, block in blocks(matrix))

    (n_cells, n_genes), n_components = matrix.shape, projection.n_features
    if n_cells > _MANY_CELLS and n_genes <= MOST_COLUMNS:
        mean, axes, _ = covariance_axes(standardised(), n_genes, n_components)
    else:
        # each pass makes the blocks anew, unless they fit in memory together
        kept = list(standardised()) if _are_few(matrix) else None
        passes = (lambda: kept) if kept else standardised
        mean, axes = principal_axes(passes, n_genes, n_components, random_state=random_state)
    projection.axes.copy_(torch.from_numpy(axes))
    projection.offset.copy_(torch.from_numpy(mean @ axes))


def _are_few(matrix: Matrix) -> bool:
    return matrix.shape[0] * matrix.shape[1] <= _KEPT_VALUES


def project(projection: FeatureProjection, matrix: Matrix) -> torch.Tensor:
    """Principal components of log-normalised cells, ``(n_cells, n_features)``, computed on the projection's device."""
    components = torch.empty(matrix.shape[0], projection.n_features)
    for rows, block in blocks(matrix):
        components[rows] = projection.components(batch_tensor(block, slice(None)).to(projection.axes.device)).cpu()
    return components


def fit_pca(values: np.ndarray, n_components: int, random_state: int, svd_solver: str = "auto") -> PCA:
    """Principal components of values in memory, at most as many as there are dimensions and degrees of freedom.

    Parameters
    ----------
    values
        ``(n_cells, n_features)``. Cells that are all equal get components of zero.
    n_components
        Number of components wanted.
    random_state
        Random seed passed to the solver.
    svd_solver
        As in :class:`sklearn.decomposition.PCA`.
    """
    n_components = max(1, min(n_components, values.shape[1], len(values) - 1))
    with np.errstate(invalid="ignore"):  # equal cells have no variance to divide by
        return PCA(n_components, svd_solver=svd_solver, random_state=random_state).fit(values)


def principal_axes(
    blocks: Callable[[], Iterable[np.ndarray]],
    n_features: int,
    n_components: int,
    *,
    random_state: int = 0,
    n_iter: int = 7,
) -> tuple[np.ndarray, np.ndarray]:
    """Leading principal axes by randomised subspace iteration; only one block is dense at a time.

    Parameters
    ----------
    blocks
        Called for each pass; gives dense blocks of rows, ``(n_rows, n_features)``.
    n_features
        Number of columns.
    n_components
        Number of axes.
    random_state
        Random seed of the initial subspace.
    n_iter
        Number of passes over the blocks.

    Returns
    -------
    Mean of the rows, ``(n_features,)``, and orthonormal axes, ``(n_features, n_components)``, largest variance first,
    both float32. The largest loading of an axis is positive.
    """
    total, n_rows = np.zeros(n_features), 0
    for block in blocks():
        total += block.sum(axis=0, dtype=np.float64)
        n_rows += len(block)
    mean = total / n_rows
    width = min(n_components + 10, n_features)
    start = np.random.default_rng(random_state).standard_normal((n_features, width))
    axes = np.linalg.qr(start)[0]
    for _ in range(n_iter):
        product = np.zeros((n_features, width))
        for block in blocks():
            scores = block @ axes.astype(np.float32) - (mean @ axes).astype(np.float32)
            product += block.T @ scores - np.outer(mean, scores.sum(axis=0, dtype=np.float64))
        axes, sizes, _ = np.linalg.svd(product, full_matrices=False)
    # after the last pass the left singular vectors are the axes, in order of variance
    return mean.astype(np.float32), _with_signs(axes[:, :n_components]).astype(np.float32)


def covariance_axes(
    blocks: Iterable[np.ndarray], n_features: int, n_components: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leading principal axes by the covariance matrix, which takes one pass over many rows.

    Parameters
    ----------
    blocks
        Dense blocks of rows, ``(n_rows, n_features)`` float32, with means near zero.
    n_features
        Number of columns, at most :data:`MOST_COLUMNS`.
    n_components
        Number of axes.

    Returns
    -------
    Mean and axes as of :func:`principal_axes`, and the variances along the axes, ``(n_components,)``.
    """
    total, products, n_rows = np.zeros(n_features), np.zeros((n_features, n_features)), 0
    for block in blocks:
        total += block.sum(axis=0, dtype=np.float64)
        products += block.T @ block
        n_rows += len(block)
    mean = total / n_rows
    products /= n_rows
    products -= np.outer(mean, mean)
    last = n_features - n_components, n_features - 1
    variances, axes = linalg.eigh(products, subset_by_index=last, overwrite_a=True)
    return mean.astype(np.float32), _with_signs(axes[:, ::-1]).astype(np.float32), variances[::-1]


def _with_signs(axes: np.ndarray) -> np.ndarray:
    """Axes whose largest loading is positive; the signs that a decomposition gives depend on rounding."""
    return axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])


class FeatureProjection(nn.Module):
    r"""Z-score, principal components, and tempered norms: :math:`x = p / (\|p\|^\eta s)`.

    The norm of a cell's principal components grows with its depth and with how far its type is from the others.
    :math:`\eta = 0` keeps it, so that outlying types dominate; :math:`\eta = 1` removes it, so that cells near the
    origin, which are noise, count as much as any.

    Parameters
    ----------
    mean, scale
        Of each gene over the training cells, ``(n_genes,)``.
    n_features
        Principal components.
    max_value
        Z-scores are clipped to [-max_value, max_value]; ``None`` does not clip.
    norm_power
        :math:`\eta`, in [0, 1].
    """

    def __init__(
        self, mean: Tensor, scale: Tensor, n_features: int, *, max_value: float | None, norm_power: float
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.register_buffer("axes", torch.zeros(len(mean), n_features))
        self.register_buffer("offset", torch.zeros(n_features))
        self.register_buffer("unit", torch.ones(()))
        self.mean: Tensor
        self.scale: Tensor
        self.axes: Tensor
        self.offset: Tensor
        self.unit: Tensor
        self.max_value = max_value
        self.norm_power = norm_power

    @property
    def n_features(self) -> int:
        """Features a cell."""
        return self.axes.shape[1]

    def standardise(self, x: Tensor) -> Tensor:
        """Z-score of log-normalised values, ``(n_cells, n_genes)``."""
        x = (x - self.mean).div_(self.scale)
        return x if self.max_value is None else x.clamp_(-self.max_value, self.max_value)

    def components(self, x: Tensor) -> Tensor:
        """Principal components of log-normalised cells, ``(n_cells, n_features)``."""
        return self.standardise(x) @ self.axes - self.offset

    def temper(self, components: Tensor) -> Tensor:
        """Features of principal components, ``(n_cells, n_features)``."""
        norm = components.norm(dim=1, keepdim=True).clamp_min(1e-12)
        return components / norm**self.norm_power / self.unit

    def fit_unit(self, components: Tensor) -> None:
        """Choose s so that the features of these cells have unit mean square."""
        self.unit.fill_(1.0)
        unit = self.temper(components).square().mean().sqrt()
        # cells that do not differ stay at the origin
        self.unit.copy_(unit if unit > 1e-4 else torch.ones(()))
