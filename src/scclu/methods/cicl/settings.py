"""Settings of CICL and their presets."""

from __future__ import annotations

from dataclasses import dataclass

from scclu._checks import check_choice, check_number
from scclu.cluster.core import ALPHA, MIN_CLUSTER_SIZE
from scclu.methods.cicl.encoder import Attention
from scclu.methods.cicl.plan import CentroidRefresh


@dataclass(frozen=True)
class CICLSettings:
    """One value for each setting of CICL; :class:`~scclu.model.CICL` says what each means."""

    n_top_genes: int
    min_cells: int
    max_library: float | None
    max_share: float | None
    max_value: float | None
    n_layers: int
    n_heads: int
    n_hidden: int
    attention: Attention
    mask_rate: float
    noise_scale: float
    temperature: float
    cluster_weight: float
    dof: float
    pseudo_labels: str
    centroid_refresh: CentroidRefresh
    n_components: int
    cluster_method: str
    alpha: float
    min_cluster_size: int
    batch_size: int
    # training steps for 4,000 or more cells; down to 0.4 of them for fewer cells. None: max_epochs is used
    n_steps: int | None
    max_epochs: int
    lr: float
    weight_decay: float
    one_cycle: bool

    def __post_init__(self) -> None:
        for name in ("n_top_genes", "n_layers", "n_heads", "n_hidden"):
            check_number(name, getattr(self, name), integer=True, low=1)
        check_number("n_layers", self.n_layers, integer=True, below=1000)  # a model file may contain any number
        check_number("n_components", self.n_components, integer=True, low=0)
        check_choice("attention", self.attention, ("cell", "batch"))
        check_choice("centroid_refresh", self.centroid_refresh, ("epoch", "minibatch"))
        check_choice("cluster_method", self.cluster_method, ("tree", "kmeans"))
        check_choice("pseudo_labels", self.pseudo_labels, ("tree", "kmeans"))
        check_number("alpha", self.alpha, low=0, high=1)
        check_number("min_cluster_size", self.min_cluster_size, integer=True, low=1)
        check_number("mask_rate", self.mask_rate, low=0, below=1)
        check_number("noise_scale", self.noise_scale, low=0)
        check_number("cluster_weight", self.cluster_weight, low=0)
        check_number("temperature", self.temperature, above=0)
        check_number("dof", self.dof, above=0)

    def check_devices(self, devices: int | list[int] | str, strategy: str, num_nodes: int) -> None:
        """Raise ValueError if cells that attend to each other would be divided among devices."""
        single = devices in (1, "1", "auto") or (isinstance(devices, list) and len(devices) == 1)
        if self.attention == "batch" and not (single and strategy == "auto" and num_nodes == 1):
            raise ValueError(
                'attention="batch" lets the cells of a minibatch attend to each other, so they cannot be divided among '
                f"devices, but devices={devices!r}, strategy={strategy!r} and num_nodes={num_nodes} were passed. "
                'Use one device, or attention="cell".'
            )

    def n_epochs(self, n_cells: int, steps_per_epoch: int) -> int:
        """Epochs of the whole training."""
        if self.n_steps is None:
            return self.max_epochs
        return max(1, round(self.n_steps * min(1.0, max(0.4, (n_cells / 4000) ** 0.5)) / steps_per_epoch))

    @property
    def uses_tree(self) -> bool:
        """Whether final clusters or pseudo-labels come from the merge tree of the input."""
        return "tree" in (self.cluster_method, self.pseudo_labels)


PRESETS = {
    # chosen on the datasets of docs/research/cicl-default.md
    "default": CICLSettings(
        n_top_genes=2000,
        min_cells=10,
        max_library=1e4,
        max_share=0.05,
        max_value=5.0,
        n_layers=2,
        n_heads=2,
        n_hidden=128,
        attention="cell",
        mask_rate=0.8,
        noise_scale=0.0,
        temperature=0.3,
        cluster_weight=1.0,
        dof=1.0,
        pseudo_labels="tree",
        centroid_refresh="epoch",
        n_components=30,
        cluster_method="tree",
        alpha=ALPHA,
        min_cluster_size=MIN_CLUSTER_SIZE,
        batch_size=256,
        n_steps=150,
        max_epochs=1000,
        lr=1e-3,
        weight_decay=1e-4,
        one_cycle=True,
    ),
    # Table 2 and section 2 of the paper; the number of heads, which it does not give, is that of the authors' program
    "paper": CICLSettings(
        n_top_genes=500,
        min_cells=1,
        max_library=None,
        max_share=None,
        max_value=None,
        n_layers=4,
        n_heads=2,
        n_hidden=1024,
        attention="batch",
        mask_rate=0.0,
        noise_scale=1.0,
        temperature=0.5,
        cluster_weight=0.1,
        dof=1.0,
        pseudo_labels="kmeans",
        centroid_refresh="minibatch",
        n_components=0,
        cluster_method="kmeans",
        alpha=ALPHA,
        min_cluster_size=MIN_CLUSTER_SIZE,
        batch_size=6000,
        n_steps=None,
        max_epochs=1000,
        lr=1e-5,
        weight_decay=0.0,
        one_cycle=False,
    ),
}
