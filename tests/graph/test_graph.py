"""Graph pieces of scSiameseClu against literal formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from scclu.graph import diffusion
from scclu.graph.diffusion import diffuse, n_diffusion_steps
from scclu.graph.knn import centered_unit_rows, nearest_cells, pearson_knn
from scclu.graph.operator import SparseOperator, row_normalize, symmetric_normalize
from scclu.methods.scsiameseclu.edges import (
    drop_weak_edges,
    edge_cosine,
    induced_subgraph,
    partition_graph,
    shuffled_unions,
)


@pytest.fixture
def path_graph() -> sparse.csr_matrix:
    """Path 0 - 1 - 2 and the isolated cell 3."""
    return sparse.csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=np.float64))


@pytest.fixture
def cells() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(300, 12))


def test_row_normalize_by_hand(path_graph):
    expected = [[1 / 2, 1 / 2, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0], [0, 1 / 2, 1 / 2, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(row_normalize(path_graph).toarray(), expected)


def test_symmetric_normalize_by_hand(path_graph):
    a = 1 / np.sqrt(6)
    expected = [[1 / 2, a, 0, 0], [a, 1 / 3, a, 0], [0, a, 1 / 2, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(symmetric_normalize(path_graph).toarray(), expected)


def test_self_loops_are_counted_once(path_graph):
    looped = path_graph + sparse.identity(4)
    np.testing.assert_allclose(row_normalize(looped).toarray(), row_normalize(path_graph).toarray())


def test_normalize_leaves_the_graph_as_it_was(path_graph):
    looped = sparse.csr_matrix(path_graph + 2 * sparse.identity(4))
    before = looped.copy()
    for normalize in (row_normalize, symmetric_normalize):
        normalize(looped)
        assert (looped != before).nnz == 0 and looped.nnz == before.nnz
        # whole numbers and bools are graphs too
        assert (normalize(path_graph.astype(np.int64)) != normalize(path_graph)).nnz == 0
        assert (normalize(path_graph.astype(bool)) != normalize(path_graph)).nnz == 0
        with pytest.raises(ValueError, match=r"^adjacency must be square, but has shape \(3, 4\)\.$"):
            normalize(path_graph[:3])


@pytest.mark.parametrize("teleport", [0.05, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-8])
def test_diffusion_equals_inverse(cells, teleport, tolerance):
    smooth = symmetric_normalize(pearson_knn(cells, 8))
    operator = SparseOperator.from_scipy(smooth, symmetric=True, dtype=torch.float64)
    exact = teleport * np.linalg.solve(np.eye(300) - (1 - teleport) * smooth.toarray(), cells)
    got = diffuse(operator, torch.from_numpy(cells), teleport=teleport, tolerance=tolerance).numpy()
    error = np.linalg.norm(got - exact, axis=0) / np.linalg.norm(cells, axis=0)
    assert error.max() <= tolerance


def test_diffusion_worst_case_signal():
    # the path's extreme eigenvectors are where an iteration converges last
    ring = sparse.csr_matrix(np.roll(np.eye(300), 1, axis=1) + np.roll(np.eye(300), -1, axis=1))
    smooth = symmetric_normalize(ring)
    vectors = np.linalg.eigh(smooth.toarray())[1]
    operator = SparseOperator.from_scipy(smooth, symmetric=True, dtype=torch.float64)
    exact = 0.2 * np.linalg.solve(np.eye(300) - 0.8 * smooth.toarray(), vectors)
    got = diffuse(operator, torch.from_numpy(vectors), teleport=0.2, tolerance=1e-3).numpy()
    assert np.linalg.norm(got - exact, axis=0).max() <= 1e-3


@pytest.mark.parametrize(("teleport", "tolerance"), [(0.9, 0.9), (0.5, 0.5), (0.2, 0.1), (0.2, 1e-3), (0.05, 1e-4)])
def test_diffusion_error_is_the_chebyshev_polynomial(teleport, tolerance):
    """After t steps the error of an eigenvector of eigenvalue s is T_t(s) / T_t(1 / c) of the first guess's."""
    s, c = np.linspace(-1, 1, 21), 1 - teleport
    operator = SparseOperator.from_scipy(sparse.diags_array(s), symmetric=True, dtype=torch.float64)
    got = diffuse(operator, torch.ones(21, 1, dtype=torch.float64), teleport=teleport, tolerance=tolerance)
    polynomial = np.polynomial.Chebyshev.basis(n_diffusion_steps(teleport, tolerance))
    exact = teleport / (1 - c * s)
    expected = exact + polynomial(s) / polynomial(1 / c) * (1 - exact)
    np.testing.assert_allclose(got[:, 0], expected, rtol=1e-9)


