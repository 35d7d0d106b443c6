from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import torch

from conftest import simulated_counts
from scclu.methods._files import state_text
from scclu.methods._trainer import resolve_precision
from scclu.methods.cicl.model import CICL
from scclu.methods.cicl.module import CICLModule
from scclu.methods.cicl.plan import CICLPlan
from shared_checks import check_interrupted_training_keeps_the_model


def make(adata, n_clusters=3, **kwargs):
    CICL.setup_anndata(adata)
    return CICL(adata, n_clusters, **{"n_hidden": 16, "cluster_method": "kmeans", **kwargs})


@pytest.fixture(scope="module")
def trained():
    """A trained model of the cells of `adata`, which no test changes."""
    model = make(simulated_counts())
    model.train(max_epochs=3, accelerator="cpu", enable_progress_bar=False)
    return model


def test_history_has_a_value_for_each_epoch(trained):
    assert set(trained.history) == {"loss", "instance_loss", "cluster_loss"}
    for name, values in trained.history.items():
        assert values.columns.tolist() == [name] and values.index.tolist() == [0, 1, 2]
        assert values.index.name == "epoch" and np.isfinite(values.to_numpy()).all()
    loss, instance, cluster = (trained.history[name][name] for name in ("loss", "instance_loss", "cluster_loss"))
    np.testing.assert_allclose(loss, instance + cluster, rtol=1e-5)


def test_setup_does_not_change_the_data(adata):
    before = adata.copy()
    make(adata)
    assert (adata.X != before.X).nnz == 0 and adata.obs.equals(before.obs)


def test_soft_predictions_sum_to_one(trained, adata):
    for cells in (None, adata[:7].copy()):
        soft = trained.predict(cells, soft=True)
        assert soft.shape[1] == 3 and (soft >= 0).all()
        np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-5)
        np.testing.assert_array_equal(soft.argmax(1), trained.predict(cells))


def test_new_cells(trained, adata):
    """The same cells in another order, or one at a time: the same embedding."""
    expected = trained.get_latent_representation()
    order = np.random.default_rng(0).permutation(adata.n_vars)
    shuffled = simulated_counts()[:10, order].copy()
    np.testing.assert_allclose(trained.get_latent_representation(shuffled), expected[:10], atol=1e-5)
    np.testing.assert_allclose(trained.get_latent_representation(adata[3:4].copy()), expected[3:4], atol=1e-5)
    np.testing.assert_array_equal(trained.predict(adata), trained.predict())
    assert "_scvi_uuid" not in shuffled.uns


def test_new_cells_without_a_gene(trained, adata):
    with pytest.raises(ValueError, match="lacks 1 of the 60 genes"):
        trained.predict(adata[:, 1:].copy())


def test_untrained(adata):
    with pytest.raises(RuntimeError, match="not trained yet"):
        make(adata).predict()


def test_training_again_starts_again(trained, adata):
    model = make(adata)
    for n_epochs in (1, 3):
        model.train(max_epochs=n_epochs, accelerator="cpu")
    np.testing.assert_array_equal(model.get_latent_representation(), trained.get_latent_representation())


def test_save_and_load(trained, adata, tmp_path):
    trained.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "model.safetensors"]
    new = CICL.load(tmp_path / "model", accelerator="cpu")
    np.testing.assert_allclose(new.get_latent_representation(adata), trained.get_latent_representation(adata))
    with pytest.raises(RuntimeError, match="loaded without its training cells"):
        new.predict()
    with pytest.raises(RuntimeError, match="no cells to train on"):
        new.train()
    attached = CICL.load(tmp_path / "model", adata, accelerator="cpu")
    np.testing.assert_array_equal(attached.predict(), trained.predict())
    np.testing.assert_allclose(attached.get_latent_representation(), trained.get_latent_representation(), atol=1e-6)
    assert attached.n_clusters == 3 and attached.n_clusters_source == "user"
    np.testing.assert_allclose(attached.history["loss"], trained.history["loss"])
    attached.save(tmp_path / "again")
    assert (tmp_path / "again" / "model.json").exists()


