"""Figures, to be used as those of :mod:`scanpy.pl`."""

from ._colors import palette
from .clusters import choose_n_clusters, cluster_sizes
from .confusion import confusion
from .markers import marker_overlap, top_markers
from .similarity import similarity
from .snapshots import snapshots
from .training import history, snapshot_metrics

__all__ = [
    "choose_n_clusters",
    "cluster_sizes",
    "confusion",
    "history",
    "marker_overlap",
    "palette",
    "similarity",
    "snapshot_metrics",
    "snapshots",
    "top_markers",
]