def test_diffusion_gradient_is_the_transposed_operator(cells):
    operator = SparseOperator.from_scipy(
        symmetric_normalize(pearson_knn(cells, 8)), symmetric=True, dtype=torch.float64
    )
    dense = torch.from_numpy(cells[:, :3]).requires_grad_()
    assert torch.autograd.gradcheck(lambda h: diffuse(operator, h), dense[:300], fast_mode=True)


def test_diffusion_by_columns_changes_nothing(cells, monkeypatch):
    operator = SparseOperator.from_scipy(symmetric_normalize(pearson_knn(cells, 8)), symmetric=True)
    wide = torch.from_numpy(np.tile(cells, 4).astype(np.float32)).requires_grad_()
    results = []
    for values in (2**20, 1):
        monkeypatch.setattr(diffusion, "_BLOCK_VALUES", values)
        smooth = diffuse(operator, wide)
        results.append((smooth, torch.autograd.grad(smooth.square().sum(), wide)[0]))
    torch.testing.assert_close(*results, rtol=1e-6, atol=1e-6)


def test_diffusion_steps_and_bad_input(path_graph):
    assert n_diffusion_steps(1.0, 1e-3) == 0
    # ceil(log(tolerance / (2 sqrt((1 + c) / (1 - c)))) / log(c / (1 + sqrt(1 - c^2)))) with c = 1 - teleport
    assert [n_diffusion_steps(0.2, tolerance) for tolerance in (0.5, 1e-2, 1e-3, 1e-6)] == [4, 10, 13, 23]
    assert [n_diffusion_steps(teleport, 1e-3) for teleport in (0.05, 0.5, 0.9)] == [30, 7, 3]
    assert n_diffusion_steps(0.9, 0.9) == 1
    for tolerance in (0.0, 1.0, 1.5):
        with pytest.raises(ValueError, match=rf"^tolerance must be in \(0, 1\), but {tolerance} was passed\.$"):
            n_diffusion_steps(0.2, tolerance)
    for teleport in (0.0, 1.5):
        with pytest.raises(ValueError, match="teleport"):
            n_diffusion_steps(teleport, 1e-3)
    with pytest.raises(ValueError, match="symmetric"):
        diffuse(SparseOperator.from_scipy(row_normalize(path_graph)), torch.ones(4, 1))


def test_knn_is_symmetric_binary_and_pearson(cells):
    graph = pearson_knn(cells, 5)
    assert (graph != graph.T).nnz == 0 and set(graph.data) == {1.0} and graph.diagonal().sum() == 0
    correlation = np.corrcoef(cells)
    np.fill_diagonal(correlation, -2)
    nearest = np.argsort(-correlation, axis=1)[:, :5]
    directed = np.zeros((300, 300))
    np.put_along_axis(directed, nearest, 1, axis=1)
    np.testing.assert_array_equal(graph.toarray(), np.maximum(directed, directed.T))


def test_knn_with_duplicates_and_few_cells(cells):
    graph = pearson_knn(np.repeat(cells[:3], 10, axis=0), 5)
    assert graph.diagonal().sum() == 0 and graph.sum(axis=1).min() >= 5
    assert pearson_knn(cells[:3], 15).nnz == 6
    assert (pearson_knn(cells[:2], 15).toarray() == [[0, 1], [1, 0]]).all()
    alone = pearson_knn(cells[:1], 15)
    assert alone.nnz == 0 and alone.shape == (1, 1) and alone.dtype == graph.dtype == np.float32
    assert (pearson_knn(cells) != pearson_knn(cells, 15)).nnz == 0


