"""K-means, Sinkhorn and losses where their arguments go to their limits: finite values, and finite gradients."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import sparse

from scclu.cluster.core import tree_clusters
from scclu.cluster.head import head_of_cut
from scclu.cluster.kmeans import kmeans
from scclu.graph.operator import SparseOperator, symmetric_normalize
from scclu.methods._assignment import log_student_t
from scclu.methods._clusters import assigned
from scclu.methods.cicl.loss import ClusterAwareContrastiveLoss
from scclu.methods.scsiameseclu.losses import (
    cell_correlation_loss,
    graph_alignment_loss,
    graph_reconstruction_loss,
    jensen_shannon,
    latent_correlation_loss,
    propagation_loss,
    transport_loss,
    zinb_loss,
)
from scclu.methods.scsiameseclu.transport import transport_target

RNG = np.random.default_rng(0)
N = 12
CELLS = {
    "random": RNG.normal(size=(N, 4)),
    "identical": np.ones((N, 4)),
    "zero": np.zeros((N, 4)),
    "two points": np.repeat([[0.0] * 4, [1.0] * 4], N // 2, axis=0),
    "large": RNG.normal(size=(N, 4)) * 1e6,
    "small": RNG.normal(size=(N, 4)) * 1e-20,
    "one outlier": np.vstack([np.zeros((N - 1, 4)), np.full((1, 4), 1e6)]),
}
CELLS = {name: values.astype(np.float32) for name, values in CELLS.items()}


def assert_finite(function, *leaves):
    """The value of a function of tensors, and its gradients."""
    leaves = [torch.as_tensor(leaf).clone().requires_grad_() for leaf in leaves]
    value = function(*leaves)
    assert torch.isfinite(value).all()
    value.sum().backward()
    gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.filterwarnings("ignore:.*distinct clusters")
@pytest.mark.parametrize("name", CELLS)
def test_clustering(name):
    """K-means, merge tree and head of equal, zero, huge and tiny cells, from one cluster to one a cell"""
    cells = CELLS[name]
    for k in (1, 2, 5, N):
        labels, centroids = kmeans(cells, k, random_state=0)
        assert np.isfinite(centroids).all() and centroids.shape == (k, 4) and set(labels) <= set(range(k))
        again, centroids = kmeans(cells, k, random_state=0, init=centroids)
        assert np.isfinite(centroids).all() and set(again) <= set(range(k))
        found = tree_clusters([cells], k)
        assert set(found.labels) == set(range(k))
        head = head_of_cut(cells, found.tree, found.fine, k)
        probability = assigned(head, cells)
        assert np.isfinite(probability).all() and 1 <= probability.shape[1] <= k


@pytest.mark.filterwarnings("ignore:Sinkhorn did not converge")
def test_sinkhorn():
    """Transport targets for lambda from 1e-9 to 1e9, with certain, even and impossible assignments"""
    assignments = {
        "random": np.log(RNG.dirichlet(np.ones(3), N)),
        "even": np.full((N, 3), -np.log(3)),
        "certain": np.log(np.eye(3)[np.arange(N) % 3] * (1 - 3e-16) + 1e-16),
        "all in one": np.tile([0.0, -700.0, -700.0], (N, 1)),
        "one cluster": np.zeros((N, 1)),
    }
    for (name, log_q), sharpness in itertools.product(assignments.items(), (1e-9, 1e-3, 1, 5, 1e3, 1e6, 1e9)):
        k = log_q.shape[1]
        for proportions in (np.ones(k), np.arange(k) + 1e-12, np.eye(k)[0]):
            result = transport_target(log_q, proportions, sharpness=sharpness)
            assert np.isfinite(result.plan).all() and (result.plan >= 0).all(), (name, sharpness)
            np.testing.assert_allclose(result.plan.sum(axis=1), 1, rtol=1e-6)
            assert np.isfinite(result.error)
    with pytest.raises(ValueError, match="proportions must"):
        transport_target(assignments["even"], np.zeros(3))
    with pytest.raises(ValueError, match="log_assignment must"):
        transport_target(assignments["even"] * np.nan, np.ones(3))


def test_contrastive_loss():
    """Contrastive losses for T from 1e-6 to 1e6, with one cluster, one cell a cluster, and one cell"""
    labelings = {"one": np.zeros(N), "alone": np.arange(N), "two": np.arange(N) % 2}
    for cells, labels, temperature in itertools.product(
        CELLS.values(), labelings.values(), (1e-6, 1e-3, 0.5, 1e3, 1e6)
    ):
        loss = ClusterAwareContrastiveLoss(temperature)
        for n in (1, N):
            codes = torch.from_numpy(labels[:n])
            assert_finite(lambda z, codes=codes, loss=loss: torch.stack(loss(z, codes)), np.stack([cells[:n]] * 2))


def test_assignment():
    """Student-t assignments for degrees of freedom from 1e-3 to 1e6, on and far from the centres"""
    for cells, dof in itertools.product(CELLS.values(), (1e-3, 1.0, 1e6)):
        for centers in (cells[:3], cells[:3] * 0, cells[:1]):
            assert_finite(lambda x, c, dof=dof: log_student_t(x, c, dof), cells, centers)
            target = torch.full((N, len(centers)), 1 / len(centers))
            assert_finite(lambda x, c, p=target, dof=dof: transport_loss(p, log_student_t(x, c, dof)), cells, centers)


def test_graph_losses():
    """Correlation, reconstruction and propagation losses of extreme embeddings on full, single-edge and chain graphs"""
    chain = sparse.diags([np.ones(N - 1), np.ones(N - 1)], [1, -1])
    single = sparse.csr_matrix((np.ones(2), ([0, 1], [1, 0])), shape=(N, N))
    graphs = [sparse.csr_matrix(np.ones((N, N)) - np.eye(N)), single, sparse.csr_matrix(chain)]
    operators = [SparseOperator.from_scipy(symmetric_normalize(graph.astype(np.float32))) for graph in graphs]
    for first, second in itertools.product(CELLS.values(), CELLS.values()):
        memberships = [torch.eye(3)[torch.arange(N) % 3], torch.eye(3)[torch.zeros(N, dtype=torch.long)]]
        assert_finite(cell_correlation_loss, first, second)
        assert_finite(jensen_shannon, first, second)
        for membership in memberships:
            assert_finite(lambda x, y, m=membership: latent_correlation_loss(x, y, m), first, second)
    for cells, operator in itertools.product(CELLS.values(), operators):
        for loss in (graph_alignment_loss, graph_reconstruction_loss, propagation_loss):
            assert_finite(lambda z, loss=loss, operator=operator: loss(z, operator), cells)


def test_zinb():
    """ZINB likelihoods of counts up to 3e38, means from 0 to 1e6, dispersions from e^-20 to e^20"""
    for counts, mean, dispersion, dropout in itertools.product(
        (0.0, 1.0, 1e6, 3e38), (0.0, 1e-10, 1.0, 1e6), (-20.0, 0.0, 20.0), (-50.0, 0.0, 50.0)
    ):
        observed = torch.full((2, 3), counts)
        arguments = torch.full((2, 3), mean), torch.full((3,), dispersion), torch.full((2, 3), dropout)
        assert_finite(lambda m, d, p, x=observed: zinb_loss(x, m, d, p), *arguments)
