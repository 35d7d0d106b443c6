"""Embedding of the default presets: principal components of a network's output and of its input."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from scclu.data.components import covariance_axes, fit_pca


class JointComponents(nn.Module):
    """Leading principal components of a network's output and of its input, side by side.

    The components of the input keep what the losses of the network remove. Contrastive losses spread the cells evenly
    over a sphere, which enlarges small differences between cells of one type until they resemble differences between
    types; graph layers average over neighbours, which divides large types into parts.

    Parameters
    ----------
    n_hidden, n_input
        Widths of the network's output, whose rows are scaled to unit norm, and of its input.
    n_components
        Number of components of each block.
    hidden_weight
        Root mean squared norm of the rows of the output's block; that of the input's block is 1.
    """

    def __init__(self, n_hidden: int, n_input: int, n_components: int, hidden_weight: float):
        super().__init__()
        self.n_components = min(n_components, n_hidden), min(n_components, n_input)
        self.hidden_weight = hidden_weight
        n_outputs, n_inputs = self.n_components
        for name, shape in {
            "hidden_center": (n_hidden,),
            "hidden_mean": (n_hidden,),
            "hidden_axes": (n_hidden, n_outputs),
            "input_mean": (n_input,),
            "input_axes": (n_input, n_inputs),
        }.items():
            self.register_buffer(name, torch.zeros(shape))
        self.hidden_center: torch.Tensor
        self.hidden_mean: torch.Tensor
        self.hidden_axes: torch.Tensor
        self.input_mean: torch.Tensor
        self.input_axes: torch.Tensor

    def _directions(self, hidden: torch.Tensor) -> torch.Tensor:
        return F.normalize(hidden - self.hidden_center, dim=1)

    def fit(self, hidden: torch.Tensor, x: torch.Tensor | Iterable[np.ndarray], random_state: int) -> None:
        """Find the components.

        Parameters
        ----------
        hidden
            The network's output, ``(n_cells, n_hidden)``.
        x
            Its input, ``(n_cells, n_input)``, or blocks of the input of more cells ``(n_rows, n_input)`` float32.
        random_state
            Random seed passed to the solver.
        """
        self.hidden_center.copy_(hidden.mean(0))
        n_outputs, n_inputs = self.n_components
        found = scaled_components(self._directions(hidden).cpu().numpy(), n_outputs, random_state)
        self._set(self.hidden_mean, self.hidden_axes, *found, self.hidden_weight)
        if isinstance(x, torch.Tensor):
            found = scaled_components(x.cpu().numpy(), n_inputs, random_state)
        else:
            mean, axes, variances = covariance_axes(x, len(self.input_mean), n_inputs)
            found = mean, _scaled(axes, variances.sum())
        self._set(self.input_mean, self.input_axes, *found, 1.0)

    @staticmethod
    def _set(
        mean: torch.Tensor, axes: torch.Tensor, found_mean: np.ndarray, found_axes: np.ndarray, weight: float
    ) -> None:
        mean.copy_(torch.from_numpy(found_mean))
        axes.zero_()[:, : found_axes.shape[1]].copy_(torch.from_numpy(weight * found_axes))

    def forward(self, hidden: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """``(n_cells, n_hidden)`` and ``(n_cells, n_input)`` to ``(n_cells, sum(self.n_components))``."""
        return torch.cat(
            (
                (self._directions(hidden) - self.hidden_mean) @ self.hidden_axes,
                (x - self.input_mean) @ self.input_axes,
            ),
            dim=1,
        )


def scaled_components(values: np.ndarray, n_components: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and principal axes, scaled so that projected cells have a mean squared norm of 1.

    Returns
    -------
    The mean ``(n_features,)`` and the axes ``(n_features, n_found)``, float32; `n_found` is less
    than `n_components` where there are too few cells.
    """
    pca = fit_pca(values, n_components, random_state, svd_solver="randomized")
    projected = pca.transform(values)
    return pca.mean_.astype(np.float32), _scaled(pca.components_.T, (projected**2).sum(1).mean())


def _scaled(axes: np.ndarray, variance: float) -> np.ndarray:
    """Axes along which cells with this variance have one of 1; cells that are all equal are left as they are."""
    return (axes / (np.sqrt(variance) if variance > 1e-24 else 1.0)).astype(np.float32)
