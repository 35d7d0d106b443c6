from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.functional import cosine_similarity

from scclu.methods.cicl.loss import ClusterAwareContrastiveLoss


def literal(z: torch.Tensor, labels: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. 12-16 cell by cell, as they are written."""
    n = z.shape[1]
    views = [(view, i) for view in range(2) for i in range(n)]

    def e(a, b):
        return torch.exp(cosine_similarity(z[a], z[b], dim=0) / temperature)

    instance, cluster = z.new_zeros(()), z.new_zeros(())
    for view, i in views:
        a, positive = (view, i), (1 - view, i)
        instance = instance - torch.log(e(a, positive) / sum(e(a, b) for b in views if b != a))
        same = [e(a, b) for b in views if labels[b[1]] == labels[i] and b != a]
        other = [e(a, b) for b in views if labels[b[1]] != labels[i]]
        if other:
            cluster = cluster - torch.log(sum(same) / sum(other))
    return instance / (2 * n), cluster / (2 * n)


LABELS = {
    "three clusters": [0, 1, 2, 0, 1, 2, 0],
    "a cell alone": [0, 0, 0, 1, 0, 0, 0],
    "one cluster": [0] * 7,
    "all alone": list(range(7)),
}


@pytest.mark.parametrize(
    ("labels", "temperature", "chunk_rows"), list(itertools.product(LABELS, [0.07, 0.5], [None, 1, 3, 14]))
)
def test_equals_the_literal_equations(labels, temperature, chunk_rows):
    torch.manual_seed(0)
    z = torch.randn(2, 7, 5, requires_grad=True)
    labels = torch.tensor(LABELS[labels])
    mine = ClusterAwareContrastiveLoss(temperature, chunk_rows)(z, labels)
    theirs = literal(z, labels, temperature)
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad(a + 0.3 * b, z)[0] for a, b in (mine, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)


def test_rows_are_compared_in_chunks(monkeypatch):
    """`chunk_rows` rows at a time bound the memory; without it, as many as hold a fixed number of values."""
    compare, sizes = ClusterAwareContrastiveLoss._row_losses, []

    def counted(self, z, labels, rows):
        sizes.append(len(rows))
        return compare(self, z, labels, rows)

    monkeypatch.setattr(ClusterAwareContrastiveLoss, "_row_losses", counted)
    z, labels = torch.randn(2, 7, 4), torch.tensor(LABELS["three clusters"])
    expected = literal(z, labels, 0.5)
    for chunk_rows, chunks in ((3, [3, 3, 3, 3, 2]), (14, [14]), (None, [14])):
        sizes.clear()
        torch.testing.assert_close(ClusterAwareContrastiveLoss(chunk_rows=chunk_rows)(z, labels), expected)
        assert sizes == chunks


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("chunk_rows", [None, 3])
def test_gradcheck(labels, chunk_rows):
    torch.manual_seed(0)
    z = torch.randn(2, 7, 4, dtype=torch.float64, requires_grad=True)
    loss = ClusterAwareContrastiveLoss(0.5, chunk_rows)
    assert torch.autograd.gradcheck(lambda z: loss(z, torch.tensor(LABELS[labels])), (z,))


def test_one_cell():
    z = torch.randn(2, 1, 4, requires_grad=True)
    instance, cluster = ClusterAwareContrastiveLoss()(z, torch.zeros(1, dtype=torch.long))
    (instance + cluster).backward()
    assert instance.item() == pytest.approx(0, abs=1e-6) and cluster.item() == 0
    assert torch.isfinite(z.grad).all()


def test_extremes_stay_finite():
    z = torch.zeros(2, 6, 4, requires_grad=True)  # no direction at all
    for temperature in (1e-3, 100.0):
        losses = ClusterAwareContrastiveLoss(temperature)(z, torch.tensor([0, 0, 0, 1, 1, 2]))
        sum(losses).backward()
        assert torch.isfinite(torch.stack(losses)).all() and torch.isfinite(z.grad).all()


def test_float32_under_autocast():
    z = torch.randn(2, 8, 4)
    labels = torch.arange(8) % 3
    expected = ClusterAwareContrastiveLoss()(z.bfloat16(), labels)
    with torch.autocast("cpu", torch.bfloat16):
        losses = ClusterAwareContrastiveLoss()(z.bfloat16(), labels)
    assert all(loss.dtype == torch.float32 for loss in losses)
    torch.testing.assert_close(losses, expected, rtol=0, atol=0)
