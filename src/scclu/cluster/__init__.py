"""Partitions of an embedding."""

from .final import CLUSTER_METHODS, partition
from .kmeans import kmeans
from .leiden import leiden

__all__ = ["CLUSTER_METHODS", "kmeans", "leiden", "partition"]
