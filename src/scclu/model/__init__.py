"""Models after scvi-tools' conventions: they return plain objects and write nothing to AnnData."""

from .cicl import CICL

__all__ = ["CICL"]
