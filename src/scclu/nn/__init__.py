"""Layers."""

from .assignment import student_t
from .components import JointComponents
from .encoder import CellEncoder, gaussian_noise, mask_genes

__all__ = ["CellEncoder", "JointComponents", "gaussian_noise", "mask_genes", "student_t"]
