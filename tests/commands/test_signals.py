"""Signals, closed streams and full devices: the exit code says what happened, and the output is whole or absent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import anndata
import numpy as np
import pytest

from conftest import simulated_counts
from scclu._commands._reporting import print_result
from scclu._commands._signals import Interruption

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

ARGUMENTS = "cluster in.h5ad out.h5ad --method cicl --n-clusters 3 --set max_epochs=2".split()


def command(folder, **options):
    return subprocess.Popen([sys.executable, "-m", "scclu", *ARGUMENTS], cwd=folder, text=True, **options)


@pytest.fixture
def folder(tmp_path):
    simulated_counts(100, 40).write_h5ad(tmp_path / "in.h5ad")
    return tmp_path


def assert_whole_or_absent(folder, code):
    assert not [name for name in os.listdir(folder) if name.startswith(".scclu-")]
    if (folder / "out.h5ad").exists():
        assert anndata.read_h5ad(folder / "out.h5ad").obs["cicl"].nunique() == 3
    else:
        assert code != 0


def test_first_signal_is_remembered():
    interruption = Interruption()
    before = [signal.getsignal(each) for each in SIGNALS]
    with interruption.installed():
        for each in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), each)
            time.sleep(0.01)
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
    assert interruption.exit_code == 143
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_signal_raises_where_it_may():
    interruption = Interruption()
    with interruption.installed(), pytest.raises(KeyboardInterrupt):
        interruption.release()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert interruption.exit_code == 143


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_full_device(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert isinstance(print_result("text"), OSError)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_random_moments(folder, number):
    rng = np.random.default_rng(int(number))
    start = time.monotonic()
    assert command(folder).wait() == 0
    whole = time.monotonic() - start
    for _ in range(5):
        (folder / "out.h5ad").unlink(missing_ok=True)
        process = command(folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.3, 1.1) * whole)
        process.send_signal(number)
        code = process.wait()
        # before and after the command, while Python starts or ends, the signal ends the process itself
        assert code in (0, 128 + number, -number)
        assert_whole_or_absent(folder, code)


@pytest.mark.slow
def test_closed_standard_error(folder):
    code = subprocess.run(
        f"exec {sys.executable} -m scclu {' '.join(ARGUMENTS)} 2>&-",
        shell=True,
        cwd=folder,
    ).returncode
    assert code == 0
    assert_whole_or_absent(folder, code)


@pytest.mark.slow
def test_closed_pipe(folder):
    read, write = os.pipe()
    os.close(read)
    process = command(folder, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    _, errors = process.communicate()
    assert process.returncode == 1 and "was written, but its summary could not be printed" in errors
    assert_whole_or_absent(folder, process.returncode)
