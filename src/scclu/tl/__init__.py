"""Tools: AnnData in, AnnData written."""

from .cicl import cicl
from .scsiameseclu import scsiameseclu

__all__ = ["cicl", "scsiameseclu"]
