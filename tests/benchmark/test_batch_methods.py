"""The benchmark on data with batches."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from conftest import simulated_counts
from scclu import benchmark, metrics
from scclu.__main__ import main
from scclu.benchmark import runs, scib
from scclu.benchmark.batch_methods import BATCH_METHODS
from scclu.benchmark.panel import EMBEDDING, EMBEDDINGS


def shifted_counts(n_cells=300, n_genes=100):
    """Three types in two batches, the second of which has other levels of a third of the genes."""
    adata = simulated_counts(n_cells, n_genes)
    rng = np.random.default_rng(0)
    factor = np.exp(1.5 * rng.standard_normal(n_genes) * (rng.random(n_genes) < 0.33))
    in_b = (adata.obs["batch"] == "b").to_numpy()[:, None]
    counts = rng.poisson(adata.X.toarray() * np.where(in_b, factor, 1.0)).astype(np.float32)
    return ad.AnnData(counts, obs=adata.obs.rename(columns={"type": "cell_type"}))


@pytest.fixture
def folder(tmp_path):
    """One file with batches and three without."""
    folder = tmp_path / "data"
    folder.mkdir()
    adata = shifted_counts()
    batches = "type " + adata.obs["cell_type"].astype(str) + " of " + adata.obs["batch"].astype(str)
    columns = {"good": batches, "missing": batches.where(np.arange(300) > 1), "one": "a", "none": None}
    for name, column in columns.items():
        adata.obs = adata.obs[["cell_type"]] if column is None else adata.obs.assign(batch=column)
        adata.write_h5ad(folder / f"{name}.h5ad")
    return folder


@pytest.fixture
def processes(monkeypatch):
    """What methods were started with; they find the clusters 0, 1, 2, 0, ... and scores are 0.5."""
    started = []

    def start(command, **kwargs):
        if command[2] == "scclu.benchmark.scib":
            labels = json.loads(kwargs["input"])
            assert len(labels) == 300 and set(labels) == set("012")
            Path(command[5]).write_text(json.dumps(dict.fromkeys(["scib_bio", "scib_batch", "scib_total"], 0.5)))
            return subprocess.CompletedProcess(command, 0)
        cells = ad.read_h5ad(command[4])
        started.append((command, cells))
        n_cells = cells.n_obs
        np.savez(
            command[5],
            labels=np.arange(n_cells) % 3,
            embedding=np.zeros((n_cells, 2), np.float32),
            **{"call_s": 1.0, "cpu_s": 0.5, "peak_mb": 100.0},
        )
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", start)
    monkeypatch.setattr(runs, "check_installed", lambda: None)
    monkeypatch.setattr(runs, "find_spec", lambda name: None if name == "harmonypy" else sys)
    return started


def test_files_with_batches_are_run_and_others_named(folder, tmp_path, processes, capsys):
    out = tmp_path / "out"
    command = ["benchmark", str(folder), "--seeds", "0", "--out", str(out), "--batch-key", "batch"]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert "none is left out: obs has no 'batch', but 'cell_type'." in said
    assert "one is left out: all cells have the same obs['batch']." in said
    assert "missing is left out: obs['batch'] has 2 missing values." in said
    table = pd.read_csv(out / "results.csv")
    assert set(table["data"]) == {"good"} and set(table["method"]) == set(BATCH_METHODS)
    assert (table.groupby("method")["mode"].nunique() == 2).all()
    assert set(table.loc[table["method"] == "harmony-leiden", "status"]) == {"not installed"}
    done = table[table["status"] == "ok"]
    assert len(done) == 8 and done["n_batches"].eq(6).all() and done["scib_total"].eq(0.5).all()
    summary = (out / "summary.md").read_text()
    assert "Leiden, not corrected" in summary and "### scIB, bio conservation" in summary
    # nothing is run again, and runs without batches are others
    assert main(command) == 0 and len(processes) == 9  # of which one has trained scVI
    table = benchmark.run(folder, ["leiden"], [0], out=out, modes=["k-free"])
    assert len(processes) == 13 and "batch_key" not in table


def test_methods_see_numbers_of_batches_and_no_labels(folder, tmp_path, processes):
    benchmark.run(folder, ["leiden"], [0], out=tmp_path / "out", batch_key="batch")
    for command, cells in processes:
        assert "--batches" in command and list(cells.obs) == ["batch"]
        assert set(cells.obs["batch"]) == set("012345")
    benchmark.run(folder, ["leiden"], [0], out=tmp_path / "other")
    command, cells = processes[-1]
    assert "--batches" not in command and list(cells.obs) == []


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (
            {"batch_key": "plate"},
            ValueError,
            "none of the 4 files has batches. good: obs has no 'plate', but 'cell_type'",
        ),
        ({"batch_key": "batch", "methods": ["louvain"]}, ValueError, "must be one of 'cicl', .*'harmony-leiden'"),
        ({"methods": ["harmony-leiden"]}, ValueError, "but 'harmony-leiden' was"),
    ],
)
def test_bad_input(folder, tmp_path, processes, options, error, match):
    with pytest.raises(error, match=match):
        benchmark.run(folder, seeds=[0], out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_score_that_fails_keeps_the_run(folder, tmp_path, processes, monkeypatch):
    start = subprocess.run

    def fails(command, **kwargs):
        if command[2] == "scclu.benchmark.scib":
            kwargs["stdout"].write(b"ValueError: too few cells\n")
            return subprocess.CompletedProcess(command, 1)
        return start(command, **kwargs)

    monkeypatch.setattr(subprocess, "run", fails)
    table = benchmark.run(folder, ["leiden"], [0], out=tmp_path / "out", batch_key="batch", modes=["k-free"])
    assert table["status"].tolist() == ["ok"] and table["error"].tolist() == ["scIB: ValueError: too few cells"]
    assert table["ari"].notna().all() and table["scib_total"].isna().all()


def test_missing_scib_is_said(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scib, "find_spec", lambda name: None)
    command = ["benchmark", str(folder), "--out", str(tmp_path / "out"), "--batch-key", "batch"]
    assert main(command) == 2
    assert 'pip install "scib-metrics>=' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", BATCH_METHODS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_methods_correct_and_leave_their_representation(name, monkeypatch, no_training):
    if name == "harmony-leiden":
        pytest.importorskip("harmonypy", reason="harmonypy is in the dependency group batch-benchmark")
    truth = (adata := shifted_counts(150)).obs["cell_type"]
    adata.obs = adata.obs[["batch"]].astype(str)
    seen = []
    if name in ("cicl", "scsiameseclu"):
        from scclu import tl

        tool = getattr(tl, name)

        def quick(*args, **settings):
            seen.append(settings["batch_key"])
            return tool(*args, max_epochs=1, accelerator="cpu", **settings)

        monkeypatch.setattr(tl, name, quick)
    if name == "scvi-leiden":
        from scvi.model import SCVI

        monkeypatch.setattr(SCVI, "train", lambda self, *_, **__: seen.append(self.summary_stats["n_batch"]))
        monkeypatch.setattr(SCVI, "get_latent_representation", lambda self: self.adata.X[:, :10])
    method = BATCH_METHODS[name]
    if method.embedding is not None:
        adata.obsm[EMBEDDING] = EMBEDDINGS[method.embedding](adata, 0)
    labels = method.cluster(adata, 3, 0)
    assert len(labels) == len(adata.obsm[EMBEDDING]) == adata.n_obs and len(set(labels)) == 3
    assert seen in ([], ["batch"], [2])
    if name == "harmony-leiden":
        assert metrics.ari(truth, labels) > 0.8


def test_scores_of_scib():
    pytest.importorskip("scib_metrics", reason="scib-metrics is in the dependency group batch-benchmark")
    adata = shifted_counts()
    rng = np.random.default_rng(0)
    labels, batches = adata.obs["cell_type"].copy(), adata.obs["batch"]
    types, batch = (pd.get_dummies(each).to_numpy(float) for each in (labels, batches))
    noise = rng.normal(0, 0.3, (adata.n_obs, 5))
    before = np.hstack([3 * types, 3 * batch]) + noise
    labels[:2] = np.nan
    mixed, apart = (
        scib.scib_scores(np.hstack([3 * types, strength * batch]) + noise, before, labels, batches)
        for strength in (0, 3)
    )
    assert all(0 <= value <= 1 for value in (mixed | apart).values())
    assert mixed["scib_batch"] > apart["scib_batch"] + 0.1 and mixed["scib_total"] > apart["scib_total"]
    assert mixed["scib_total"] == pytest.approx(0.6 * mixed["scib_bio"] + 0.4 * mixed["scib_batch"])
