"""Augmentation of cells, and the transformer encoder of CICL."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def gaussian_noise(x: torch.Tensor, scale: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """Add Gaussian noise that is mapped linearly to [0, `scale`] (section 2.2.1 of the CICL paper, where `scale` is 1).

    Parameters
    ----------
    x
        ``(..., n_genes)``.
    scale
        Largest value that is added; 0 returns `x`.
    generator
        Source of random numbers on the device of `x`; ``None`` uses the global one.

    Returns
    -------
    A new tensor like `x`; the smallest and largest of all draws are mapped to 0 and `scale`.
    """
    if scale == 0:
        return x
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    low, high = noise.aminmax()
    return x + (noise - low) * (scale / (high - low).clamp_min(torch.finfo(x.dtype).tiny))


def mask_genes(x: torch.Tensor, rate: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """Set each value to zero (after the z-score: to the gene's mean) with probability `rate`, cell by cell.

    Parameters
    ----------
    x
        ``(..., n_genes)``.
    rate
        Probability that a value is masked, in [0, 1); 0 returns `x`.
    generator
        As in :func:`gaussian_noise`.
    """
    if rate == 0:
        return x
    return x * (torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device) >= rate)


Attention = Literal["cell", "batch"]
# number of attention weights per block: 32 M of bfloat16 are 64 MB
_BLOCK_VALUES = 32 * 2**20


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    r"""Scaled dot-product attention, :math:`\mathrm{softmax}(Q K^\top / \sqrt{d}) V`.

    In bfloat16, PyTorch's function takes several times as long on a CPU as the products of matrices, which are computed
    instead, in blocks of queries that are recomputed in the backward pass if there is more than one.

    Parameters
    ----------
    query, key, value
        ``(n_views, n_heads, n_cells, d)``.

    Returns
    -------
    ``(n_views, n_heads, n_cells, d)``.
    """
    if query.dtype != torch.bfloat16 or query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value)

    def rows(some: torch.Tensor) -> torch.Tensor:
        return torch.softmax(some @ key.mT, dim=-1) @ value

    with torch.autocast("cpu", enabled=False):  # which would make the softmax float32
        blocks = (query * query.shape[-1] ** -0.5).split(max(1, _BLOCK_VALUES // query[..., 0].numel()), dim=-2)
        if len(blocks) == 1:
            return rows(blocks[0])
        return torch.cat([checkpoint(rows, some, use_reentrant=False) for some in blocks], dim=-2)


class SelfAttention(nn.Module):
    r"""Multi-head self-attention (Eq. 3-4 of the CICL paper).

    .. math::

        H = \mathrm{Concat}(A_1 X W^v_1, \dots, A_h X W^v_h) W^O, \quad
        A_i = \mathrm{softmax}(X W^q_i (X W^k_i)^\top / \sqrt{d})

    With ``attention="batch"`` the softmax runs over the cells of the minibatch, as the equations say. With
    ``attention="cell"`` each cell is a sequence of one token, as in the authors' program: the softmax over one key is
    1, so queries and keys cannot act and are left out, and a cell's output never depends on its minibatch.

    Parameters
    ----------
    width
        Width of a token.
    n_heads
        h; each head has ``width // n_heads`` dimensions, rounded up.
    attention
        ``"cell"`` or ``"batch"``.
    """

    def __init__(self, width: int, n_heads: int, attention: Attention):
        super().__init__()
        self.n_heads = n_heads
        inner = n_heads * -(-width // n_heads)
        self.value = nn.Linear(width, inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.query_key = nn.Linear(width, 2 * inner, bias=False) if attention == "batch" else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend.

        Parameters
        ----------
        x
            ``(n_views, n_cells, width)``; cells attend within their view.

        Returns
        -------
        ``(n_views, n_cells, width)``.
        """
        value = self.value(x)
        if self.query_key is None:
            return self.out(value)
        query, key = self.query_key(x).chunk(2, dim=-1)
        query, key, value = (part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in (query, key, value))
        return self.out(attend(query, key, value).transpose(1, 2).flatten(-2))


class EncoderLayer(nn.Module):
    r"""Attention and a feed-forward network, each with a residual and a layer normalisation (Eq. 5-7).

    .. math::

        H_{res} = \mathrm{LayerNorm}(X + H), \quad
        H_{fc} = \mathrm{ReLU}(H_{res} W_1) W_2, \quad
        \mathrm{LayerNorm}(H_{fc} + H_{res})
    """

    def __init__(self, width: int, n_heads: int, attention: Attention):
        super().__init__()
        self.attention = SelfAttention(width, n_heads, attention)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.feed_forward_norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(n_views, n_cells, width)`` to the same shape."""
        x = self.attention_norm(x + self.attention(x))
        return self.feed_forward_norm(x + self.feed_forward(x))


class CellEncoder(nn.Module):
    """Genes to an embedding: a linear layer to `width`, then `n_layers` encoder layers.

    Parameters
    ----------
    n_genes
        Width of the input.
    width
        Width of the layers and of the embedding. The linear layer before them makes Eq. 5, which adds the input, agree
        with the paper's Table 2, whose feed-forward networks are 1024 wide.
    n_layers, n_heads, attention
        As in :class:`SelfAttention`; ``n_layers`` such layers.
    """

    def __init__(self, n_genes: int, width: int, n_layers: int, n_heads: int, attention: Attention):
        super().__init__()
        self.input = nn.Linear(n_genes, width)
        self.layers = nn.Sequential(*(EncoderLayer(width, n_heads, attention) for _ in range(n_layers)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(n_views, n_cells, n_genes)`` to ``(n_views, n_cells, width)``."""
        return self.layers(self.input(x))
