"""Models after scvi-tools' conventions: they return plain objects and write nothing to AnnData."""

from .cicl import CICL
from .scsiameseclu import ScSiameseClu

__all__ = ["CICL", "ScSiameseClu"]
