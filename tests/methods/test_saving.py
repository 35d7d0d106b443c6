"""Failures while a model is saved: the model that was there stays whole."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import pytest
import torch

from scclu.methods._files import read_model, write_model

FILES = ["model.json", "model.safetensors"]


def _models():
    """Two models, the second larger."""
    for value, size in ((1.0, 500), (2.0, 5000)):
        yield {"class": "CICL", "value": value, "text": "x" * size}, {"weights": torch.full((size,), value)}


def _value(folder):
    state, tensors = read_model(folder, "CICL")
    assert (tensors["weights"] == state["value"]).all()
    return state["value"]


def test_full_disk(tmp_path):
    """Saves that fail at a full disk, after each 100 bytes: the model that was there is whole"""
    first, second = _models()
    write_model(tmp_path, *first, overwrite=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in range(0, 20_000, 100):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                with pytest.raises(OSError) as caught:
                    write_model(tmp_path, *second, overwrite=True)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert caught.value.errno == errno.EFBIG
            assert _value(tmp_path) == 1.0
            assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    finally:
        signal.signal(signal.SIGXFSZ, handler)
    write_model(tmp_path, *second, overwrite=True)
    assert _value(tmp_path) == 2.0


def test_no_space_left(tmp_path):
    """The error of a device that is full reaches the user."""
    first, second = _models()
    write_model(tmp_path, *first, overwrite=False)
    (tmp_path / ".model.safetensors.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        write_model(tmp_path, *second, overwrite=True)
    assert _value(tmp_path) == 1.0


def test_killed_while_saving(tmp_path, monkeypatch):
    """Saves killed before each call to the system: the old model is there, or the new one"""
    first, second = _models()
    values = []
    for n in range(20):
        folder = tmp_path / str(n)
        write_model(folder, *first, overwrite=False)
        child = os.fork()
        if child == 0:
            left = n

            def die_at(function):
                def call(*arguments, **kwargs):
                    nonlocal left
                    if left == 0:
                        os._exit(9)
                    left -= 1
                    return function(*arguments, **kwargs)

                return call

            for name in ("replace", "fsync"):
                monkeypatch.setattr(os, name, die_at(getattr(os, name)))
            monkeypatch.setattr(Path, "open", die_at(Path.open))
            monkeypatch.setattr(Path, "unlink", die_at(Path.unlink))
            write_model(folder, *second, overwrite=True)
            os._exit(0)
        killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        values.append(_value(folder))
        write_model(folder, *first, overwrite=True)  # and it can be saved again
        assert _value(folder) == 1.0
        if not killed:
            break
    assert values == [1.0] * (len(values) - 2) + [2.0] * 2
