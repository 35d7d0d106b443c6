from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import scclu
from conftest import simulated_counts
from scclu.data.components import default_components
from scclu.methods._components import JointComponents


@pytest.mark.parametrize("n_parts", [None, 4])
def test_blocks_are_scaled_principal_components(n_parts):
    torch.manual_seed(0)
    hidden, x = torch.randn(200, 12), torch.randn(200, 30) * torch.linspace(5, 0.1, 30)
    joint = JointComponents(12, 30, 5, hidden_weight=0.5)
    joint.fit(hidden, x if n_parts is None else np.split(x.numpy(), n_parts), random_state=0)
    both = joint(hidden, x)
    assert both.shape == (200, 10)
    for block, expected_norm in zip(both.split(5, dim=1), (0.25, 1.0), strict=True):
        torch.testing.assert_close((block**2).sum(1).mean(), torch.tensor(expected_norm))
    expected = PCA(5, svd_solver="full").fit_transform(x.numpy())
    correlation = np.corrcoef(both[:, 5:].T.numpy(), expected.T)[:5, 5:]
    np.testing.assert_allclose(np.abs(np.diag(correlation)), 1, atol=1e-3)


def test_fewer_cells_than_components():
    joint = JointComponents(8, 4, 20, hidden_weight=1.0)
    assert joint.n_components == (8, 4)
    joint.fit(torch.randn(3, 8), torch.randn(3, 4), random_state=0)
    assert torch.isfinite(joint(torch.randn(5, 8), torch.randn(5, 4))).all()


@pytest.mark.parametrize("blocks", [False, True])
def test_equal_cells(blocks):
    joint = JointComponents(8, 4, 20, hidden_weight=1.0)
    x = torch.ones(50, 4)
    joint.fit(torch.randn(50, 8), [x.numpy()] if blocks else x, random_state=0)
    torch.testing.assert_close(joint(torch.randn(50, 8), x)[:, 8:], torch.zeros(50, 4))


def test_default_number():
    assert [default_components(n_cells) for n_cells in (90, 20_000, 20_001, 10**6)] == [30, 30, 50, 50]


@pytest.mark.parametrize(("method", "n_other"), [("CICL", 7), ("ScSiameseClu", 15)])
def test_number_of_components_depends_on_the_number_of_cells(method, n_other, tmp_path, monkeypatch):
    monkeypatch.setattr("scclu.methods._base.default_components", lambda n_cells: 7 if n_cells == 120 else 30)
    adata, cls = simulated_counts(120), getattr(scclu.model, method)
    cls.setup_anndata(adata)
    assert cls(adata, 3, n_components=4).settings.n_components == 4
    assert cls(adata, 3, preset="paper").settings.n_components == {"CICL": 0, "ScSiameseClu": 100}[method]
    model = cls(adata, 3)
    assert model.settings.n_components == 7
    model.train(max_epochs=1, accelerator="cpu", enable_progress_bar=False)
    embedding = model.get_latent_representation()
    assert embedding.shape == (120, 7 + n_other)
    model.save(tmp_path / "model")
    loaded = cls.load(tmp_path / "model", adata, accelerator="cpu")
    assert loaded.settings.n_components == 7
    np.testing.assert_allclose(loaded.get_latent_representation(), embedding, atol=1e-5)
