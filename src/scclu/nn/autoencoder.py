"""Gene expression autoencoder (GEA)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["GeneAutoencoder", "mlp"]


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
