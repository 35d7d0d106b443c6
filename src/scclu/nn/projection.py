"""From log-normalised genes to the features of scSiameseClu."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
