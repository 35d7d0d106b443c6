"""Layers, one idea a file."""

from .assignment import student_t
from .augment import gaussian_noise, mask_genes
from .encoder import CellEncoder
from .joint import JointComponents

__all__ = ["CellEncoder", "JointComponents", "gaussian_noise", "mask_genes", "student_t"]
