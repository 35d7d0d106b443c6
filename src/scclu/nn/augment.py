"""Random views of cells."""

from __future__ import annotations

import torch


def gaussian_noise(x: torch.Tensor, scale: float) -> torch.Tensor:
    """Add Gaussian noise that is mapped linearly to [0, `scale`] (section 2.2.1 of the CICL paper, where `scale` is 1).

    Parameters
    ----------
    x
        ``(..., n_genes)``.
    scale
        The largest value that is added; 0 returns `x`.

    Returns
    -------
    A new tensor like `x`; the smallest and largest of all draws are mapped to 0 and `scale`.
    """
    if scale == 0:
        return x
    noise = torch.randn_like(x)
    low, high = noise.aminmax()
    return x + (noise - low) * (scale / (high - low).clamp_min(torch.finfo(x.dtype).tiny))


def mask_genes(x: torch.Tensor, rate: float) -> torch.Tensor:
    """Set each value to zero (after the z-score: to the gene's mean) with probability `rate`, cell by cell.

    Parameters
    ----------
    x
        ``(..., n_genes)``.
    rate
        Probability that a value is masked, in [0, 1); 0 returns `x`.
    """
    if rate == 0:
        return x
    return x * (torch.rand_like(x) >= rate)
