"""Tools: AnnData in, AnnData written."""

from .cicl import cicl

__all__ = ["cicl"]
