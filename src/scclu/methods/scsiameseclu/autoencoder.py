"""Autoencoders of expression and graph, and their fusion (Eq. 6-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch_geometric.nn import GCNConv

from scclu.graph.operator import SparseOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from scclu.graph.diffusion import Diffusion


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Build linear layers of the given widths, with LeakyReLU between them and none after the last."""
    layers: list[nn.Module] = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


class GeneAutoencoder(nn.Module):
    """Fully connected autoencoder of the expression features of each cell.

    Parameters
    ----------
    n_input
        Number of features per cell, D.
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
        """Embed features (N, D) in (N, d)."""
        return self.encoder(features)

    def decode(self, embedding: Tensor) -> Tensor:
        """Reconstruct features (N, D) from an embedding (N, d)."""
        return self.decoder(embedding)


class GraphLayer(nn.Module):
    """One graph convolution, :class:`torch_geometric.nn.GCNConv` on a normalised operator.

    Parameters
    ----------
    n_input, n_output
        Widths.
    activation
        Whether tanh follows.
    """

    def __init__(self, n_input: int, n_output: int, *, activation: bool = True) -> None:
        super().__init__()
        # the operators have self-loops and are normalised already
        self.conv = GCNConv(n_input, n_output, normalize=False, bias=False)
        self.activation = activation

    def forward(self, hidden: Tensor, operator: SparseOperator | Diffusion) -> Tensor:
        """Map hidden values (N, n_input) to (N, n_output).

        Parameters
        ----------
        hidden
            Tensor of shape (N, n_input).
        operator
            Operator of shape (N, N). A diffusion, whose product costs ten sparse ones, is applied on the narrower side
            of the weights.
        """
        if isinstance(operator, SparseOperator):
            hidden = self.conv(hidden, operator.csr)
        elif self.conv.in_channels < self.conv.out_channels:
            hidden = self.conv.lin(operator @ hidden)
        else:
            hidden = operator @ self.conv.lin(hidden)
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
        Number of features per cell, D.
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

    def encode(self, features: Tensor, operator: SparseOperator | Diffusion) -> Tensor:
        """Embed features (N, D) in (N, d)."""
        for layer in self.encoder:
            features = layer(features, operator)
        return features

    def decode(self, embedding: Tensor, operator: SparseOperator | Diffusion) -> Tensor:
        """Reconstruct propagated features (N, D) from an embedding (N, d)."""
        for layer in self.decoder:
            embedding = layer(embedding, operator)
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
    r"""Mean of the embedded views, one propagation, and a learned share of self-correlation (Eq. 6-7).

    Parameters
    ----------
    exact_limit
        Up to this many cells, self-correlation is exact; above, `n_landmarks` randomly drawn cells stand for all.
    n_landmarks
        Number of landmarks.
    landmark_seed
        Seed that the landmarks are drawn with. The same number of cells gives the same landmarks.
    """

    def __init__(self, exact_limit: int = 10_000, n_landmarks: int = 2048, landmark_seed: int = 0) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(()))
        self.exact_limit = exact_limit
        self.n_landmarks = n_landmarks
        self.landmark_seed = landmark_seed

    def forward(self, embedded: list[Tensor], walk: SparseOperator, n_reference: int) -> Tensor:
        r"""Fuse embeddings of shape (N, d): :math:`Z = Z^E + \beta Z^R` with :math:`Z^E = \tilde A\, mean`.

        Parameters
        ----------
        embedded
            Embeddings :math:`Z^{G1}, Z^{G2}, Z^{C1}, Z^{C2}`, each (N, d).
        walk
            :math:`\tilde A` of shape (N, N).
        n_reference
            Self-correlation runs over this many cells from the first: over all cells, or over those that are not new.
        """
        enhanced = walk @ torch.stack(embedded).mean(dim=0)
        return enhanced + self.beta * self_correlation(enhanced, self._landmarks(enhanced[:n_reference]))

    def _landmarks(self, enhanced: Tensor) -> Tensor:
        if len(enhanced) <= self.exact_limit:
            return enhanced
        index = torch.randperm(len(enhanced), generator=torch.Generator().manual_seed(self.landmark_seed))[
            : self.n_landmarks
        ]
        return enhanced[index.to(enhanced.device)]
