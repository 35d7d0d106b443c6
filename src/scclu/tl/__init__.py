"""Tools: AnnData in, AnnData written."""

from .align_labels import align_labels
from .annotate import annotate
from .cicl import cicl
from .classify import classify, fit_classifier
from .compare import compare
from .scsiameseclu import scsiameseclu

__all__ = ["align_labels", "annotate", "cicl", "classify", "compare", "fit_classifier", "scsiameseclu"]
