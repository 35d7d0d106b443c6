from __future__ import annotations

from functools import partial

import anndata as ad
import lightning.pytorch as pl
import numpy as np
import pytest

import scclu
from conftest import QUICK, QUICK_SIAMESE, simulated_counts
from scclu.methods.cicl.model import CICL
from scclu.methods.scsiameseclu.model import ScSiameseClu

TOOLS = {
    "cicl": partial(scclu.tl.cicl, **QUICK),
    "scsiameseclu": partial(scclu.tl.scsiameseclu, **QUICK_SIAMESE | {"max_epochs": 3}),
}
N_EPOCHS = {"cicl": 3, "scsiameseclu": 9}


# three epochs leave a cluster of the paper's preset empty
@pytest.mark.filterwarnings("ignore:.*clusters are empty:UserWarning")
@pytest.mark.parametrize("key", TOOLS)
@pytest.mark.parametrize(
    "settings", [{}, pytest.param({"preset": "paper"}, marks=pytest.mark.slow)], ids=["default", "paper"]
)
def test_snapshots_change_nothing(key, settings):
    plain, watched = simulated_counts(), simulated_counts()
    TOOLS[key](plain, 3, batch_size=50, **settings)
    TOOLS[key](watched, 3, batch_size=50, n_snapshots=4, **settings)
    assert "snapshots" not in plain.uns[key]
    np.testing.assert_array_equal(plain.obs[key].to_numpy(), watched.obs[key].to_numpy())
    np.testing.assert_array_equal(plain.obsm[f"X_{key}"], watched.obsm[f"X_{key}"])
    for name, values in plain.uns[key]["history"].items():
        np.testing.assert_array_equal(values, watched.uns[key]["history"][name])


@pytest.mark.parametrize("key", TOOLS)
def test_what_is_written(key, tmp_path):
    adata = simulated_counts()
    TOOLS[key](adata, 3, n_snapshots=3)
    stored = adata.uns[key]["snapshots"]
    n_dims = adata.obsm[f"X_{key}"].shape[1]
    assert stored["epoch"].tolist() == [0, round(N_EPOCHS[key] / 2), N_EPOCHS[key]]
    assert stored["embedding"].shape == (3, adata.n_obs, n_dims) and stored["embedding"].dtype == np.float32
    assert stored["clusters"].shape == (3, adata.n_obs)
    assert np.isfinite(stored["embedding"]).all() and len(np.unique(stored["clusters"])) == 3
    # the last one is the result, cell by cell, and the first one is not
    np.testing.assert_array_equal(stored["embedding"][-1], adata.obsm[f"X_{key}"])
    np.testing.assert_array_equal(stored["clusters"][-1].astype(str), adata.obs[key].to_numpy())
    assert np.abs(stored["embedding"][0] - stored["embedding"][-1]).max() > 1e-3
    adata.write_h5ad(tmp_path / "cells.h5ad")
    read = ad.read_h5ad(tmp_path / "cells.h5ad").uns[key]["snapshots"]
    for name, values in stored.items():
        np.testing.assert_array_equal(read[name], values)


def test_cells_keep_their_order():
    """A snapshot is taken in the order of training, and handed out in the user's."""
    adata = simulated_counts(300, 200)
    scclu.tl.cicl(adata, 3, max_epochs=30, n_hidden=64, cluster_method="kmeans", accelerator="cpu", n_snapshots=4)
    agreement = [scclu.metrics.ari(adata.obs["type"], labels) for labels in adata.uns["cicl"]["snapshots"]["clusters"]]
    assert min(agreement[1:]) > 0.8


def test_at_most_one_an_epoch():
    adata = simulated_counts()
    TOOLS["cicl"](adata, 3, n_snapshots=50)
    assert adata.uns["cicl"]["snapshots"]["epoch"].tolist() == [0, 1, 2, 3]


class _Stop(pl.Callback):
    def on_train_epoch_end(self, trainer, plan):
        trainer.should_stop = trainer.current_epoch >= 1


@pytest.mark.parametrize("cls", [CICL, ScSiameseClu])
def test_training_that_stops_early(cls):
    adata = simulated_counts()
    cls.setup_anndata(adata)
    model = cls(adata, 3, cluster_method="kmeans" if cls is CICL else "assignment")
    assert model.snapshots_ is None
    model.train(max_epochs=4, accelerator="cpu", n_snapshots=5, callbacks=[_Stop()], min_epochs=0)
    epochs = model.snapshots_.epoch
    assert epochs[0] == 0 and epochs[-1] == (2 if cls is CICL else 6) and (np.diff(epochs) > 0).all()
    np.testing.assert_array_equal(model.snapshots_.clusters[-1], model.predict())
    model.train(max_epochs=1, accelerator="cpu")
    assert model.snapshots_ is None


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [(1, ValueError, "at least 2"), (-1, ValueError, "at least 0, but -1"), (2.5, TypeError, "whole number, but 2.5")],
)
@pytest.mark.parametrize("key", TOOLS)
def test_bad_numbers(key, value, error, message):
    adata = simulated_counts()
    with pytest.raises(error, match=message):
        TOOLS[key](adata, 3, n_snapshots=value)
    assert key not in adata.uns
