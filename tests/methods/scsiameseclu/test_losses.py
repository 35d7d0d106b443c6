"""Linear-memory losses against the literal N x N formulas, values and gradients."""

from __future__ import annotations

import math

import numpy as np
import ot
import pytest
import torch
from scipy import sparse
from scvi.distributions import ZeroInflatedNegativeBinomial

from scclu.graph.knn import pearson_knn
from scclu.graph.operator import SparseOperator, row_normalize
from scclu.methods._assignment import log_student_t
from scclu.methods.scsiameseclu.autoencoder import AdaptiveFusion, self_correlation
from scclu.methods.scsiameseclu.losses import (
    cell_correlation_loss,
    cluster_readout,
    graph_alignment_loss,
    graph_reconstruction_loss,
    jensen_shannon,
    latent_correlation_loss,
    propagation_loss,
    transport_loss,
    zinb_loss,
)
from scclu.methods.scsiameseclu.transport import transport_target

N, D = 300, 20


@pytest.fixture
def z() -> torch.Tensor:
    return torch.randn(N, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def walk(z):
    return SparseOperator.from_scipy(row_normalize(pearson_knn(z.numpy(), 8)), dtype=torch.float64)


def same_value_and_gradient(fast, literal, *inputs):
    inputs = [x.clone().requires_grad_() for x in inputs]
    a, b = fast(*inputs), literal(*inputs)
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-10)
    for ga, gb in zip(torch.autograd.grad(a, inputs), torch.autograd.grad(b, inputs), strict=True):
        torch.testing.assert_close(ga, gb, rtol=1e-5, atol=1e-10)


def cosine(a, b):
    return torch.nn.functional.normalize(a, dim=1) @ torch.nn.functional.normalize(b, dim=1).T


def test_cell_correlation_equals_literal(z):
    other = z + 0.3 * torch.randn_like(z)
    same_value_and_gradient(
        cell_correlation_loss, lambda a, b: ((cosine(a, b) - torch.eye(N)) ** 2).sum() / N**2, z, other
    )


def test_latent_correlation_equals_literal_and_empty_cluster_is_finite(z):
    weights = torch.softmax(torch.randn(N, 6, dtype=torch.float64), 1)

    def literal(a, b):
        r = cosine(a.T @ weights / weights.sum(0), b.T @ weights / weights.sum(0))
        return ((r - torch.eye(D)) ** 2).sum() / D**2

    same_value_and_gradient(lambda a, b: latent_correlation_loss(a, b, weights), literal, z, z.flip(0))
    weights[:, 2] = 0
    assert torch.isfinite(latent_correlation_loss(z, z, weights))


def test_readout_ignores_the_order_of_cells(z):
    weights, order = torch.rand(N, 6, dtype=torch.float64), torch.randperm(N)
    torch.testing.assert_close(cluster_readout(z[order], weights[order]), cluster_readout(z, weights))


def test_readout_is_a_mean_however_light_the_cluster(z):
    weights = torch.rand(N, 6, dtype=torch.float64) * torch.logspace(-5, 0, 6, dtype=torch.float64)
    torch.testing.assert_close(cluster_readout(z, weights), z.T @ (weights / weights.sum(0)))


def test_graph_reconstruction_equals_literal(z, walk):
    dense = walk.csr.to_dense()
    same_value_and_gradient(lambda a: graph_reconstruction_loss(a, walk), lambda a: ((a @ a.T - dense) ** 2).mean(), z)


def test_graph_alignment_equals_literal(z, walk):
    dense = walk.csr.to_dense()

    def literal(a):
        decoded = a @ a.T
        scale = (decoded * dense).sum() / decoded.square().sum()
        return (scale * decoded - dense).square().sum() / dense.square().sum()

    same_value_and_gradient(lambda a: graph_alignment_loss(a, walk), literal, z)
    for scale in (0.01, 10):
        torch.testing.assert_close(graph_alignment_loss(scale * z, walk), graph_alignment_loss(z, walk))
    # 0 is the best scale for an embedding whose products have the other sign: no direction at all is as good
    opposed = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    edge = SparseOperator.from_scipy(sparse.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]])), dtype=torch.float64)
    for embedding in (opposed, 0 * opposed):
        assert graph_alignment_loss(embedding, edge) == 1


