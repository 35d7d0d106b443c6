"""New cells hung on a graph, and the graph as tensors, against dense formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from scclu.graph.diffusion import diffuse
from scclu.graph.knn import pearson_knn
from scclu.graph.operator import SparseOperator, row_normalize, symmetric_normalize
from scclu.methods.scsiameseclu.edges import drop_weak_edges
from scclu.methods.scsiameseclu.graph import GraphOperators, ReferenceGraph

N, M, K = 60, 7, 4
CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")  # a device that every machine has


@pytest.fixture
def reference() -> ReferenceGraph:
    cells = np.random.default_rng(0).normal(size=(N, 12)).astype(np.float32)
    adjacency = pearson_knn(cells, 5)
    return ReferenceGraph(torch.from_numpy(cells), adjacency, drop_weak_edges(adjacency, cells, 0.2))


@pytest.fixture
def operators(reference) -> GraphOperators:
    return GraphOperators.from_adjacency(reference.adjacency, reference.pruned, teleport=0.3, tolerance=1e-6)


@pytest.fixture
def new() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(3.0, 1.0, size=(M, 12)).astype(np.float32))


def joined(graph, neighbors, normalize):
    """The normalised graph with new cells, each row as if its cell alone had been added."""
    n = graph.shape[0]
    rows = np.zeros((len(neighbors), n + len(neighbors)))
    degree = np.diff(graph.indptr)
    for row, own in zip(rows, neighbors, strict=True):
        row[own] = 1 / np.sqrt((len(own) + 1) * (degree[own] + 1)) if normalize is symmetric_normalize else 1
    if normalize is row_normalize:
        rows /= K + 1
    rows[np.arange(len(neighbors)), n + np.arange(len(neighbors))] = 1 / (K + 1)
    old = np.pad(normalize(graph).toarray(), ((0, 0), (0, len(neighbors))))
    return np.vstack([old, rows])


def test_attach_equals_the_dense_graph_of_all_cells(reference, operators, new):
    attached = reference.attach(new, K, operators, random_state=0, device=CPU)
    correlation = np.corrcoef(new.numpy(), reference.components.numpy())[:M, M:]
    neighbors = np.argsort(-correlation, axis=1)[:, :K]
    dense = torch.randn(N + M, 3, generator=torch.Generator().manual_seed(0))
    for product, graph, normalize in (
        (attached.walk, reference.adjacency, row_normalize),
        (attached.pruned, reference.pruned, symmetric_normalize),
    ):
        expected = joined(graph, neighbors, normalize) @ dense.numpy()
        np.testing.assert_allclose(product @ dense, expected, atol=1e-5)
    smooth = joined(reference.adjacency, neighbors, symmetric_normalize)
    expected = 0.3 * np.linalg.solve(np.eye(N + M) - 0.7 * smooth, dense.numpy())
    np.testing.assert_allclose(attached.diffused @ dense, expected, atol=1e-4)
    assert attached.n_reference == N


def test_attach_where_there_are_few_cells(reference, operators, new):
    everyone = reference.attach(new, N + 1, operators, random_state=0, device=CPU)
    assert everyone.walk.csr.shape == (N + M, N + M) and everyone.diffused.own == 1 / (N + 1)
    assert (everyone.walk.csr.to_dense()[N:, :N] > 0).all()


def test_attach_on_a_device(reference, operators, new):
    attached = reference.attach(new, K, operators, random_state=0, device=ELSEWHERE)
    diffused = attached.diffused
    moved = attached.walk, attached.pruned, diffused.operator, diffused.neighbors
    assert all(operator.csr.device == ELSEWHERE for operator in moved)


def test_tensors_are_all_of_it(reference):
    tensors = reference.tensors()
    assert set(tensors) == {"components", "graph_indptr", "graph_indices", "pruned_indptr", "pruned_indices"}
    assert all(tensor.dtype == torch.int64 for name, tensor in tensors.items() if name != "components")
    again = ReferenceGraph.from_tensors(tensors)
    torch.testing.assert_close(again.components, reference.components, rtol=0, atol=0)
    for name in ("adjacency", "pruned"):
        graph, expected = getattr(again, name), getattr(reference, name)
        assert graph.dtype == np.float32 and graph.shape == expected.shape and (graph != expected).nnz == 0


@pytest.mark.parametrize("name", ["graph", "pruned"])
@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("indptr", lambda t: t[:-1]),  # more edges than rows say
        ("indptr", lambda t: t.flip(0)),
        ("indices", lambda t: t[:-1]),
        ("indices", lambda t: t + N),  # cells that are not there
        ("indices", lambda t: t - N),
    ],
)
def test_tensors_of_no_graph(reference, name, part, change):
    tensors = reference.tensors()
    tensors[f"{name}_{part}"] = change(tensors[f"{name}_{part}"])
    with pytest.raises(ValueError):
        ReferenceGraph.from_tensors(tensors)


def test_tensors_that_lack_something(reference):
    tensors = reference.tensors()
    with pytest.raises(ValueError, match="^components are not float32$"):
        ReferenceGraph.from_tensors({**tensors, "components": tensors["components"].double()})
    with pytest.raises(ValueError, match="^pruned has more indices than its indptr says$"):
        more = torch.cat([tensors["pruned_indices"], torch.zeros(1, dtype=torch.int64)])
        ReferenceGraph.from_tensors({**tensors, "pruned_indices": more})
    for name in tensors:
        with pytest.raises(KeyError, match=name):
            ReferenceGraph.from_tensors({other: tensors[other] for other in tensors if other != name})


def test_operators_on_a_device(reference, operators):
    """What is shared stays shared, what is there already is not copied."""
    assert operators.to(CPU).walk is operators.walk and operators.to(CPU).symmetric is operators.symmetric
    moved = operators.to(ELSEWHERE)
    assert (moved.teleport, moved.tolerance) == (0.3, 1e-6) and moved.pruned is not moved.symmetric
    for old, operator in (
        (operators.walk, moved.walk),
        (operators.symmetric, moved.symmetric),
        (operators.pruned, moved.pruned),
    ):
        assert operator.csr.device == operator.transpose.device == ELSEWHERE
        assert operator.is_symmetric == old.is_symmetric and operator.squared_norm == old.squared_norm
    unpruned = GraphOperators.from_adjacency(reference.adjacency)
    assert unpruned.pruned is unpruned.symmetric
    shared = unpruned.to(ELSEWHERE)
    assert shared.pruned is shared.symmetric and shared.pruned.csr.device == ELSEWHERE


def test_operators_have_the_operators_of_the_graphs(reference):
    operators = GraphOperators.from_adjacency(reference.adjacency, reference.pruned, dtype=torch.float64)
    for operator, expected in (
        (operators.walk, row_normalize(reference.adjacency)),
        (operators.symmetric, symmetric_normalize(reference.adjacency)),
        (operators.pruned, symmetric_normalize(reference.pruned)),
    ):
        dense = torch.eye(N, dtype=torch.float64, requires_grad=True)
        product = operator @ dense
        np.testing.assert_allclose(product.detach(), expected.toarray(), rtol=1e-6)
        weight = torch.rand(N, N, dtype=torch.float64)
        (gradient,) = torch.autograd.grad((product * weight).sum(), dense)
        np.testing.assert_allclose(gradient, expected.toarray().T @ weight.numpy(), rtol=1e-6)
        assert operator.squared_norm == pytest.approx(np.square(expected.toarray()).sum())
    assert operators.symmetric.is_symmetric and operators.pruned.is_symmetric and not operators.walk.is_symmetric
    assert operators.n_reference == N and (operators.teleport, operators.tolerance) == (0.2, 1e-2)
    vector = torch.randn(N, 2, dtype=torch.float64)
    expected = diffuse(operators.symmetric, vector, tolerance=1e-2)
    torch.testing.assert_close(operators.diffused @ vector, expected)


def test_operator_where_it_is_wanted(reference):
    operator = SparseOperator.from_scipy(reference.adjacency, device=ELSEWHERE)
    assert operator.csr.device == operator.transpose.device == ELSEWHERE
    here = SparseOperator.from_scipy(reference.adjacency)
    assert here.csr.crow_indices().dtype == here.csr.col_indices().dtype == torch.int32  # half the memory
    assert here.csr.dtype == torch.float32


def test_operator_of_no_edge():
    empty = SparseOperator.from_scipy(sparse.csr_matrix((3, 3)))
    assert empty.squared_norm == 0 and (empty @ torch.ones(3, 2) == 0).all()
