from __future__ import annotations

import numpy as np
import pytest
import torch

from conftest import simulated_counts
from scclu.methods.scsiameseclu.batches import EPOCH_STEPS, make_batches
from scclu.methods.scsiameseclu.model import ScSiameseClu
from scclu.methods.scsiameseclu.phases import PhasePlan
from scclu.methods.scsiameseclu.refresh import make_refresh
from shared_checks import check_interrupted_training_keeps_the_model


def make(adata, n_clusters=3, **kwargs):
    ScSiameseClu.setup_anndata(adata)
    quick = {"gene_hidden": (16,), "graph_hidden": (16,), "cluster_method": "assignment"}
    return ScSiameseClu(adata, n_clusters, **{**quick, **kwargs})


@pytest.fixture(scope="module")
def trained():
    """A trained model of the cells of `adata`, which no test changes."""
    model = make(simulated_counts())
    model.train(max_epochs=2, accelerator="cpu", enable_progress_bar=False)
    return model


def test_history_by_phase(trained):
    history = trained.history_
    assert {name.split("_")[0] for name in history} == {"expression", "graph", "joint"}
    for phase in ("expression", "graph", "joint"):
        assert history[f"{phase}_loss"].shape == (2,) and np.isfinite(history[f"{phase}_loss"]).all()
    assert np.isnan(history["joint_transport"][0]) and np.isfinite(history["joint_transport"][1])
    for epoch in range(2):
        terms = [v[epoch] for k, v in history.items() if k.startswith("joint") and k not in ("joint_loss", CHANGED)]
        np.testing.assert_allclose(np.nansum(terms), history["joint_loss"][epoch], rtol=1e-4)


CHANGED = "joint_changed_cells"


def test_embedding_holds_the_features_beside_the_fused_embedding(adata, trained):
    assert trained.get_latent_representation().shape == (adata.n_obs, trained.settings.n_latent)
    model = make(adata, cluster_method="tree", n_components=10, n_latent=5)
    model.train(max_epochs=2, accelerator="cpu", enable_progress_bar=False)
    fused, features = np.split(model.get_latent_representation(), [5], axis=1)
    assert features.shape == (adata.n_obs, 10)
    for part in (fused, features):
        assert (part**2).sum(axis=1).mean() == pytest.approx(1, rel=1e-4)
    projection = model.module.projection
    expected = projection.temper(model._reference.components)[np.argsort(model._order)].numpy()
    # distances are those of the features, up to the scale
    ratio = np.linalg.norm(features[1:] - features[:-1], axis=1) / np.linalg.norm(expected[1:] - expected[:-1], axis=1)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_each_phase_has_a_progress_bar_on_stderr(adata, capsys):
    make(adata).train(max_epochs=1, accelerator="cpu")
    out, err = capsys.readouterr()
    assert out == ""
    for phase in ("expression", "graph", "joint"):
        assert f"Training: {phase}" in err


@pytest.mark.parametrize("batch_size", [1, 2, 4, 1024])
def test_few_refreshes_in_a_pass(adata, batch_size):
    model = make(adata)
    graph = model._reference
    batches = make_batches(graph.components, graph.adjacency, None, model.settings, batch_size, 1e-2, seed=0)
    every = make_refresh(model.module, batches, model.settings, n_epochs=40, labels=None, seed=0).every
    assert batches.n_batches / (every * EPOCH_STEPS) <= 6
    assert every == 1 or batches.n_batches / (every * EPOCH_STEPS) >= 3


def test_soft_predictions(trained, adata):
    for cells in (None, adata[:7].copy()):
        soft = trained.predict(cells, soft=True)
        np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(trained.predict(soft=True).argmax(1), trained.predict())


def test_new_cells(trained, adata):
    """New cells see no other new cells, whatever their genes' order, and the training cells keep their output."""
    before = trained.get_latent_representation(), trained.predict()
    new = simulated_counts(seed=1)[:20].copy()
    together = trained.get_latent_representation(new)
    order = np.random.default_rng(0).permutation(new.n_vars)
    np.testing.assert_allclose(trained.get_latent_representation(new[:, order].copy()), together, atol=1e-4)
    np.testing.assert_allclose(trained.get_latent_representation(new[3:4].copy()), together[3:4], atol=1e-4)
    assert trained.predict(new).shape == (20,)
    np.testing.assert_array_equal(trained.get_latent_representation(), before[0])
    np.testing.assert_array_equal(trained.predict(), before[1])


def test_new_cells_without_a_gene(trained, adata):
    with pytest.raises(ValueError, match="lacks 1 of the 60 genes"):
        trained.predict(adata[:, 1:].copy())


def test_untrained(adata):
    with pytest.raises(RuntimeError, match="not trained yet"):
        make(adata).predict()


