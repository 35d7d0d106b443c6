"""Neighbour graph of an embedding, computed by scanpy, and its Leiden communities."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain

import igraph
import numpy as np
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from scclu._process import interrupt_deferred, known_warnings_ignored, one_at_a_time, scanpy_is_quiet

# cells whose edges are Python objects at a time
_BLOCK = 20_000


def neighbor_graph(embedding: np.ndarray, *, n_neighbors: int = 15, random_state: int = 0) -> sparse.csr_matrix:
    """Connectivities of an embedding by :func:`scanpy.pp.neighbors`.

    Parameters
    ----------
    embedding
        Coordinates, ``(n_cells, n_dims)``, of at least 3 cells.
    n_neighbors
        Number of neighbours; fewer if there are fewer cells.
    random_state
        Seed for the approximate search.

    Returns
    -------
    Symmetric weights ``(n_cells, n_cells)``.
    """
    adata = AnnData(embedding)
    n_neighbors = min(n_neighbors, len(embedding) - 1)
    with known_warnings_ignored.held(), scanpy_is_quiet.held(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap warns about threads and seeds
        sc.pp.neighbors(adata, n_neighbors=n_neighbors, use_rep="X", random_state=random_state)
    return adata.obsp["connectivities"]


@one_at_a_time
def leiden_communities(
    graph: sparse.csr_matrix,
    *,
    resolution: float = 1.0,
    random_state: int = 0,
    order: np.ndarray | None = None,
    n_iterations: int = 2,
) -> np.ndarray:
    """Leiden communities by igraph's implementation.

    With two iterations and no order, the result is that of :func:`scanpy.tl.leiden` from version 1.11.4, which hands
    over each edge twice, once in each direction, and as Python objects; earlier versions draw other random numbers.

    Parameters
    ----------
    graph
        Symmetric weights ``(n_cells, n_cells)``.
    resolution
        Resolution of the modularity; larger values give more communities.
    random_state
        Seed.
    order
        Order of the cells in memory, ``(n_cells,)``; ``None`` is that of the graph. It changes the random choices.
    n_iterations
        Number of iterations.

    Returns
    -------
    Labels, ``(n_cells,)`` int from 0.
    """
    order = np.arange(graph.shape[0]) if order is None else order
    # igraph would turn an array into a list with objects for all edges at once
    edges = chain.from_iterable(
        zip(rows.tolist(), columns.tolist(), strict=True) for rows, columns, _ in _edges(graph, order)
    )
    network = igraph.Graph(n=graph.shape[0], edges=edges)
    # the sum over both directions; the random choices of Leiden depend on the scale
    weights = 2 * np.concatenate([values for _, _, values in _edges(graph, order)])
    igraph.set_random_number_generator(_NumpyRandom(random_state))
    try:
        with interrupt_deferred():
            found = network.community_leiden(
                "modularity", weights=weights, resolution=resolution, n_iterations=n_iterations
            )
    finally:
        igraph.set_random_number_generator(random)
    return np.array(found.membership)[np.argsort(order)]


def _edges(graph: sparse.csr_matrix, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The two ends of each edge, as places in the order, and its weight, by blocks."""
    place = np.argsort(order).astype(np.int32)
    for start in range(0, len(order), _BLOCK):
        block = graph[order[start : start + _BLOCK]]
        rows = np.repeat(np.arange(start, start + block.shape[0]), np.diff(block.indptr))
        columns = place[block.indices]
        once = columns > rows
        yield rows[once], columns[once], block.data[once]


class _NumpyRandom(random.Random):
    """Numpy's random numbers, which :func:`scanpy.tl.leiden` uses, in Python's interface, which igraph uses.

    igraph drops what is raised here, and may crash after it.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._state = np.random.RandomState(seed)

    def random(self) -> float:
        return self._state.random_sample()

    def getrandbits(self, k: int, /) -> int:
        return self._state.tomaxint() % 2**k


def leiden_scan(
    embedding: np.ndarray, resolutions: Sequence[float], *, n_neighbors: int = 15, random_state: int = 0
) -> list[np.ndarray]:
    """Leiden communities at several resolutions of one graph.

    Parameters
    ----------
    embedding, n_neighbors, random_state
        As in :func:`neighbor_graph`.
    resolutions
        Resolutions, as in :func:`leiden_communities`.

    Returns
    -------
    Labels, ``(n_cells,)`` int, for each resolution.
    """
    graph = neighbor_graph(embedding, n_neighbors=n_neighbors, random_state=random_state)
    return [leiden_communities(graph, resolution=value, random_state=random_state) for value in resolutions]
