"""Models after scvi-tools' conventions: they return plain objects and write nothing to AnnData."""

from .cicl import CICL
from .classifier import CellClassifier
from .scsiameseclu import ScSiameseClu

__all__ = ["CICL", "CellClassifier", "ScSiameseClu"]