def test_training_again_starts_again(trained, adata):
    model = make(adata)
    for n_epochs in (1, 2):
        model.train(max_epochs=n_epochs, accelerator="cpu", enable_progress_bar=False)
    np.testing.assert_array_equal(model.get_latent_representation(), trained.get_latent_representation())


def test_save_and_load(trained, adata, tmp_path):
    trained.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "model.safetensors"]
    new = ScSiameseClu.load(tmp_path / "model", accelerator="cpu")
    cells = simulated_counts(seed=1)[:20].copy()
    np.testing.assert_allclose(
        new.get_latent_representation(cells), trained.get_latent_representation(cells), atol=1e-6
    )
    np.testing.assert_array_equal(new.predict(cells), trained.predict(cells))
    with pytest.raises(RuntimeError, match="loaded without its training cells"):
        new.predict()
    with pytest.raises(RuntimeError, match="no cells to train on"):
        new.train()
    attached = ScSiameseClu.load(tmp_path / "model", adata, accelerator="cpu")
    np.testing.assert_array_equal(attached.predict(), trained.predict())
    np.testing.assert_array_equal(attached.get_latent_representation(), trained.get_latent_representation())
    np.testing.assert_allclose(attached.history["joint_loss"], trained.history["joint_loss"])
    attached.save(tmp_path / "again")
    assert (tmp_path / "again" / "model.json").exists()


@pytest.mark.parametrize("weight", ["correlation", "reconstruction", "propagation", "zinb", "ot"])
def test_each_loss_can_be_switched_off(adata, weight):
    model = make(adata, **{"reconstruction_weight": 1.0, f"{weight}_weight": 0})
    model.train(max_epochs=2, accelerator="cpu", enable_progress_bar=False)
    assert np.isfinite(model.get_latent_representation()).all()
    gone = {
        "correlation": "joint_cell_correlation",
        "reconstruction": "joint_edges",
        "propagation": "joint_propagation",
        "zinb": "joint_zinb",
        "ot": "joint_transport",
    }
    assert {name for name in gone.values() if name in model.history} == set(gone.values()) - {gone[weight]}
    assert len(set(model.predict())) == 3


@pytest.mark.slow
def test_paper_preset():
    adata = simulated_counts(150, 300)
    ScSiameseClu.setup_anndata(adata)
    model = ScSiameseClu(adata, 3, preset="paper")
    settings = model.settings
    assert (settings.propagation_weight, settings.correlation_weight, settings.noise_scale) == (1e3, 1.0, 0.1)
    assert model.module.projection.n_features == 100 and settings.n_latent == 20
    model.train(accelerator="cpu", enable_progress_bar=False)
    assert np.isfinite(model.history_["joint_loss"]).all()
    assert len(set(model.predict())) == 3  # with a weaker transport, all cells become equal


def test_two_autoencoders_of_a_kind_are_saved(adata, tmp_path):
    model = make(adata, shared_weights=False)
    model.train(max_epochs=1, accelerator="cpu", enable_progress_bar=False)
    model.save(tmp_path)
    loaded = ScSiameseClu.load(tmp_path, adata=False, accelerator="cpu")
    assert not loaded.settings.shared_weights and loaded._landmark_seed == model._landmark_seed != 0
    cells = simulated_counts(seed=1)[:20].copy()
    np.testing.assert_allclose(
        loaded.get_latent_representation(cells), model.get_latent_representation(cells), atol=1e-6
    )
    with pytest.raises(TypeError, match="^shared_weights must be True or False, but 'no' was passed"):
        make(adata, shared_weights="no")


def test_bfloat16_is_accepted(adata):
    model = make(adata)
    model.train(max_epochs=1, precision="bf16-mixed", accelerator="cpu", enable_progress_bar=False)
    assert model.get_latent_representation().dtype == np.float32


def test_nothing_is_cells_by_cells(adata, monkeypatch):
    """No tensor or array of training has cells x cells entries."""
    model = make(simulated_counts(700, 60), zinb_weight=0)
    import torch

    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), kwargs=None):
            nonlocal largest
            out = function(*arguments, **(kwargs or {}))
            # strided results alone: the size of a sparse tensor is not what it holds
            if isinstance(out, torch.Tensor) and out.layout == torch.strided:
                largest = max(largest, out.numel())
            return out

    with Watch():
        model.train(max_epochs=1, accelerator="cpu", enable_progress_bar=False)
    assert 0 < largest < 700 * 700


def test_interrupt_keeps_the_model(adata, monkeypatch):
    """Lightning would end the process, and leave SIGINT ignored."""
    check_interrupted_training_keeps_the_model(make(adata), PhasePlan, monkeypatch)


def test_zinb_starts_at_the_mean_counts(adata):
    ScSiameseClu.setup_anndata(adata)
    model = ScSiameseClu(adata, 3)
    # a gene's expected count at size factor 1 is its mean: random starts let large counts drive the embedding
    torch.testing.assert_close(model.module.count_rate.bias.exp(), torch.from_numpy(model._counts.mean) + 1e-4)
