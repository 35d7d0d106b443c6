"""Cell graph autoencoder (CGA)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

__all__ = ["GraphAutoencoder", "GraphLayer"]


class GraphLayer(nn.Module):
    """One graph convolution: ``act(propagate(H W))``, propagating on the narrower side of W.

    Parameters
    ----------
    n_input, n_output
        Widths.
    activation
        Whether tanh follows.
    """

    def __init__(self, n_input: int, n_output: int, *, activation: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_input, n_output))
        self.activation = activation
        nn.init.xavier_uniform_(self.weight)

    def forward(self, hidden: Tensor, propagate: Callable[[Tensor], Tensor]) -> Tensor:
        """Hidden (N, n_input) to (N, n_output); ``propagate`` multiplies (N, d) by the graph."""
        if self.weight.shape[0] < self.weight.shape[1]:
            hidden = propagate(hidden) @ self.weight
        else:
            hidden = propagate(hidden @ self.weight)
        return torch.tanh(hidden) if self.activation else hidden


class GraphAutoencoder(nn.Module):
    """Graph convolutional autoencoder with mirrored decoder.

    Parameters
    ----------
    n_input
        Features a cell, D.
    n_latent
        Latent width d.
    n_hidden
        Widths between input and latent; the decoder mirrors them.
    """

    def __init__(self, n_input: int, n_latent: int = 20, n_hidden: Sequence[int] = (128, 256)) -> None:
        super().__init__()
        widths = [n_input, *n_hidden, n_latent]
        last = len(widths) - 2
        self.encoder = nn.ModuleList(
            GraphLayer(a, b, activation=i < last) for i, (a, b) in enumerate(zip(widths[:-1], widths[1:], strict=True))
        )
        widths = widths[::-1]
        self.decoder = nn.ModuleList(
            GraphLayer(a, b, activation=i < last) for i, (a, b) in enumerate(zip(widths[:-1], widths[1:], strict=True))
        )

    def encode(self, features: Tensor, propagate: Callable[[Tensor], Tensor]) -> Tensor:
        """Features (N, D) to embedding (N, d)."""
        for layer in self.encoder:
            features = layer(features, propagate)
        return features

    def decode(self, embedding: Tensor, propagate: Callable[[Tensor], Tensor]) -> Tensor:
        """Embedding (N, d) to propagated features (N, D)."""
        for layer in self.decoder:
            embedding = layer(embedding, propagate)
        return embedding
