"""Checkpoints: a training that was stopped continues to the same result."""

from __future__ import annotations

import multiprocessing
import time

import anndata as ad
import lightning.pytorch as pl
import numpy as np
import pytest

import training_process
from conftest import simulated_counts
from scclu.data.matrix import read_matrix
from scclu.methods import _checkpoints
from scclu.methods.cicl.model import CICL
from scclu.methods.scsiameseclu.model import ScSiameseClu

MODELS = {
    "cicl": (CICL, {"n_hidden": 16, "cluster_method": "kmeans"}, {"max_epochs": 4, "batch_size": 30}),
    "minibatch": (
        CICL,
        {"n_hidden": 16, "cluster_method": "kmeans", "centroid_refresh": "minibatch", "noise_scale": 1.0},
        {"max_epochs": 4, "batch_size": 50},
    ),
    "batch_key": (
        CICL,
        {"n_hidden": 16, "cluster_method": "kmeans", "batch_key": "batch"},
        {"max_epochs": 4, "batch_size": 30},
    ),
    "scsiameseclu": (
        ScSiameseClu,
        {"gene_hidden": (16,), "graph_hidden": (16,), "cluster_method": "assignment"},
        {"max_epochs": 2, "batch_size": 50},
    ),
}
QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "n_snapshots": 3}


class Stopped(Exception):
    pass


class StopAt(pl.Callback):
    """Stops a training after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def on_train_batch_end(self, *_):
        self.left -= 1
        if self.left == 0:
            raise Stopped


def make(name, adata=None, **changes):
    cls, arguments, _ = MODELS[name]
    arguments = {**arguments, **changes}
    if adata is None:
        adata = simulated_counts(seed=arguments.pop("cells", 0))
    cls.setup_anndata(adata, batch_key=arguments.pop("batch_key", None))
    return cls(adata, 3, **arguments)


def train(model, name, **arguments):
    model.train(**{**MODELS[name][2], **QUIET, **arguments})
    return model


def stop(name, folder, steps, adata=None, **arguments):
    with pytest.raises(Stopped):
        train(make(name, adata), name, checkpoint_dir=folder, callbacks=[StopAt(steps)], **arguments)


def assert_same(model, other):
    np.testing.assert_array_equal(model.predict(), other.predict())
    np.testing.assert_array_equal(model.get_latent_representation(), other.get_latent_representation())
    assert model.history.keys() == other.history.keys()
    for key in model.history:
        np.testing.assert_array_equal(model.history[key], other.history[key])
    for part in ("epoch", "embedding", "clusters"):
        np.testing.assert_array_equal(getattr(model.snapshots_, part), getattr(other.snapshots_, part))


@pytest.fixture
def every_epoch(monkeypatch):
    monkeypatch.setattr(_checkpoints, "_SHARE", np.inf)


@pytest.mark.parametrize("all_steps", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["few", "all"])
@pytest.mark.parametrize("name", MODELS)
def test_stopped_training(name, all_steps, tmp_path, every_epoch, monkeypatch):
    """Trainings stopped at steps of each epoch and phase continue to the bits of one that was not stopped."""
    whole = train(make(name), name)
    taken_up = []
    begin = _checkpoints.Checkpoint.begin
    monkeypatch.setattr(
        _checkpoints.Checkpoint,
        "begin",
        lambda self, plan: (taken_up.append(1) if self._state else None, begin(self, plan))[1],
    )
    last = 29 if name == "scsiameseclu" else 11
    for steps in range(1, last + 1, last // 7 + 1) if all_steps else (last // 2, last):
        stop(name, tmp_path, steps)
        assert_same(train(make(name), name, checkpoint_dir=tmp_path), whole)
        assert list(tmp_path.iterdir()) == []
    assert len(taken_up) >= (3 if all_steps else 2)


def test_stopped_twice(tmp_path, every_epoch):
    whole = train(make("cicl"), "cicl")
    stop("cicl", tmp_path, 6)
    stop("cicl", tmp_path, 4)
    assert_same(train(make("cicl"), "cicl", checkpoint_dir=tmp_path), whole)


def test_cells_on_disk(tmp_path, every_epoch):
    simulated_counts().write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    whole = train(make("cicl", backed), "cicl")
    stop("cicl", tmp_path / "state", 6, backed)
    assert list((tmp_path / "state").rglob("checkpoint.json"))
    assert_same(train(make("cicl", backed), "cicl", checkpoint_dir=tmp_path / "state"), whole)
    backed.file.close()


def test_digest_of_cells_on_disk(tmp_path):
    simulated_counts().write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    matrix = read_matrix(backed, by_block=True)[0]
    others = [matrix.reordered(np.arange(matrix.shape[0])[::-1]), matrix.transformed(lambda block: 2 * block, 60)]
    assert len({_checkpoints.data_digest(other) for other in (matrix, matrix, *others)}) == 3
    backed.file.close()


def test_checkpoints_change_nothing(tmp_path, every_epoch):
    for name in MODELS:
        assert_same(train(make(name), name, checkpoint_dir=tmp_path), train(make(name), name))


CHANGES = {
    "cells": ({"cells": 1}, {}),
    "seed": ({"random_state": 1}, {}),
    "temperature": ({"temperature": 0.7}, {}),
    "batch_key": ({"batch_key": "batch"}, {}),
    "max_epochs": ({}, {"max_epochs": 5}),
    "batch_size": ({}, {"batch_size": 40}),
    "n_snapshots": ({}, {"n_snapshots": 2}),
    "precision": ({}, {"precision": "bf16-mixed"}),
    "gradient_clip_val": ({}, {"gradient_clip_val": 1.0}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_training(tmp_path, every_epoch, change):
    """A new training starts, says so, and leaves the other's checkpoint alone."""
    stop("cicl", tmp_path, 6)
    (left,) = tmp_path.iterdir()
    kept = {path.name: path.read_bytes() for path in left.iterdir()}
    model, arguments = CHANGES[change]
    with pytest.warns(UserWarning, match=f"checkpoints of other trainings only .{left.name}.: .*a new training starts"):
        train(make("cicl", **model), "cicl", checkpoint_dir=tmp_path, **arguments)
    assert {path.name: path.read_bytes() for path in left.iterdir()} == kept
    assert list(tmp_path.iterdir()) == [left]


