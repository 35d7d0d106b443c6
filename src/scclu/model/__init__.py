"""Models after scvi-tools' conventions: they return plain objects and write nothing to AnnData."""

from scclu.classify.classifier import CellClassifier
from scclu.methods._snapshots import Snapshots
from scclu.methods.cicl.model import CICL
from scclu.methods.scsiameseclu.model import ScSiameseClu

__all__ = ["CICL", "CellClassifier", "ScSiameseClu", "Snapshots"]


def __dir__() -> list[str]:
    return __all__
