"""Losses, each tested against a literal twin of its equation."""

from .contrastive import ClusterAwareContrastiveLoss

__all__ = ["ClusterAwareContrastiveLoss"]