def test_propagation_equals_literal_and_is_a_true_divergence(z, walk):
    dense = walk.csr.to_dense()

    def literal(a):
        p, q = torch.softmax(a, 1), torch.softmax(dense @ a, 1)
        m = (p + q) / 2
        return (0.5 * (p * (p / m).log()).sum(1) + 0.5 * (q * (q / m).log()).sum(1)).mean()

    same_value_and_gradient(lambda a: propagation_loss(a, walk), literal, z)
    assert jensen_shannon(z, z).abs() < 1e-12
    far = torch.tensor([[60.0, 0.0]]), torch.tensor([[0.0, 60.0]])
    assert math.isclose(jensen_shannon(*far), math.log(2), rel_tol=1e-6)


def test_self_correlation_equals_literal(z):
    same_value_and_gradient(
        lambda a: self_correlation(a).square().sum(), lambda a: (torch.softmax(a @ a.T, 1) @ a).square().sum(), z
    )


def test_landmark_error_falls_with_their_number(z):
    small = 0.3 * z
    exact = self_correlation(small)
    error = [
        (
            self_correlation(small, small[torch.randperm(N, generator=torch.Generator().manual_seed(1))[:m]]) - exact
        ).norm()
        for m in (20, 80, 299)
    ]
    assert error[0] > error[1] > error[2]


def test_fusion_starts_as_propagated_mean(z, walk):
    fusion = AdaptiveFusion().double()
    embedded = [z, 2 * z, z.flip(1), -z]
    torch.testing.assert_close(fusion(embedded, walk, N), walk @ (sum(embedded) / 4))
    with torch.no_grad():
        fusion.beta.fill_(0.5)
        enhanced = walk @ (sum(embedded) / 4)
        expected = enhanced + 0.5 * torch.softmax(enhanced @ enhanced.T, 1) @ enhanced
        torch.testing.assert_close(fusion(embedded, walk, N), expected)


def test_zinb_equals_scvi():
    torch.manual_seed(0)
    counts = torch.poisson(torch.rand(50, 30) * 3)
    mean, log_theta, logit = torch.rand(50, 30) * 3 + 0.1, torch.randn(30), torch.randn(50, 30)
    reference = ZeroInflatedNegativeBinomial(mu=mean, theta=log_theta.exp(), zi_logits=logit)
    torch.testing.assert_close(zinb_loss(counts, mean, log_theta, logit), -reference.log_prob(counts).mean())


def test_transport_loss_is_kl(z):
    log_q = log_student_t(z, z[:5])
    literal = 1 / (1 + torch.cdist(z, z[:5]) ** 2)
    literal = literal / literal.sum(1, keepdim=True)
    torch.testing.assert_close(log_q.exp(), literal)
    target = torch.softmax(torch.randn(N, 5, dtype=torch.float64), 1)
    expected = (target * (target / literal).log()).sum() / N
    torch.testing.assert_close(transport_loss(target, log_q), expected)
    one_hot = torch.eye(5, dtype=torch.float64)[torch.arange(N) % 5]
    assert torch.isfinite(transport_loss(one_hot, log_q))


@pytest.mark.parametrize("sharpness", [1.0, 5.0, 20.0])
def test_sinkhorn_equals_plain_pot(z, sharpness):
    log_q = log_student_t(z, z[:5]).numpy()
    pi = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    result = transport_target(log_q, pi, sharpness=sharpness, tolerance=1e-10, max_iter=5000)
    plain = N * ot.sinkhorn(np.full(N, 1 / N), pi, -log_q, 1 / sharpness, stopThr=1e-12, numItermax=20000)
    assert result.converged
    np.testing.assert_allclose(result.plan, plain, atol=1e-6)
    np.testing.assert_allclose(result.plan.sum(1), 1, atol=1e-9)
    np.testing.assert_allclose(result.plan.sum(0), N * pi, rtol=1e-5)


