"""From what is in an AnnData to what a model trains on."""

from .matrix import blocks, canonical_order, in_memory, read_matrix, reordered, select_matrix
from .recipe import Recipe

__all__ = ["Recipe", "blocks", "canonical_order", "in_memory", "read_matrix", "reordered", "select_matrix"]
