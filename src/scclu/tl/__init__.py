"""Tools: functions that read an AnnData and write results into it."""

from scclu.tl._align_labels import align_labels
from scclu.tl._annotate import annotate
from scclu.tl._choose_n_clusters import choose_n_clusters
from scclu.tl._cicl import cicl
from scclu.tl._classify import classify
from scclu.tl._compare import compare
from scclu.tl._cut_tree import cut_tree
from scclu.tl._fit_classifier import fit_classifier
from scclu.tl._map_cells import map_cells
from scclu.tl._rank_splits import rank_splits
from scclu.tl._scsiameseclu import scsiameseclu
from scclu.tl._stability import stability
from scclu.tl._test_clusters import test_clusters

__all__ = [
    "align_labels",
    "annotate",
    "choose_n_clusters",
    "cicl",
    "classify",
    "compare",
    "cut_tree",
    "fit_classifier",
    "map_cells",
    "rank_splits",
    "scsiameseclu",
    "stability",
    "test_clusters",
]


def __dir__() -> list[str]:
    return __all__
