"""Partitions of an embedding."""

from .consensus import consensus
from .final import CLUSTER_METHODS, partition
from .kmeans import kmeans
from .leiden import leiden
from .n_clusters import NClustersEvidence, find_n_clusters, most_clusters

__all__ = [
    "CLUSTER_METHODS",
    "NClustersEvidence",
    "consensus",
    "find_n_clusters",
    "kmeans",
    "leiden",
    "most_clusters",
    "partition",
]
