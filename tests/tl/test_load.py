"""Calls at the same time, and many calls in a row."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import anndata as ad
import pytest

import scclu
from conftest import QUICK, QUICK_SIAMESE, simulated_counts
from scclu._process import one_at_a_time
from scclu.tl import _write
from shared_checks import assert_equal_results, global_random_state, result

ARGUMENTS = {"cicl": QUICK, "scsiameseclu": QUICK_SIAMESE}
# other seeds, so that one call's random numbers would show in another's
CALLS = [("cicl", 1, 3), ("cicl", 2, None), ("scsiameseclu", 3, 3), ("cicl", 4, 4), ("scsiameseclu", 5, None)]


def call(method: str, seed: int, n_clusters: int | None):
    adata = simulated_counts(60, 40)
    getattr(scclu.tl, method)(adata, n_clusters, random_state=seed, **ARGUMENTS[method])
    return result(adata, method)


@pytest.mark.parametrize("calls", [CALLS[::2], pytest.param(CALLS * 2, marks=pytest.mark.slow)], ids=len)
def test_threads(calls):
    """Calls in two threads at once, each with the result that it has alone."""
    alone = [call(*arguments) for arguments in calls]
    state, filters = global_random_state(), list(warnings.filters)
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(call, *zip(*calls, strict=True)))
    assert global_random_state() == state and warnings.filters == filters
    for ours, expected in zip(together, alone, strict=True):
        assert_equal_results(ours, expected)


@pytest.mark.slow
def test_processes(tmp_path):
    """Processes at once, each with the result that it has alone."""
    given = tmp_path / "in.h5ad"
    simulated_counts(60, 40).write_h5ad(given)
    running = []
    try:
        for method, seed in (("cicl", 1), ("scsiameseclu", 2), ("cicl", 3)):
            output = tmp_path / f"{seed}.h5ad"
            options = [
                f"--set={name}={value if isinstance(value, str) else json.dumps(value)}"
                for name, value in ARGUMENTS[method].items()
            ]
            arguments = [given, output, "--method", method, "--n-clusters", "3", "--seed", str(seed), *options]
            command = [sys.executable, "-m", "scclu", "cluster", *arguments]
            running.append((method, seed, output, subprocess.Popen(command, stderr=subprocess.DEVNULL)))
        for method, seed, output, process in running:
            assert process.wait() == 0
            assert_equal_results(result(ad.read_h5ad(output), method), call(method, seed, 3))
    finally:
        for *_, process in running:
            process.kill()
            process.wait()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
def test_fork_while_another_thread_calls():
    """A child does not wait for a thread of its parent."""
    inside, done = threading.Event(), threading.Event()
    wait = one_at_a_time(lambda: (inside.set(), done.wait()))
    thread = threading.Thread(target=wait)
    thread.start()
    inside.wait()
    child = os.fork()
    if child == 0:
        caller = threading.Thread(target=one_at_a_time(lambda: None), daemon=True)
        caller.start()
        caller.join(10)
        os._exit(caller.is_alive())
    status = os.waitpid(child, 0)[1]
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0


LEAK = """
import logging, os, pickle, sys
from pathlib import Path
import scclu

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

adata, method, arguments, n_calls = pickle.load(sys.stdin.buffer)
for i in range(10 + n_calls):
    if i == 10:
        before = resident_mb()
    getattr(scclu.tl, method)(adata, 3, random_state=i, **arguments)
print(resident_mb() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux' /proc")
@pytest.mark.parametrize("method", ARGUMENTS)
def test_memory(method):
    """Calls in a row in one process, after ten to warm up; they leak less than 50 MB."""
    n_calls = 50
    given = pickle.dumps((simulated_counts(60, 40), method, ARGUMENTS[method] | {"max_epochs": 1}, n_calls))
    done = subprocess.run([sys.executable, "-c", LEAK], input=given, capture_output=True, check=True)
    assert float(done.stdout) < 50


@pytest.mark.parametrize("arguments", [{}, {"n_clusters": 10_000}, {"max_epochs": -1}], ids=str)
@pytest.mark.parametrize("method", ARGUMENTS)
def test_nothing_holds_the_data_after_a_call(method, arguments, monkeypatch):
    """scvi-tools keeps every AnnData that was set up; a call's own would keep the user's matrix in memory."""
    shells = []
    model_input = _write.model_input

    def remember(*args, **kwargs):
        shell = model_input(*args, **kwargs)
        shells.append(weakref.ref(shell))
        return shell

    monkeypatch.setattr(_write, "model_input", remember)
    with pytest.raises(ValueError) if arguments else contextlib.nullcontext():
        getattr(scclu.tl, method)(simulated_counts(60, 40), **({"n_clusters": 3} | ARGUMENTS[method] | arguments))
    gc.collect()
    # a number of epochs that cannot be is refused before there is any
    assert len(shells) == ("max_epochs" not in arguments) and not any(shell() for shell in shells)