def test_moved_checkpoint(tmp_path, every_epoch):
    """Under the name of another training it is refused, and the difference is named."""
    stop("cicl", tmp_path / "one", 6)
    stop("cicl", tmp_path / "two", 6, max_epochs=5)
    (one,), (two,) = (tmp_path / "one").iterdir(), (tmp_path / "two").iterdir()
    for path in two.iterdir():
        path.rename(one / path.name)
    with pytest.raises(ValueError, match="checkpoint of another training, which differs in training.*Delete it"):
        train(make("cicl"), "cicl", checkpoint_dir=tmp_path / "one")


@pytest.mark.parametrize("file", ["checkpoint.json", "checkpoint.safetensors"])
def test_damaged_checkpoint(tmp_path, every_epoch, file):
    stop("cicl", tmp_path, 6)
    (folder,) = tmp_path.iterdir()
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(ValueError, match=f"The checkpoint in {folder} is damaged"):
        train(make("cicl"), "cicl", checkpoint_dir=tmp_path)


def test_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="checkpoint_dir must be a folder, but .* is a file"):
        train(make("cicl"), "cicl", checkpoint_dir=tmp_path / "file")


def test_disk_full(tmp_path, every_epoch, monkeypatch):
    """Training continues without checkpoints, with a warning."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_checkpoints, "write_model", full)
    with pytest.warns(UserWarning, match="No checkpoint could be written.*No space left on device.*continues"):
        model = train(make("cicl"), "cicl", checkpoint_dir=tmp_path)
    assert model.is_trained


def test_saving_is_a_small_share(tmp_path, monkeypatch):
    """A slow disk is written to seldom."""
    saves = []
    monkeypatch.setattr(_checkpoints, "write_model", lambda *_, **__: (saves.append(1), time.sleep(0.3)))
    train(make("cicl"), "cicl", checkpoint_dir=tmp_path, max_epochs=20)
    assert 1 <= len(saves) <= 3


@pytest.fixture(scope="module")
def processes():
    """Processes that have imported everything, but trained nothing."""
    context = multiprocessing.get_context("forkserver")
    # modules of the tests are not on its path: what it cannot import it leaves out without a word
    context.set_forkserver_preload(["scclu.model", "torch._dynamo", "ot"])
    return context


@pytest.mark.parametrize(
    ("tool", "n_kills"),
    [("cicl", 1), *(pytest.param(tool, 10, marks=pytest.mark.slow) for tool in training_process.ARGUMENTS)],
)
def test_killed_process(processes, tool, n_kills, tmp_path):
    """Trainings are killed (SIGKILL) at random moments, and other processes continue them to the same clusters."""

    def start(name):
        result = tmp_path / f"{name}.json"
        process = processes.Process(target=training_process.cluster, args=(tool, tmp_path / str(name), result))
        process.start()
        while process.is_alive() and not result.with_suffix(".started").exists():
            time.sleep(0.01)
        return process, result

    process, result = start("never killed")
    begin = time.monotonic()
    process.join()
    seconds, labels = time.monotonic() - begin, result.read_text()
    rng = np.random.default_rng(0)
    taken_up = 0
    for n in range(n_kills):
        victim, result = start(n)
        if n % 2:
            victim.join(float(rng.uniform(0.1, 0.9)) * seconds)
        else:  # however fast the machine is now, in training
            while victim.is_alive() and not list((tmp_path / str(n)).glob("*/checkpoint.json")):
                time.sleep(0.01)
            victim.join(float(rng.uniform(0, 0.05)) * seconds)
        victim.kill()
        victim.join()
        taken_up += bool(list((tmp_path / str(n)).glob("*/checkpoint.json")))
        result.unlink(missing_ok=True)
        process, result = start(n)
        process.join()
        assert process.exitcode == 0 and result.read_text() == labels
        assert list((tmp_path / str(n)).iterdir()) == []
    assert taken_up >= min(3, n_kills)


@pytest.mark.slow
@pytest.mark.parametrize("tool", training_process.ARGUMENTS)
def test_processes_and_threads(processes, tool, tmp_path):
    """Processes of one and of two threads give the same clusters for the same seed."""
    labels = []
    for n, n_threads in enumerate((1, 1, 2)):
        result = tmp_path / f"{n}.json"
        process = processes.Process(target=training_process.cluster, args=(tool, None, result, n_threads))
        process.start()
        process.join()
        assert process.exitcode == 0
        labels.append(result.read_text())
    assert len(set(labels)) == 1
