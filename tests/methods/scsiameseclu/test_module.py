"""The whole module: equivariance, switches, isolated cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from scclu.data.components import FeatureProjection
from scclu.graph.knn import pearson_knn
from scclu.methods.scsiameseclu.autoencoder import AdaptiveFusion, GraphLayer
from scclu.methods.scsiameseclu.graph import AttachedOperators, GraphOperators
from scclu.methods.scsiameseclu.module import CellBatch, ScSiameseCluModule

OFF = {f"{name}_weight": 0.0 for name in ("correlation", "reconstruction", "propagation", "zinb", "ot")}
ON = dict.fromkeys(OFF, 1.0)
SIZES = {"n_counts": 30, "n_latent": 6, "gene_hidden": (16, 8), "graph_hidden": (8,), "noise_scale": 0.1}


def make(adjacency, **kwargs):
    torch.manual_seed(0)
    n = adjacency.shape[0]
    batch = CellBatch(
        torch.randn(n, 12),
        GraphOperators.from_adjacency(adjacency, tolerance=1e-6),
        counts=torch.poisson(torch.rand(n, 30) * 2),
        size_factors=torch.ones(n),
        counted=torch.arange(n),
        target=torch.softmax(torch.randn(n, 4), 1),
    )
    projection = FeatureProjection(torch.zeros(40), torch.ones(40), 12, max_value=None, norm_power=0.5)
    module = ScSiameseCluModule(projection, 4, **{**SIZES, "scale_free_graph": True, **ON, **kwargs})
    torch.nn.init.normal_(module.trained_centroids)
    return module, batch


@pytest.fixture
def adjacency():
    return pearson_knn(np.random.default_rng(0).normal(size=(60, 12)), 5)


def test_embedding_is_permutation_equivariant(adjacency):
    module, batch = make(adjacency)
    torch.nn.init.constant_(module.fusion.beta, 0.5)
    order = torch.randperm(60)
    shuffled = GraphOperators.from_adjacency(adjacency[order.numpy()][:, order.numpy()], tolerance=1e-6)
    a = module.embed(batch.features, batch.graph).fused[order]
    b = module.embed(batch.features[order], shuffled).fused
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_embedding_without_augmentation_is_deterministic(adjacency):
    module, batch = make(adjacency)
    first = module.embed(batch.features, batch.graph).fused
    torch.testing.assert_close(first, module.embed(batch.features, batch.graph).fused, rtol=0, atol=0)


def test_all_terms_and_gradients_are_finite_with_isolated_cells():
    module, batch = make(sparse.csr_matrix((60, 60)))
    terms = module.joint_loss(batch)
    assert set(terms) == {
        "cell_correlation", "latent_correlation", "features", "propagated_features", "edges", "propagation", "zinb",
        "transport",
    }  # fmt: skip
    sum(terms.values()).backward()
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    assert len(gradients) > len([*module.parameters()]) / 2
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    pretrain = module.expression_loss(batch) | module.graph_loss(batch)
    assert all(torch.isfinite(v) for v in pretrain.values())


@pytest.mark.parametrize("weight", sorted(OFF))
def test_each_term_can_be_switched(adjacency, weight):
    module, batch = make(adjacency, **(OFF | {weight: 1.0}))
    terms = module.joint_loss(batch)
    expected = {
        "correlation_weight": {"cell_correlation", "latent_correlation"},
        "reconstruction_weight": {"features", "propagated_features", "edges"},
        "propagation_weight": {"propagation"},
        "zinb_weight": {"zinb"},
        "ot_weight": {"transport"},
    }
    assert set(terms) == expected[weight]


def test_one_cell_batch(adjacency):
    module, batch = make(sparse.csr_matrix((1, 1)))
    terms = module.joint_loss(batch)
    assert torch.isfinite(torch.stack(list(terms.values()))).all()


@pytest.mark.parametrize("widths", [(3, 7), (7, 3)])
def test_graph_layer_order_does_not_matter(adjacency, widths):
    layer = GraphLayer(*widths)
    graph = GraphOperators.from_adjacency(adjacency)
    hidden = torch.randn(60, widths[0])
    literal = torch.tanh(graph.symmetric.csr.to_dense() @ layer.conv.lin(hidden))
    torch.testing.assert_close(layer(hidden, graph.symmetric), literal)
    diffusion = torch.from_numpy(np.linalg.inv(np.eye(60) - 0.8 * graph.symmetric.csr.to_dense().double().numpy()))
    literal = torch.tanh(0.2 * diffusion.float() @ layer.conv.lin(hidden))
    precise = replace(graph, tolerance=1e-6)
    torch.testing.assert_close(layer(hidden, precise.diffused), literal, rtol=1e-4, atol=1e-5)


def test_graph_layer_equals_torch_geometric_on_edges(adjacency):
    from torch_geometric.nn import GCNConv

    layer = GraphLayer(7, 5, activation=False)
    conv = GCNConv(7, 5, bias=False)
    with torch.no_grad():
        conv.lin.weight.copy_(layer.conv.lin.weight)
    coo = adjacency.tocoo()
    edges = torch.from_numpy(np.stack([coo.row, coo.col])).long()
    hidden = torch.randn(60, 7)
    graph = GraphOperators.from_adjacency(adjacency)
    torch.testing.assert_close(layer(hidden, graph.symmetric), conv(hidden, edges), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["walk", "symmetric"])
def test_graph_layer_gradient_is_that_of_the_dense_product(adjacency, name):
    """The random-walk operator is not symmetric, so its transpose must appear in the gradient."""
    layer = GraphLayer(5, 3).double()
    operator = getattr(GraphOperators.from_adjacency(adjacency, dtype=torch.float64), name)
    hidden = torch.randn(60, 5, dtype=torch.float64, requires_grad=True)
    inputs = [hidden, layer.conv.lin.weight]
    weight = torch.randn(60, 3, dtype=torch.float64)
    found = torch.autograd.grad((layer(hidden, operator) * weight).sum(), inputs)
    literal = torch.tanh(operator.csr.to_dense() @ layer.conv.lin(hidden))
    for got, expected in zip(found, torch.autograd.grad((literal * weight).sum(), inputs), strict=True):
        torch.testing.assert_close(got, expected)


def test_diffusion_is_the_limit_of_appnp(adjacency):
    from torch_geometric.nn import APPNP

    graph = GraphOperators.from_adjacency(adjacency, tolerance=1e-6)
    dense = torch.randn(60, 4)
    limit = APPNP(K=100, alpha=0.2, normalize=False)(dense, graph.symmetric.csr)
    torch.testing.assert_close(graph.diffused @ dense, limit, rtol=1e-4, atol=1e-5)


def test_attached_cells_change_nothing_and_see_no_other_new_cell(adjacency):
    module, batch = make(adjacency)
    torch.nn.init.constant_(module.fusion.beta, 0.5)
    degree = np.diff(adjacency.indptr)
    neighbors, new = np.array([[0, 1, 2], [7, 8, 9]]), torch.randn(2, 12)

    def embed(rows):
        attached = AttachedOperators.from_neighbors(batch.graph, neighbors[rows], degree, degree)
        return module.embed(torch.cat([batch.features, new[rows]]), attached).fused

    both = embed([0, 1])
    torch.testing.assert_close(both[:60], module.embed(batch.features, batch.graph).fused, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(both[60:61], embed([0])[60:], rtol=1e-4, atol=1e-6)


def test_attached_diffusion_solves_the_enlarged_system(adjacency):
    _, batch = make(adjacency)
    degree = np.diff(adjacency.indptr)
    attached = AttachedOperators.from_neighbors(batch.graph, np.array([[3, 4]]), degree, degree)
    smooth = np.zeros((61, 61))
    smooth[:60, :60] = batch.graph.symmetric.csr.to_dense()
    smooth[60, [3, 4]] = 1 / np.sqrt(3 * (degree[[3, 4]] + 1))
    smooth[60, 60] = 1 / 3
    dense = torch.randn(61, 5)
    exact = 0.2 * np.linalg.solve(np.eye(61) - 0.8 * smooth, dense.numpy())
    np.testing.assert_allclose(attached.diffused @ dense, exact, atol=1e-4)


def test_each_view_has_its_own_autoencoders(adjacency):
    """Without shared weights, gradients of all four reach their weights, and the two of a kind differ."""
    module, batch = make(adjacency, shared_weights=False)
    sum(module.joint_loss(batch).values()).backward()
    for pair in (module.gene_autoencoders, module.graph_autoencoders):
        first, second = ([*autoencoder.parameters()] for autoencoder in pair)
        assert all(parameter.grad.abs().sum() > 0 for parameter in [*first, *second])
        assert not torch.equal(first[0], second[0])
    views = module.embed(batch.features, batch.graph)
    assert not torch.allclose(views.gene_first, views.gene_second)
    assert len(make(adjacency)[0].gene_autoencoders) == 1


def test_noise_has_a_generator_of_its_own(adjacency):
    module, batch = make(adjacency, noise_seed=3)
    state = module.noise.state_dict()
    first = module.embed(batch.features, batch.graph, augment=True).fused
    torch.manual_seed(1)
    assert not torch.equal(module.embed(batch.features, batch.graph, augment=True).fused, first)
    module.noise.load_state_dict(state)
    torch.testing.assert_close(module.embed(batch.features, batch.graph, augment=True).fused, first)


def test_landmarks_follow_their_seed():
    walk = GraphOperators.from_adjacency(sparse.csr_matrix((50, 50))).walk
    cells = torch.randn(50, 3)

    def fused(seed):
        fusion = AdaptiveFusion(exact_limit=40, n_landmarks=5, landmark_seed=seed)
        torch.nn.init.ones_(fusion.beta)
        return fusion([cells], walk, 50)

    assert torch.equal(fused(1), fused(1)) and not torch.equal(fused(1), fused(2))
