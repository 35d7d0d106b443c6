"""A clustering that is interrupted, or fails, at any step leaves no trace."""

from __future__ import annotations

import inspect
import logging
import signal
import sys
import threading
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from tqdm.auto import tqdm

import scclu
from conftest import simulated_counts
from scclu.methods.cicl.batches import MinibatchSampler
from scclu.tl._write import write_results
from shared_checks import global_random_state, snapshot

SOURCE = str(Path(scclu.__file__).parent)
# steps of Lightning and torch that are looked at beside scclu's own functions
OTHERS = {"backward", "optimizer_step", "on_train_batch_end", "step"}
CALLS = {
    "cicl": {"n_hidden": 8, "max_epochs": 2, "batch_size": 40, "cluster_method": "kmeans"},
    "scsiameseclu": {"max_epochs": 2, "gene_hidden": (8,), "graph_hidden": (8,), "cluster_method": "assignment"},
}
# faults are made at the first call of each of these, at its middle and last ones, and at others
STEPS = {
    "cicl": [
        "recipe.fit",
        "model._new_module",
        "_trainer.resolve_precision",
        "plan.training_step",
        "kmeans.kmeans",
        "_write.write_results",
    ],
    "scsiameseclu": [
        "recipe.fit",
        "knn.pearson_knn",
        "_trainer.resolve_precision",
        "phases.training_step",
        "refresh.__call__",
        "_write.write_results",
    ],
}


def cluster(tool, adata):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(scclu.tl, tool)(adata, 3, accelerator="cpu", **CALLS[tool])


class Watch:
    """Sees the calls of scclu's functions and of steps of training, and makes a fault at one of them."""

    def __init__(self, at=None, fault=None):
        self.names = []
        self._at = at
        self._fault = fault

    def __call__(self, frame, event, arg):
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        resumed = frame.f_lineno > frame.f_code.co_firstlineno or name == "<genexpr>"  # which has one line
        if frame.f_code.co_flags & inspect.CO_GENERATOR and resumed:
            return  # a generator goes on, maybe only to be closed as garbage, where Python drops what is raised
        if name == "undo":
            return  # what restores a setting cannot be repeated if it fails
        if name in ("random", "getrandbits"):
            return  # igraph drops what its random numbers raise
        if path.startswith(SOURCE) or (name in OTHERS and ("lightning" in path or "torch/optim" in path)):
            self.names.append(f"{Path(path).stem}.{name}")
            if len(self.names) - 1 == self._at:
                sys.settrace(None)
                self._fault()

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self)
        return self

    def __exit__(self, *_):
        sys.settrace(self._before)


class InjectedError(Exception):
    pass


