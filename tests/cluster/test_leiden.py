from __future__ import annotations

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData

from scclu.cluster.leiden import leiden_communities
from scclu.graph.shared_neighbors import shared_neighbor_graph


def test_communities_are_those_of_scanpy():
    cells = np.random.default_rng(0).standard_normal((500, 5)).astype(np.float32)
    graph = shared_neighbor_graph([cells])
    adata = AnnData(obs=pd.DataFrame(index=pd.RangeIndex(500).astype(str)))
    options = {"flavor": "igraph", "directed": False, "n_iterations": 2}
    for resolution, seed in ((0.5, 0), (8.0, 3)):
        sc.tl.leiden(adata, resolution, adjacency=graph, random_state=seed, **options)
        found = leiden_communities(graph, resolution=resolution, random_state=seed)
        np.testing.assert_array_equal(found, adata.obs["leiden"].astype(int))


def test_cells_without_edges():
    empty = shared_neighbor_graph([np.zeros((4, 2), np.float32)])
    assert len(np.unique(leiden_communities(empty * 0))) == 4
