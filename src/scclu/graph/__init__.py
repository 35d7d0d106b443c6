"""Neighbour graphs and what scSiameseClu does with them; never dense."""

from .edges import drop_weak_edges, induced_subgraph, partition_graph, shuffled_unions
from .knn import nearest_cells, pearson_knn
from .views import GraphViews

__all__ = [
    "GraphViews",
    "drop_weak_edges",
    "induced_subgraph",
    "nearest_cells",
    "partition_graph",
    "pearson_knn",
    "shuffled_unions",
]
