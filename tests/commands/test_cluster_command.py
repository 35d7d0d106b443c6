from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import anndata as ad
import numpy as np
import pytest

from conftest import simulated_counts
from scclu import __version__, tl
from scclu.__main__ import main

QUICK = ["--set", "max_epochs=2", "--set", "accelerator=cpu", "--set", "n_hidden=16"]


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "in.h5ad"
    simulated_counts().write_h5ad(path)
    return path


def command(given, output, *more):
    return ["cluster", str(given), str(output), "--method", "cicl", *QUICK, *more]


def test_summary_and_file_are_the_tools(given, tmp_path, capsys):
    before, output = given.read_bytes(), tmp_path / "out.h5ad"
    assert main(command(given, output, "--n-clusters", "3", "--layer", "counts", "--seed", "1", "--json")) == 0
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert summary.pop("seconds") > 0 and sum(summary.pop("sizes").values()) == 120
    assert summary == {
        "n_cells": 120,
        "n_clusters": 3,
        "n_clusters_source": "user",
        "version": __version__,
        "key": "cicl",
    }
    assert "Wrote obs['cicl']" in said.err
    assert given.read_bytes() == before and sorted(os.listdir(tmp_path)) == ["in.h5ad", "out.h5ad"]
    written, expected = ad.read_h5ad(output), ad.read_h5ad(given)
    tl.cicl(expected, 3, layer="counts", random_state=1, max_epochs=2, accelerator="cpu", n_hidden=16)
    assert written.obs["cicl"].tolist() == expected.obs["cicl"].tolist()
    assert np.array_equal(written.obsm["X_cicl"], expected.obsm["X_cicl"])


def test_input_is_never_the_output(given, tmp_path, capsys):
    (tmp_path / "link.h5ad").symlink_to(given)
    os.link(given, tmp_path / "hard.h5ad")
    (tmp_path / "folder").mkdir()
    for output in (given, tmp_path / "folder" / ".." / "in.h5ad", tmp_path / "link.h5ad", tmp_path / "hard.h5ad"):
        assert main(command(given, output, "--overwrite")) == 2
        assert "OUT must be another file than IN" in capsys.readouterr().err


def test_existing_output_is_replaced_on_demand(given, tmp_path, capsys):
    output = tmp_path / "out.h5ad"
    output.write_text("kept")
    assert main(command(given, output)) == 2
    assert "Pass --overwrite" in capsys.readouterr().err and output.read_text() == "kept"
    assert main(command(given, output, "--overwrite", "--n-clusters", "3", "--key-added", "found")) == 0
    assert re.match(r"120 cells in 3 clusters of \d+, .*obs\['found'\]", capsys.readouterr().out)
    assert ad.read_h5ad(output).obs["found"].nunique() == 3


@pytest.mark.parametrize(("error", "code"), [(OSError("No space left on device"), 1), (KeyboardInterrupt(), 130)])
def test_no_half_file(given, tmp_path, monkeypatch, capsys, error, code):
    def write(adata, path, **kwargs):
        path.write_bytes(b"half")
        raise error

    output = tmp_path / "out.h5ad"
    output.write_text("kept")
    monkeypatch.setattr(ad.AnnData, "write_h5ad", write)
    assert main(command(given, output, "--overwrite", "--n-clusters", "3")) == code
    said = capsys.readouterr()
    assert "was not written" in said.err.splitlines()[-1] and not said.out
    assert output.read_text() == "kept" and sorted(os.listdir(tmp_path)) == ["in.h5ad", "out.h5ad"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layer", "x"], r"layer must be a key of adata.layers, but 'x' was passed. There are: 'counts'"),
        (["--n-clusters", "1"], "n_clusters must be at least 2, but 1 was passed"),
        (["--key-added", "a/b"], "--key-added must be a name without '/'"),
        (["--set", "nothing=1"], "CICL has no argument 'nothing'. There are: "),
    ],
)
def test_bad_input(given, tmp_path, capsys, arguments, said):
    assert main(command(given, tmp_path / "out.h5ad", *arguments)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and re.search(said, error)
    assert os.listdir(tmp_path) == ["in.h5ad"]


def test_bad_paths(given, tmp_path, capsys):
    (tmp_path / "broken.h5ad").write_text("no HDF5")
    for paths, said in [
        ((tmp_path / "none.h5ad", tmp_path / "out.h5ad"), "there is none at"),
        ((tmp_path / "broken.h5ad", tmp_path / "out.h5ad"), "cannot be read"),
        ((given, tmp_path / "none" / "out.h5ad"), "OUT must be in a writable directory"),
        ((given, tmp_path), "OUT must be the path of a file"),
    ]:
        assert main(command(*paths)) == 2
        error = capsys.readouterr().err
        assert said in error and error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.parametrize("setting", ["max_epochs", "copy=true"])
def test_bad_settings(given, tmp_path, capsys, setting):
    with pytest.raises(SystemExit, match="2"):
        main(command(given, tmp_path / "out.h5ad", "--set", setting))
    assert "must be NAME=VALUE" in capsys.readouterr().err


def test_process_prints_json_alone(given, tmp_path):
    arguments = ["cluster", str(given), str(tmp_path / "out.h5ad"), "--method", "scsiameseclu", "--n-clusters", "3"]
    arguments += ["--set", "max_epochs=1", "--set", "accelerator=cpu", "--json"]
    ended = subprocess.run([sys.executable, "-m", "scclu", *arguments], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["key"] == "scsiameseclu" and "Traceback" not in ended.stderr
