from __future__ import annotations

import random
import signal

import igraph
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from packaging.version import Version

from scclu.cluster import leiden
from scclu.cluster.leiden import leiden_communities
from scclu.graph.shared_neighbors import shared_neighbor_graph


def test_each_edge_once_gives_the_communities_of_both_directions():
    cells = np.random.default_rng(0).standard_normal((500, 5)).astype(np.float32)
    graph = shared_neighbor_graph([cells])
    both = graph.tocoo()
    network = igraph.Graph(n=500, edges=np.column_stack((both.row, both.col)).astype(np.int64))
    igraph.set_random_number_generator(leiden._NumpyRandom(1))
    try:
        expected = network.community_leiden("modularity", weights=both.data.tolist(), resolution=2.0, n_iterations=2)
    finally:
        igraph.set_random_number_generator(random)
    found = leiden_communities(graph, resolution=2.0, random_state=1)
    np.testing.assert_array_equal(found, expected.membership)


@pytest.mark.skipif(
    Version(sc.__version__) < Version("1.11.4"), reason="scanpy has had these random numbers since 1.11.4"
)
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


def test_interrupt_while_igraph_draws_a_number(monkeypatch):
    """igraph drops an error of its random numbers, and may crash: the interrupt is handled when it has ended."""

    class Interrupting(leiden._NumpyRandom):
        def getrandbits(self, k):
            signal.raise_signal(signal.SIGINT)
            return super().getrandbits(k)

    graph = shared_neighbor_graph([np.random.default_rng(0).standard_normal((100, 3)).astype(np.float32)])
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(leiden, "_NumpyRandom", Interrupting)
        with pytest.raises(KeyboardInterrupt):
            leiden_communities(graph)
    assert signal.getsignal(signal.SIGINT) is before
    assert leiden_communities(graph).shape == (100,)