def test_save_refuses_to_replace(trained, tmp_path):
    trained.save(tmp_path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        trained.save(tmp_path)
    trained.save(tmp_path, overwrite=True)


def test_load_other_cells(trained, adata, tmp_path):
    trained.save(tmp_path)
    with pytest.raises(ValueError, match="trained on 120 cells, but adata has 5"):
        CICL.load(tmp_path, adata[:5].copy())


@pytest.mark.parametrize(
    ("break_it", "error", "message"),
    [
        (lambda f: (f / "model.json").unlink(), FileNotFoundError, "model.json is missing"),
        (lambda f: (f / "model.json").write_text("{"), ValueError, "damaged"),
        (lambda f: (f / "model.json").write_text("[]"), ValueError, "version None"),
        (lambda f: _edit(f, format_version=99), ValueError, "version 99; this scclu reads version 1"),
        (lambda f: _edit(f, **{"class": "ScSiameseClu"}), ValueError, "ScSiameseClu.load"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x80\x04K\x01."), ValueError, "damaged"),
    ],
)
def test_broken_files(trained, tmp_path, break_it, error, message):
    trained.save(tmp_path)
    break_it(tmp_path)
    with pytest.raises(error, match=message):
        CICL.load(tmp_path)


def _edit(folder, **changes):
    path = folder / "model.json"
    state = json.loads(path.read_text()) | changes
    path.write_bytes(state_text({name: value for name, value in state.items() if name != "sha256"}))


@pytest.mark.parametrize("attention", ["cell", "batch"])
@pytest.mark.parametrize("centroid_refresh", ["epoch", "minibatch"])
@pytest.mark.parametrize("noise_scale", [0.0, 1.0])
def test_options(adata, attention, centroid_refresh, noise_scale):
    model = make(adata, attention=attention, centroid_refresh=centroid_refresh, noise_scale=noise_scale)
    model.train(max_epochs=2, batch_size=50, accelerator="cpu")
    assert np.isfinite(model.get_latent_representation()).all()
    assert model.predict().shape == (120,)


@pytest.mark.slow
def test_paper_preset_is_table_2():
    adata = simulated_counts(60, 600)
    CICL.setup_anndata(adata)
    model = CICL(adata, 3, preset="paper")
    encoder = model.module.encoder
    assert len(model.recipe.genes) == 500
    assert len(encoder.layers) == 4
    assert [layer.out_features for layer in encoder.layers[0].feed_forward if hasattr(layer, "out_features")] == [
        1024
    ] * 2
    assert [layer.out_features for layer in model.module.projection if hasattr(layer, "out_features")] == [1024, 512]
    settings = model.settings
    assert (settings.lr, settings.batch_size, settings.max_epochs) == (1e-5, 6000, 1000)
    assert (settings.cluster_weight, settings.dof, settings.temperature) == (0.1, 1.0, 0.5)
    model.train(max_epochs=1, accelerator="cpu")
    assert np.isfinite(model.history["loss"]["loss"]).all()


def test_bfloat16_autocast_trains(adata):
    model = make(adata)
    model.train(max_epochs=2, precision="bf16-mixed", accelerator="cpu")
    assert model.get_latent_representation().dtype == np.float32
    assert np.isfinite(model.history["loss"]["loss"]).all()


def test_auto_precision_is_float32_where_bfloat16_is_emulated(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": False, "avx512_bf16": False}, raising=False)
    assert resolve_precision("auto", "cpu") == "32-true"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert resolve_precision("auto", "cpu") == "bf16-mixed"
    assert resolve_precision("64-true", "cpu") == "64-true"


def test_interrupt_keeps_the_model(adata, monkeypatch):
    """Lightning would end the process, and leave SIGINT ignored."""
    check_interrupted_training_keeps_the_model(make(adata), CICLPlan, monkeypatch)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_cells_that_attend_to_each_other_are_embedded_in_batches_of_training(adata, tmp_path):
    # slices of 17 cells would leave one cell to itself
    adata = adata[:103].copy()
    CICL.setup_anndata(adata)
    model = CICL(adata, 3, attention="batch", cluster_method="kmeans", n_hidden=16, n_components=0)
    sizes = []
    model.train(1, batch_size=17, accelerator="cpu")
    encoder = model.module.encoder
    encoder.register_forward_hook(lambda _, inputs, __: sizes.append(inputs[0].shape[1]))
    model.get_latent_representation(adata)
    assert sum(sizes) == 103 and set(sizes) <= {14, 15}
    model.save(tmp_path / "model")
    loaded = CICL.load(tmp_path / "model")
    np.testing.assert_allclose(
        loaded.get_latent_representation(adata), model.get_latent_representation(adata), atol=1e-6
    )


def test_attending_cells_are_embedded_again_as_after_training(tmp_path):
    """In the batches of training, whatever the order of the cells in memory."""
    adata = simulated_counts(130)
    model = make(adata, attention="batch")
    model.train(max_epochs=2, batch_size=43, accelerator="cpu", enable_progress_bar=False)
    model.save(tmp_path)
    order = np.random.default_rng(0).permutation(adata.n_obs)
    loaded = CICL.load(tmp_path, simulated_counts(130), accelerator="cpu")
    np.testing.assert_allclose(loaded.get_latent_representation(), model.get_latent_representation(), atol=1e-5)
    shuffled = CICL.load(tmp_path, simulated_counts(130)[order].copy(), accelerator="cpu")
    np.testing.assert_allclose(
        shuffled.get_latent_representation(), model.get_latent_representation()[order], atol=1e-5
    )


def test_components_are_fitted_to_cells_in_the_batches_of_training(monkeypatch):
    model = make(simulated_counts(130), attention="batch")
    sizes = []
    encode = CICLModule.encode
    monkeypatch.setattr(CICLModule, "encode", lambda self, x: sizes.append(len(x)) or encode(self, x))
    model.train(max_epochs=2, batch_size=43, accelerator="cpu", enable_progress_bar=False)
    assert set(sizes) == {32, 33}
