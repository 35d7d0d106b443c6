"""Networks and their losses: torch only, no AnnData and no files."""

from .cicl import CICLModule

__all__ = ["CICLModule"]
