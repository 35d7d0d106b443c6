"""From what is in an AnnData to what a model trains on."""

from .matrix import canonical_order, in_memory, read_matrix, select_matrix
from .recipe import Recipe

__all__ = ["Recipe", "canonical_order", "in_memory", "read_matrix", "select_matrix"]
