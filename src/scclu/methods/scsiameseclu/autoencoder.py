"""Autoencoders of expression and graph, and their fusion (Eq. 6-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of the given widths with LeakyReLU between them, none after the last."""
    layers: list[nn.Module] = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class GeneAutoencoder(nn.Module):
    """Autoencoder of expression features, cell by cell.

    Parameters
    ----------
    n_input
        Features a cell, D.
    n_latent
        Latent width d.
    n_hidden
        Widths between input and latent; the decoder mirrors them.
    """

    def __init__(self, n_input: int, n_latent: int = 20, n_hidden: Sequence[int] = (128, 256, 512)) -> None:
        super().__init__()
        widths = [n_input, *n_hidden, n_latent]
        self.encoder = mlp(widths)
        self.decoder = mlp(widths[::-1])

    def encode(self, features: Tensor) -> Tensor:
        """Features (N, D) to embedding (N, d)."""
        return self.encoder(features)

    def decode(self, embedding: Tensor) -> Tensor:
        """Embedding (N, d) to features (N, D)."""
        return self.decoder(embedding)


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


def _graph_layers(widths: Sequence[int]) -> nn.ModuleList:
    last = len(widths) - 2
    pairs = zip(widths[:-1], widths[1:], strict=True)
    return nn.ModuleList(GraphLayer(a, b, activation=i < last) for i, (a, b) in enumerate(pairs))


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
        self.encoder = _graph_layers(widths)
        self.decoder = _graph_layers(widths[::-1])

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


def self_correlation(embedding: Tensor, landmarks: Tensor | None = None) -> Tensor:
    r"""Recombined embedding :math:`Z^R = softmax(Z^E Z^{E\prime}) Z^E`, never forming the N x N matrix.

    Parameters
    ----------
    embedding
        :math:`Z^E` of shape (N, d).
    landmarks
        Optional rows (M, d) that stand for all cells. With M cells drawn evenly at random each row is a self-normalised
        importance estimate of the exact one: its error falls as :math:`1 / \sqrt{M}`.

    Returns
    -------
    Tensor of shape (N, d); memory O(N d).
    """
    keys = embedding if landmarks is None else landmarks
    # four axes select the fused kernel, which keeps no N x N matrix
    return scaled_dot_product_attention(embedding[None, None], keys[None, None], keys[None, None], scale=1.0)[0, 0]


class AdaptiveFusion(nn.Module):
    r"""Mean of the views, one propagation, and a learned share of self-correlation.

    Parameters
    ----------
    exact_limit
        Up to this many cells Eq. 7 is exact; above, ``n_landmarks`` evenly drawn cells stand for all.
    n_landmarks
        Number of landmarks.
    """

    def __init__(self, exact_limit: int = 10_000, n_landmarks: int = 2048) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(()))
        self.exact_limit = exact_limit
        self.n_landmarks = n_landmarks

    def forward(self, views: list[Tensor], average: Callable[[Tensor], Tensor], n_reference: int) -> Tensor:
        r"""Fuse views of shape (N, d): :math:`Z = Z^E + \beta Z^R` with :math:`Z^E = \tilde A\, mean(views)`.

        Parameters
        ----------
        views
            Embeddings :math:`Z^{G1}, Z^{G2}, Z^{C1}, Z^{C2}`, each (N, d).
        average
            Product with :math:`\tilde A` of shape (N, N).
        n_reference
            Self-correlation runs over the first so many cells: all of them, or those without the new ones.
        """
        enhanced = average(torch.stack(views).mean(dim=0))
        return enhanced + self.beta * self_correlation(enhanced, self._landmarks(enhanced[:n_reference]))

    def _landmarks(self, enhanced: Tensor) -> Tensor:
        if len(enhanced) <= self.exact_limit:
            return enhanced
        generator = torch.Generator().manual_seed(0)
        index = torch.randperm(len(enhanced), generator=generator)[: self.n_landmarks]
        return enhanced[index.to(enhanced.device)]