def fail():
    raise InjectedError


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def places(names, steps, n_faults):
    """Calls at which faults are made: the first ones of the steps, their middle and last ones, then any others."""
    calls = [[i for i, name in enumerate(names) if name == step] for step in steps]
    assert all(calls), f"not all of {steps} are among the calls"
    chosen = [at[0] for at in calls] + [at[len(at) // 2] for at in calls] + [at[-1] for at in calls]
    rng = np.random.default_rng(0)
    others = rng.permutation(len(names)).tolist()
    return list(dict.fromkeys([*chosen, *others]))[:n_faults]


def surroundings():
    """What is the process's, and must be as it was."""
    return {
        "random": global_random_state(),
        "handler": signal.getsignal(signal.SIGINT),
        "threads": {thread.name for thread in threading.enumerate()},
        "processes": [child.pid for child in psutil.Process().children()],
        "bars": len(getattr(tqdm, "_instances", ())),
        "filters": list(warnings.filters),
        "log": logging.getLogger("lightning.pytorch").level,
        "numpy": np.geterr(),
        "torch": (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark,
        ),
    }


@pytest.mark.parametrize("n_faults", [6, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize("tool", CALLS)
def test_faults(tool, n_faults):
    """Interrupts (Ctrl-C) and exceptions in preparation, in each phase of training, in clustering and in writing."""
    reference = simulated_counts(60, 30)
    cluster(tool, reference)
    with Watch() as seen:
        cluster(tool, simulated_counts(60, 30))
    adata = simulated_counts(60, 30)
    before, around = snapshot(adata), surroundings()
    faults = [(press_ctrl_c, KeyboardInterrupt), (fail, InjectedError)]
    for n, at in enumerate(places(seen.names, STEPS[tool], n_faults)):
        fault, error = faults[n % 2]
        with pytest.raises(error), Watch(at, fault):
            cluster(tool, adata)
        assert snapshot(adata) == before, seen.names[at]
        assert surroundings() == around, seen.names[at]
    cluster(tool, adata)
    np.testing.assert_array_equal(adata.obs[tool], reference.obs[tool])
    np.testing.assert_array_equal(adata.obsm[f"X_{tool}"], reference.obsm[f"X_{tool}"])


@cache
def clustered():
    """Cells with clusters, their model, and a classifier of its embedding."""
    adata = simulated_counts(60, 30)
    model = scclu.tl.cicl(adata, 3, n_hidden=8, max_epochs=2, accelerator="cpu", return_model=True)
    return adata, model, scclu.tl.fit_classifier(adata, "type", use_rep="X_cicl")


# other tools, and arguments by which a clustering takes other ways
OTHER_TOOLS = {
    "cut_tree": lambda adata: scclu.tl.cut_tree(adata, n_clusters=2),
    "rank_splits": lambda adata: scclu.tl.rank_splits(adata, n_genes=2),
    "map_cells": lambda adata: scclu.tl.map_cells(adata, clustered()[1], classifier=clustered()[2], key_added="new"),
    "test_clusters": lambda adata: scclu.tl.test_clusters(adata, "type", merge=True),
    "stability": lambda adata: scclu.tl.stability(adata, "type", n_runs=2),
    "restrict_to": lambda adata: scclu.tl.cicl(
        adata, 2, restrict_to=("type", ["0"]), accelerator="cpu", **CALLS["cicl"]
    ),
    "batch_key": lambda adata: scclu.tl.cicl(
        adata, 3, batch_key="batch", key_added="new", accelerator="cpu", **CALLS["cicl"]
    ),
}


@pytest.mark.parametrize("n_faults", [3, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("tool", OTHER_TOOLS)
def test_faults_of_other_tools(tool, n_faults):
    """Interrupts and exceptions at the write, and at random calls"""
    adata = clustered()[0].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        OTHER_TOOLS[tool](adata.copy())  # imports other packages
        whole = adata.copy()
        with Watch() as seen:
            OTHER_TOOLS[tool](whole)
        before, after, around = snapshot(adata), snapshot(whole), surroundings()
        last = max(i for i, name in enumerate(seen.names) if name == "_write.write_results")
        for n, at in enumerate(places(seen.names, ["_write.write_results"], n_faults)):
            fault, error = [(press_ctrl_c, KeyboardInterrupt), (fail, InjectedError)][n % 2]
            with pytest.raises(error), Watch(at, fault):
                OTHER_TOOLS[tool](faulty := adata.copy())
            # the message that results were written comes after the last write
            assert snapshot(faulty) == before or (at > last and snapshot(faulty) == after), seen.names[at]
            assert surroundings() == around, seen.names[at]


@pytest.mark.parametrize(("fault", "error"), [(press_ctrl_c, KeyboardInterrupt), (fail, InjectedError)])
def test_loader_that_cannot_start(fault, error, monkeypatch):
    """What went wrong is what the user sees, and not what Lightning's teardown makes of it."""
    monkeypatch.setattr(MinibatchSampler, "__iter__", lambda self: fault())
    adata = simulated_counts(60, 30)
    before = snapshot(adata)
    with pytest.raises(error):
        cluster("cicl", adata)
    assert snapshot(adata) == before


@pytest.mark.parametrize("view", [False, True])
def test_writing_all_or_nothing(view):
    """What was written before a failure is taken back, also over earlier results."""
    adata = simulated_counts()
    adata.obs["old"], adata.obsm["old"], adata.uns["old"] = "a", np.ones((120, 2)), {"a": 1}
    adata = adata[:] if view else adata
    before = snapshot(adata)
    with pytest.raises(ValueError):
        write_results(
            adata,
            copy=False,
            obs={"old": np.arange(120), "new": np.arange(120)},
            uns={"old": 2, "new": 3},
            obsm={"old": np.zeros((120, 3)), "new": np.zeros((120, 3)), "wrong": np.zeros((3, 3))},
        )
    assert snapshot(adata) == before
