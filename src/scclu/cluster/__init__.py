"""Partitions of an embedding."""

from .consensus import consensus
from .final import CLUSTER_METHODS, partition
from .kmeans import kmeans
from .leiden import leiden

__all__ = ["CLUSTER_METHODS", "consensus", "kmeans", "leiden", "partition"]