def test_sinkhorn_takes_proportions_of_any_scale(z):
    log_q = log_student_t(z, z[:5]).numpy()
    pi = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    one, ten = transport_target(log_q, pi), transport_target(log_q.astype(np.float32), (20 * pi).tolist())
    np.testing.assert_allclose(ten.proportions, pi)
    np.testing.assert_allclose(ten.plan, one.plan, atol=1e-5)
    assert ten.plan.dtype == torch.float64
    np.testing.assert_allclose(one.error, np.abs(one.plan.mean(axis=0) - pi).max())
    assert isinstance(one.n_iter, int) and one.n_iter > 0


def test_sinkhorn_stops_at_its_tolerance(z):
    log_q = 5 * log_student_t(z, z[:5]).numpy()
    pi = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    loose, tight = (transport_target(log_q, pi, tolerance=tolerance) for tolerance in (1e-2, 1e-9))
    assert loose.n_iter < tight.n_iter and loose.converged and tight.converged
    assert tight.error <= 1e-8 < loose.error


def test_sinkhorn_warns_and_takes_empty_clusters(z):
    log_q = log_student_t(z, z[:5]).numpy()
    with pytest.warns(RuntimeWarning, match="did not converge"):
        result = transport_target(30 * log_q, np.array([0.9, 0.04, 0.03, 0.02, 0.01]), max_iter=2)
    assert not result.converged
    result = transport_target(log_q, np.array([0.5, 0.5, 0, 0, 0]))
    assert (result.plan[:, 2:] == 0).all() and result.plan.isfinite().all()
    np.testing.assert_allclose(result.plan[:, :2].mean(dim=0), 0.5, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"proportions": [0.5, 0.5]}, "proportions must be 5 non-negative numbers, but .0.5 0.5. was passed"),
        ({"proportions": [0.5, 0.5, 0, 0, -1]}, "proportions must be 5 non-negative numbers"),
        ({"proportions": [0.5, 0.5, 0, 0, np.inf]}, "proportions must be 5 non-negative numbers"),
        ({"proportions": np.zeros(5)}, "^proportions must not all be zero"),
        ({"log_assignment": np.full((N, 5), np.nan)}, "^log_assignment must be finite: it holds values that are NaN"),
        ({"sharpness": 0}, "sharpness must be positive, but 0 was passed"),
    ],
)
def test_sinkhorn_says_what_is_wrong(z, change, message):
    arguments = {"log_assignment": log_student_t(z, z[:5]).numpy(), "proportions": np.full(5, 0.2)} | change
    with pytest.raises(ValueError, match=message):
        transport_target(**arguments)


def test_sinkhorn_from_a_warm_start_gives_the_same_plan_sooner(z):
    """Another problem with the same solver state, in which an empty cluster has cells again."""
    log_q = log_student_t(z, z[:5])
    before = transport_target(log_q, torch.tensor([0.5, 0.3, 0.1, 0.1, 0.0]), tolerance=1e-10, max_iter=5000)
    for pi in (torch.tensor([0.5, 0.3, 0.1, 0.1, 0.0]), torch.tensor([0.45, 0.3, 0.1, 0.1, 0.05])):
        cold = transport_target(log_q, pi, tolerance=1e-10, max_iter=5000)
        warm = transport_target(log_q, pi, tolerance=1e-10, max_iter=5000, warm_start=before.log_scaling)
        assert warm.n_iter <= cold.n_iter
        torch.testing.assert_close(warm.plan, cold.plan, rtol=0, atol=1e-6)
    again = transport_target(log_q, pi, tolerance=1e-10, max_iter=5000, warm_start=cold.log_scaling)
    assert again.n_iter == 0 < cold.n_iter


def test_isolated_cells_are_finite(z):
    walk = SparseOperator.from_scipy(row_normalize(sparse.csr_matrix((N, N))), dtype=torch.float64)
    x = z.clone().requires_grad_()
    loss = graph_reconstruction_loss(x, walk) + propagation_loss(x, walk)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(x.grad).all()
