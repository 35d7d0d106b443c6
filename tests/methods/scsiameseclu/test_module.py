"""The whole module: equivariance, switches, isolated cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from scclu.data.components import FeatureProjection
from scclu.graph.knn import pearson_knn
from scclu.methods.scsiameseclu.autoencoder import GraphLayer
from scclu.methods.scsiameseclu.graph import AttachedViews, GraphViews
from scclu.methods.scsiameseclu.module import CellBatch, ScSiameseCluModule

OFF = {f"{name}_weight": 0.0 for name in ("correlation", "reconstruction", "propagation", "zinb", "ot")}
ON = dict.fromkeys(OFF, 1.0)
SIZES = {"n_counts": 30, "n_latent": 6, "gene_hidden": (16, 8), "graph_hidden": (8,), "noise_scale": 0.1}


def make(adjacency, **kwargs):
    torch.manual_seed(0)
    n = adjacency.shape[0]
    batch = CellBatch(
        torch.randn(n, 12),
        GraphViews.from_adjacency(adjacency, tolerance=1e-6),
        counts=torch.poisson(torch.rand(n, 30) * 2),
        size_factors=torch.ones(n),
        counted=torch.arange(n),
        target=torch.softmax(torch.randn(n, 4), 1),
    )
    projection = FeatureProjection(torch.zeros(40), torch.ones(40), 12, max_value=None, norm_power=0.5)
    module = ScSiameseCluModule(projection, 4, **{**SIZES, "scale_free_graph": True, **ON, **kwargs})
    torch.nn.init.normal_(module.centers)
    return module, batch


@pytest.fixture
def adjacency():
    return pearson_knn(np.random.default_rng(0).normal(size=(60, 12)), 5)


def test_embedding_is_permutation_equivariant(adjacency):
    module, batch = make(adjacency)
    torch.nn.init.constant_(module.fusion.beta, 0.5)
    order = torch.randperm(60)
    shuffled = GraphViews.from_adjacency(adjacency[order.numpy()][:, order.numpy()], tolerance=1e-6)
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
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)
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
    graph = GraphViews.from_adjacency(adjacency)
    hidden = torch.randn(60, widths[0])
    literal = torch.tanh(graph.symmetric.csr.to_dense() @ hidden @ layer.weight)
    torch.testing.assert_close(layer(hidden, graph.propagate), literal)


def test_graph_layer_equals_torch_geometric(adjacency):
    from torch_geometric.nn import GCNConv

    layer = GraphLayer(7, 5, activation=False)
    conv = GCNConv(7, 5, bias=False)
    with torch.no_grad():
        conv.lin.weight.copy_(layer.weight.T)
    coo = adjacency.tocoo()
    edges = torch.from_numpy(np.stack([coo.row, coo.col])).long()
    hidden = torch.randn(60, 7)
    graph = GraphViews.from_adjacency(adjacency)
    torch.testing.assert_close(layer(hidden, graph.propagate), conv(hidden, edges), rtol=1e-4, atol=1e-5)


def test_attached_cells_change_nothing_and_see_no_other_new_cell(adjacency):
    module, batch = make(adjacency)
    torch.nn.init.constant_(module.fusion.beta, 0.5)
    degree = np.diff(adjacency.indptr)
    neighbors, new = np.array([[0, 1, 2], [7, 8, 9]]), torch.randn(2, 12)

    def embed(rows):
        views = AttachedViews.from_neighbors(batch.graph, neighbors[rows], degree, degree)
        return module.embed(torch.cat([batch.features, new[rows]]), views).fused

    both = embed([0, 1])
    torch.testing.assert_close(both[:60], module.embed(batch.features, batch.graph).fused, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(both[60:61], embed([0])[60:], rtol=1e-4, atol=1e-6)


def test_attached_diffusion_solves_the_enlarged_system(adjacency):
    _, batch = make(adjacency)
    degree = np.diff(adjacency.indptr)
    views = AttachedViews.from_neighbors(batch.graph, np.array([[3, 4]]), degree, degree)
    smooth = np.zeros((61, 61))
    smooth[:60, :60] = batch.graph.symmetric.csr.to_dense()
    smooth[60, [3, 4]] = 1 / np.sqrt(3 * (degree[[3, 4]] + 1))
    smooth[60, 60] = 1 / 3
    dense = torch.randn(61, 5)
    exact = 0.2 * np.linalg.solve(np.eye(61) - 0.8 * smooth, dense.numpy())
    np.testing.assert_allclose(views.propagate_diffused(dense), exact, atol=1e-4)