def test_centered_unit_rows(cells):
    """Products are Pearson correlations, of short rows too; a constant row is like none."""
    unit = centered_unit_rows(np.vstack([1e-4 * cells, np.ones(12)]))
    assert unit.dtype == np.float32 and (unit[-1] == 0).all()
    np.testing.assert_allclose(unit[:-1] @ unit[:-1].T, np.corrcoef(cells), atol=1e-5)


def test_nearest_cells(cells):
    distance = np.linalg.norm(cells[:100, None] - cells[100:], axis=2)
    expected = np.argsort(distance, axis=1)[:, :4]
    np.testing.assert_array_equal(nearest_cells(cells[100:], cells[:100], 4), expected)
    with pytest.raises(ValueError, match=r"^n_neighbors is 301, but there are only 300 cells\.$"):
        nearest_cells(cells, cells, 301)


@pytest.mark.slow
def test_knn_approximate_agrees(cells):
    exact, near = pearson_knn(cells, 10), pearson_knn(cells, 10, exact_limit=10)
    assert exact.multiply(near).nnz / exact.nnz > 0.95


@pytest.mark.slow
def test_nearest_cells_approximate_agrees(cells):
    """Of new cells, whose search compares fewer than that among the cells themselves."""
    reference, new = cells[100:].astype(np.float32), cells[:100].astype(np.float32)
    exact = nearest_cells(reference, new, 4)
    near = nearest_cells(reference, new, 4, exact_limit=199)
    assert near.shape == exact.shape
    assert np.mean([len(np.intersect1d(*pair)) for pair in zip(near, exact, strict=True)]) > 0.8 * 4
    np.testing.assert_array_equal(nearest_cells(reference, new, 4, exact_limit=199, random_state=0), near)


def test_drop_weak_edges(cells):
    graph = pearson_knn(cells, 8)
    pruned = drop_weak_edges(graph, cells, 0.1)
    n_edges = graph.nnz // 2
    assert pruned.nnz == 2 * (n_edges - int(0.1 * n_edges))
    assert (pruned != pruned.T).nnz == 0
    unit = cells / np.linalg.norm(cells, axis=1, keepdims=True)
    cosine = unit @ unit.T
    kept = pruned.toarray() > 0
    gone = (graph.toarray() > 0) & ~kept
    assert cosine[gone].max() <= cosine[kept].min()
    assert drop_weak_edges(graph, cells, 0.0).nnz == graph.nnz
    assert (drop_weak_edges(graph, cells) != pruned).nnz == 0


def test_drop_weak_edges_drops_the_weakest(cells):
    """However many: of 28 edges the first, the first two, ... and all but one."""
    everyone = sparse.csr_matrix(1 - np.eye(8))
    rows, columns = np.triu_indices(8, 1)
    order = np.argsort(edge_cosine(cells[:8], rows, columns))
    for n_drop in range(1, 28):
        kept = sparse.triu(drop_weak_edges(everyone, cells[:8], (n_drop + 0.5) / 28)).tocoo()
        expected = order[n_drop:]
        assert set(zip(kept.row, kept.col, strict=True)) == set(zip(rows[expected], columns[expected], strict=True))


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5])
def test_drop_weak_edges_refuses(path_graph, fraction):
    with pytest.raises(ValueError, match=rf"fraction must be in \[0, 1\), but {fraction} was passed"):
        drop_weak_edges(path_graph, np.eye(4), fraction)


