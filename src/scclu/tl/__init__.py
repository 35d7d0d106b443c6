"""Tools: AnnData in, AnnData written."""

from .annotate import annotate
from .choose_n_clusters import choose_n_clusters
from .cicl import cicl
from .classify import classify, fit_classifier
from .compare import align_labels, compare
from .scsiameseclu import scsiameseclu

__all__ = [
    "align_labels",
    "annotate",
    "choose_n_clusters",
    "cicl",
    "classify",
    "compare",
    "fit_classifier",
    "scsiameseclu",
]
