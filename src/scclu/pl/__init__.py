"""Plotting functions, with the conventions of :mod:`scanpy.pl`."""

from scclu.pl._batches import batches
from scclu.pl._choose_n_clusters import choose_n_clusters
from scclu.pl._cluster_sizes import cluster_sizes
from scclu.pl._confusion import confusion
from scclu.pl._history import history
from scclu.pl._marker_overlap import marker_overlap
from scclu.pl._palette import palette
from scclu.pl._resolutions import resolutions
from scclu.pl._similarity import similarity
from scclu.pl._snapshot_metrics import snapshot_metrics
from scclu.pl._snapshots import snapshots
from scclu.pl._stability import stability
from scclu.pl._top_markers import top_markers
from scclu.pl._tree import tree

__all__ = [
    "batches",
    "choose_n_clusters",
    "cluster_sizes",
    "confusion",
    "history",
    "marker_overlap",
    "palette",
    "resolutions",
    "similarity",
    "snapshot_metrics",
    "snapshots",
    "stability",
    "top_markers",
    "tree",
]


def __dir__() -> list[str]:
    return __all__