def test_edge_cosine(cells):
    """The length of a row does not matter, and a row of zeros is similar to none."""
    short = (1e-3 * cells[:20]).astype(np.float32)
    short[3] = 0
    rows, columns = np.triu_indices(20, 1)
    found = edge_cosine(short, rows, columns)
    unit = cells[:20] / np.linalg.norm(cells[:20], axis=1, keepdims=True)
    unit[3] = 0
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (unit @ unit.T)[rows, columns], atol=1e-6)


def test_partition_covers_every_cell_once(cells):
    graph = pearson_knn(cells, 8)
    isolated = sparse.block_diag([graph, sparse.csr_matrix((40, 40))], format="csr")
    parts = partition_graph(isolated, 32, random_state=1)
    assert sorted(np.concatenate(parts)) == list(range(340))
    assert max(map(len, parts)) <= 32 and np.mean([len(p) for p in parts]) > 20
    unions = list(shuffled_unions(parts, 100, random_state=1))
    assert sorted(np.concatenate(unions)) == list(range(340))
    sub = induced_subgraph(isolated, unions[0])
    np.testing.assert_array_equal(sub.toarray(), isolated.toarray()[np.ix_(unions[0], unions[0])])


def test_partition_keeps_neighbours_together():
    blocks = sparse.block_diag([np.ones((50, 50))] * 6, format="csr")
    order = np.random.default_rng(0).permutation(300)
    parts = partition_graph(blocks[order][:, order], 50)
    assert all(len(set(order[p] // 50)) == 1 for p in parts)


def test_partition_equals_plain_python(cells):
    """Twin of the compiled loop."""
    graph = sparse.block_diag([pearson_knn(cells, 5), sparse.csr_matrix((20, 20))], format="csr")
    for size in (1, 7, 32, 400):
        free, parts, part = set(range(320)), [], []
        for seed in np.random.default_rng(3).permutation(320):
            if seed not in free:
                continue
            queue, room = [seed], size - len(part)
            free.discard(seed)
            for cell in queue:
                for neighbor in graph[[cell]].indices:
                    if neighbor in free and len(queue) < room:
                        queue.append(neighbor)
                        free.discard(neighbor)
            part += queue
            if len(part) >= 0.75 * size:
                parts, part = [*parts, sorted(part)], []
        parts += [sorted(part)] if part else []
        found = partition_graph(graph, size, random_state=3)
        assert [list(each) for each in found] == parts


def test_partition_joins_leftovers():
    """Parts are full at three quarters of their size: isolated cells make parts of three for a size of four."""
    isolated = sparse.csr_matrix((12, 12))
    assert [len(part) for part in partition_graph(isolated, 4)] == [3] * 4
    assert [len(part) for part in partition_graph(isolated, 1)] == [1] * 12
    with pytest.raises(ValueError, match=r"^part_size must be at least 1, but 0 was passed\.$"):
        partition_graph(isolated, 0)


def test_partition_and_unions_follow_the_seed(cells):
    graph = pearson_knn(cells, 8)

    def drawn(**seed):
        parts = partition_graph(graph, 20, **seed)
        return [*parts, *shuffled_unions(parts, 100, **seed)]

    def same(first, second):
        return len(first) == len(second) and all(map(np.array_equal, first, second))

    assert same(drawn(random_state=3), drawn(random_state=3)) and not same(drawn(random_state=3), drawn(random_state=4))
    assert same(drawn(), drawn(random_state=0))


def test_unions_are_of_about_the_batch_size():
    parts = [np.arange(10 * i, 10 * i + 10) for i in range(12)]
    for batch_size, n_unions in ((1000, 1), (120, 1), (60, 2), (35, 3), (10, 12), (1, 12)):
        assert len(list(shuffled_unions(parts, batch_size))) == n_unions


def test_operator_gradient_uses_the_transpose(path_graph):
    walk = row_normalize(path_graph)
    operator = SparseOperator.from_scipy(walk, dtype=torch.float64)
    dense = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    (operator @ dense).square().sum().backward()
    dense_walk = torch.from_numpy(walk.toarray())
    torch.testing.assert_close(dense.grad, 2 * dense_walk.T @ dense_walk @ dense.detach())
