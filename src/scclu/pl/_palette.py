"""The function ``palette``, among the plotting functions."""

from scclu._palette import palette

__all__ = ["palette"]
