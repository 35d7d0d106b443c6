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
from scclu._commands.cluster import _write_to

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
    def write(path, adata):
        path.write_bytes(b"half")
        raise error

    output = tmp_path / "out.h5ad"
    output.write_text("kept")
    monkeypatch.setattr("scclu._commands.cluster._write_to", write)
    assert main(command(given, output, "--overwrite", "--n-clusters", "3")) == code
    said = capsys.readouterr()
    assert "was not written" in said.err.splitlines()[-1] and not said.out
    assert output.read_text() == "kept" and sorted(os.listdir(tmp_path)) == ["in.h5ad", "out.h5ad"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layer", "x"], r"layer must be a key of adata.layers, but 'x' was passed. There are: 'counts'"),
        (["--alpha", "2"], "alpha must be at least 0 and at most 1, but 2.0 was passed"),
        (["--seed", "-1"], "seed must be at least 0"),
        (["--set", "max_epochs=0"], "max_epochs must be at least 1, but 0"),
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
    for name in ("folder.h5ad", "folder.zarr"):
        (tmp_path / name).mkdir()
    for paths, said in [
        ((tmp_path / "none.h5ad", tmp_path / "out.h5ad"), "there is none at"),
        ((tmp_path / "broken.h5ad", tmp_path / "out.h5ad"), "cannot be read"),
        ((given, tmp_path / "none" / "out.h5ad"), "OUT must be in a writable directory"),
        ((given, tmp_path), "OUT must end in .h5ad or .zarr"),
        ((given, tmp_path / "out.csv"), "OUT must end in .h5ad or .zarr, but "),
        ((given, tmp_path / "folder.h5ad"), "OUT must be the path of a file or zarr store"),
        ((given, tmp_path / "folder.zarr"), "OUT must be the path of a file or zarr store"),
    ]:
        assert main(command(*paths)) == 2
        error = capsys.readouterr().err
        assert said in error and error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.parametrize("setting", ["max_epochs", "copy=true"])
def test_bad_settings(given, tmp_path, capsys, setting):
    with pytest.raises(SystemExit, match="2"):
        main(command(given, tmp_path / "out.h5ad", "--set", setting))
    assert "must be NAME=VALUE" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*zarr:UserWarning")
def test_zarr_store(given, tmp_path, capsys, no_training):
    output = tmp_path / "out.zarr"
    for more in ([], ["--overwrite", "--alpha", "0.01"]):
        assert main(command(given, output, "--n-clusters", "3", *more)) == 0, capsys.readouterr().err
    written = ad.read_zarr(output)
    assert written.obs["cicl"].nunique() == 3 and written.uns["cicl"]["params"]["alpha"] == 0.01
    assert sorted(os.listdir(tmp_path)) == ["in.h5ad", "out.zarr"]


def test_version_and_name(capsys):
    for arguments, said in ((["--version"], f"scclu {__version__}\n"), (["--help"], "usage: scclu [-h] [--version]")):
        with pytest.raises(SystemExit, match="0"):
            main(arguments)
        assert capsys.readouterr().out.startswith(said)


@pytest.mark.parametrize("arguments", [["--set", "max_epochs=0"], ["--method", "scsiameseclu"]])
def test_refused_before_cells_are_clustered(given, tmp_path, capsys, monkeypatch, arguments):
    """Values of the training, and counts, are checked first."""
    adata = ad.read_h5ad(given)
    adata.X = adata.X * 0.5
    del adata.layers["counts"]
    adata.write_h5ad(given)
    monkeypatch.setattr("scclu.methods._base.tree_clusters", lambda *_, **__: pytest.fail("cells were clustered"))
    given_first = ["cluster", str(given), str(tmp_path / "out.h5ad"), "--method", "cicl", *arguments]
    assert main(given_first) == 2
    assert re.search("max_epochs must be at least 1|ZINB needs raw counts", capsys.readouterr().err)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_full_disk(given, tmp_path, monkeypatch, capsys, no_training):
    """A file on a full device is not left behind, and the message says why."""

    def on_full_device(path, adata):
        path.symlink_to("/dev/full")
        _write_to(path, adata)

    monkeypatch.setattr("scclu._commands.cluster._write_to", on_full_device)
    assert main(command(given, tmp_path / "out.h5ad", "--n-clusters", "3")) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "was not written" in error and "No space left on device" in error
    assert os.listdir(tmp_path) == ["in.h5ad"]


def test_process_prints_json_alone(given, tmp_path):
    arguments = ["cluster", str(given), str(tmp_path / "out.h5ad"), "--method", "scsiameseclu", "--n-clusters", "3"]
    arguments += ["--set", "max_epochs=1", "--set", "accelerator=cpu", "--json"]
    ended = subprocess.run([sys.executable, "-m", "scclu", *arguments], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["key"] == "scsiameseclu" and "Traceback" not in ended.stderr
