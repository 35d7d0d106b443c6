"""Settings of scSiameseClu, and the presets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scclu._checks import check_choice, check_number
from scclu.cluster.core import ALPHA, MIN_CLUSTER_SIZE


@dataclass(frozen=True)
class ScSiameseCluSettings:
    """Settings of scSiameseClu; those that users may pass are described in the model's docstring."""

    n_top_genes: int
    max_value: float | None
    n_components: int
    norm_power: float
    n_neighbors: int
    n_latent: int
    gene_hidden: Sequence[int]
    graph_hidden: Sequence[int]
    # whether both views pass the same autoencoders, or each its own
    shared_weights: bool
    noise_scale: float
    edge_drop: float
    teleport: float
    correlation_weight: float
    reconstruction_weight: float
    propagation_weight: float
    zinb_weight: float
    ot_weight: float
    sharpness: float
    scale_free_graph: bool
    # fraction of the joint epochs before the transport starts
    ot_warmup: float
    batch_size: int
    part_size: int
    # number of cells per batch whose counts ZINB uses
    n_counted: int
    # epochs of each phase, increased if they contain less than one pass over the cells
    max_epochs: int
    lr: float
    joint_lr: float
    cluster_method: str
    alpha: float
    min_cluster_size: int

    def __post_init__(self) -> None:
        """Raise unless every setting is in its range."""
        check_choice("cluster_method", self.cluster_method, ("tree", "assignment"))
        check_number("alpha", self.alpha, low=0, high=1)
        check_number("min_cluster_size", self.min_cluster_size, integer=True, low=1)
        for name in ("n_top_genes", "n_components", "n_neighbors", "n_latent"):
            check_number(name, getattr(self, name), integer=True, low=1)
        for name in ("gene_hidden", "graph_hidden"):
            widths = getattr(self, name)
            if not isinstance(widths, (list, tuple)):
                raise TypeError(f"{name} must be a list of widths, but {widths!r} was passed.")
            for width in widths:
                check_number(f"each width in {name}", width, integer=True, low=1)
        for name in ("correlation", "reconstruction", "propagation", "zinb", "ot"):
            check_number(f"{name}_weight", getattr(self, f"{name}_weight"), low=0)
        if not isinstance(self.shared_weights, bool):
            raise TypeError(f"shared_weights must be True or False, but {self.shared_weights!r} was passed.")
        check_number("noise_scale", self.noise_scale, low=0)
        check_number("edge_drop", self.edge_drop, low=0, below=1)
        check_number("teleport", self.teleport, above=0, high=1)
        check_number("sharpness", self.sharpness, above=0)

    @property
    def uses_tree(self) -> bool:
        """Whether final clusters come from the merge tree of the input."""
        return self.cluster_method == "tree"


PRESETS = {
    # tuned on the datasets of docs/deviations.md
    "default": ScSiameseCluSettings(
        n_top_genes=2000,
        max_value=10.0,
        n_components=30,
        norm_power=0.5,
        n_neighbors=7,
        n_latent=15,
        gene_hidden=(128, 256, 512),
        graph_hidden=(128, 256),
        shared_weights=True,
        noise_scale=0.1,
        edge_drop=0.1,
        teleport=0.2,
        correlation_weight=0.1,
        reconstruction_weight=0.0,
        propagation_weight=1.0,
        zinb_weight=0.1,
        ot_weight=0.3,
        sharpness=5.0,
        scale_free_graph=True,
        ot_warmup=0.25,
        batch_size=1024,
        part_size=64,
        n_counted=128,
        max_epochs=8,
        lr=1e-3,
        joint_lr=5e-4,
        cluster_method="tree",
        alpha=ALPHA,
        min_cluster_size=MIN_CLUSTER_SIZE,
    ),
    # gamma, noise and removed edges as in the paper; widths and components as in the authors' program; neither gives
    # neighbours, rho, sigma, lambda, epochs and learning rates
    "paper": ScSiameseCluSettings(
        n_top_genes=2000,
        max_value=None,
        n_components=100,
        norm_power=0.0,
        n_neighbors=15,
        n_latent=20,
        gene_hidden=(128, 256, 512),
        graph_hidden=(128, 256),
        shared_weights=False,
        noise_scale=0.1,
        edge_drop=0.1,
        teleport=0.2,
        correlation_weight=1.0,
        reconstruction_weight=1.0,
        propagation_weight=1e3,
        zinb_weight=0.1,
        ot_weight=100.0,
        sharpness=5.0,
        scale_free_graph=False,
        ot_warmup=0.0,
        batch_size=6000,
        part_size=256,
        n_counted=6000,
        max_epochs=20,
        lr=1e-3,
        joint_lr=1e-3,
        cluster_method="assignment",
        alpha=ALPHA,
        min_cluster_size=MIN_CLUSTER_SIZE,
    ),
}
