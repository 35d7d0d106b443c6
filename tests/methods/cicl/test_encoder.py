from __future__ import annotations

import pytest
import torch
from torch import nn

from scclu.methods._assignment import student_t
from scclu.methods.cicl.encoder import CellEncoder, SelfAttention, attend, gaussian_noise, mask_genes


def test_student_t_by_hand():
    # squared distances 0 and 3, alpha 1: (1, 1/4) over 5/4; alpha 3: (1, (1 + 1)^-2) over 5/4
    cells, centroids = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0], [3.0**0.5, 0.0]])
    torch.testing.assert_close(student_t(cells, centroids, 1.0), torch.tensor([[0.8, 0.2]]))
    torch.testing.assert_close(student_t(cells, centroids, 3.0), torch.tensor([[0.8, 0.2]]))
    torch.testing.assert_close(student_t(cells, centroids, 1e6), torch.softmax(torch.tensor([[0.0, -1.5]]), 1))


def test_student_t_far_away_sums_to_one():
    q = student_t(torch.full((2, 3), 1e6), torch.randn(4, 3))
    torch.testing.assert_close(q.sum(1), torch.ones(2))


@pytest.mark.parametrize("n_heads", [1, 2, 3])
def test_batch_attention_equals_the_equations(n_heads):
    torch.manual_seed(0)
    layer = SelfAttention(6, n_heads, "batch")
    x = torch.randn(2, 5, 6)
    query, key = layer.query_key(x).chunk(2, -1)
    heads = []
    for q, k, v in zip(*(part.chunk(n_heads, -1) for part in (query, key, layer.value(x))), strict=True):
        heads.append(torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) @ v)
    torch.testing.assert_close(layer(x), layer.out(torch.cat(heads, -1)))


def test_cell_attention_equals_attention_over_one_token():
    torch.manual_seed(0)
    layer = SelfAttention(8, 2, "cell")
    reference = nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight[16:] = layer.value.weight
        reference.out_proj.weight.copy_(layer.out.weight)
    x = torch.randn(5, 1, 8)  # five sequences of one token
    torch.testing.assert_close(layer(x), reference(x, x, x)[0])


@pytest.mark.parametrize(("attention", "alone"), [("cell", True), ("batch", False)])
def test_only_batch_attention_looks_at_other_cells(attention, alone):
    torch.manual_seed(0)
    encoder = CellEncoder(10, 8, 2, 2, attention).eval()
    x = torch.randn(1, 6, 10)
    same = torch.allclose(encoder(x)[:, :2], encoder(x[:, :2]), atol=1e-6)
    assert same == alone


def test_noise_is_mapped_to_the_range():
    x = torch.zeros(2, 50, 40)
    noisy = gaussian_noise(x, 1.0)
    assert noisy.min() == 0 and noisy.max() == 1
    assert 0.4 < noisy.mean() < 0.6
    assert not torch.equal(noisy[0], noisy[1])
    assert gaussian_noise(x, 0.0) is x


def test_mask_rate():
    x = torch.ones(2, 100, 100)
    masked = mask_genes(x, 0.8)
    assert masked.mean().item() == pytest.approx(0.2, abs=0.02)
    assert set(masked.unique().tolist()) == {0.0, 1.0}
    assert mask_genes(x, 0.0) is x


@pytest.mark.parametrize("block", [1, 60, 10**6])
def test_bfloat16_attention_on_the_cpu_equals_that_of_torch(monkeypatch, block):
    monkeypatch.setattr("scclu.methods.cicl.encoder._BLOCK_VALUES", block)
    torch.manual_seed(0)
    parts = torch.randn(3, 2, 2, 7, 16)
    tolerances = {"atol": 0.03, "rtol": 0.03}
    results = []
    for attention, dtype in ((attend, torch.bfloat16), (torch.nn.functional.scaled_dot_product_attention, None)):
        leaves = [part.clone().requires_grad_() for part in parts]
        with torch.autocast("cpu", torch.bfloat16):
            out = attention(*(leaf.to(dtype or leaf.dtype) for leaf in leaves))
        results.append([out.float(), *torch.autograd.grad(out.float().square().sum(), leaves)])
    torch.testing.assert_close(*results, **tolerances)
