"""Equal trainings at the same time: each has its result, and none takes the other's files away."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

import training_process
from conftest import simulated_counts
from scclu import model
from scclu.methods import _lock
from scclu.methods._lock import file_lock
from scclu.methods._plan import HistoryPlan

HOLD = """
import sys, time
from pathlib import Path
from scclu.methods._lock import file_lock
with file_lock(Path(sys.argv[1]), "waiting"):
    print("held", flush=True)
    time.sleep(600)
"""


def make():
    adata = simulated_counts(60, 30)
    model.CICL.setup_anndata(adata)
    return model.CICL(adata, 3, n_hidden=16, cluster_method="kmeans")


def train(made, folder):
    made.train(max_epochs=4, accelerator="cpu", enable_progress_bar=False, checkpoint_dir=folder)


def test_one_thread_at_a_time(tmp_path):
    inside, most = [], []

    def enter():
        for _ in range(20):
            with file_lock(tmp_path / "new" / "a.lock", "waiting"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80
    assert os.listdir(tmp_path / "new") == []


def test_lock_of_a_killed_process_is_free(tmp_path, caplog):
    path = tmp_path / "a.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    with holder, caplog.at_level(logging.INFO, "scclu"):
        assert holder.stdout.readline() == "held\n"
        killer = threading.Timer(0.5, holder.send_signal, [signal.SIGKILL])
        killer.start()
        with file_lock(path, "waiting"):
            assert holder.wait() == -signal.SIGKILL
    assert caplog.messages == ["waiting"] and os.listdir(tmp_path) == []


def test_without_locks(tmp_path, monkeypatch, caplog):
    """File systems without locks: training is possible, and the log says what is missing."""
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with file_lock(tmp_path / "a.lock", "waiting"):
        assert _lock.fcntl is fcntl
    assert "cannot be locked here" in caplog.text and os.listdir(tmp_path) == []


@pytest.mark.parametrize("gone", ["checkpoint", "directory"])
def test_folder_that_vanishes(gone, tmp_path, monkeypatch):
    """A result is not lost because there is nothing to clean up."""
    original, folder = HistoryPlan.on_train_epoch_end, tmp_path / "checkpoints"

    def vanish(plan):
        original(plan)
        (made,) = folder.glob("cicl-*")
        shutil.rmtree(made if gone == "checkpoint" else folder)
        monkeypatch.setattr(HistoryPlan, "on_train_epoch_end", original)

    monkeypatch.setattr(HistoryPlan, "on_train_epoch_end", vanish)
    made = make()
    train(made, folder)
    assert made.is_trained and not folder.exists() or os.listdir(folder) == []


def test_folder_that_cannot_be_removed(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(shutil, "rmtree", lambda folder, ignore_errors: None)
    made = make()
    train(made, tmp_path)
    assert made.is_trained and "could not be removed" in caplog.text


def test_equal_trainings_in_threads(tmp_path):
    alone = make()
    train(alone, tmp_path)
    made, failed = [make() for _ in range(3)], []

    def run(each):
        try:
            train(each, tmp_path)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=run, args=[each]) for each in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert all((each.predict() == alone.predict()).all() for each in made)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("tool", training_process.ARGUMENTS)
def test_equal_trainings_in_processes(tool, tmp_path):
    """Pairs of processes on one directory."""
    context = multiprocessing.get_context("spawn")

    def start(name, folder):
        result = tmp_path / f"{name}.json"
        process = context.Process(target=training_process.cluster, args=(tool, folder, result))
        process.start()
        return process, result

    process, result = start("alone", None)
    process.join()
    expected = json.loads(result.read_text())
    folder = tmp_path / "checkpoints"
    for n in range(3):
        pair = [start(f"{n}-{i}", folder) for i in range(2)]
        for process, result in pair:
            process.join()
            assert process.exitcode == 0 and json.loads(result.read_text()) == expected
        assert os.listdir(folder) == []
