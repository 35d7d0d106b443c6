"""Figures, to be used as those of :mod:`scanpy.pl`."""

from scclu.pl._clusters import choose_n_clusters, cluster_sizes
from scclu.pl._colors import palette
from scclu.pl._confusion import confusion
from scclu.pl._markers import marker_overlap, top_markers
from scclu.pl._similarity import similarity
from scclu.pl._snapshots import snapshots
from scclu.pl._training import history, snapshot_metrics

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
