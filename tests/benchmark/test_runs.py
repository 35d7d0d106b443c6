from __future__ import annotations

import json
import re
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from conftest import simulated_counts
from scclu import benchmark, metrics
from scclu.__main__ import main
from scclu.benchmark import panel, runs, worker
from scclu.benchmark.labelled_data import find_datasets
from scclu.benchmark.panel import METHODS


def write(folder, name, adata):
    adata.obs = adata.obs.rename(columns={"type": "cell_type"})
    adata.write_h5ad(folder / f"{name}.h5ad")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder, "good", simulated_counts())
    return folder


@pytest.fixture
def processes(monkeypatch):
    """Commands that were started; they write the clusters 0, 1, 2, ... after a moment's work."""
    commands = []

    def start(command, **kwargs):
        commands.append(command)
        n_cells = ad.read_h5ad(command[4]).n_obs
        np.savez(command[5], labels=np.arange(n_cells) % 3, call_s=1.0, cpu_s=0.5, peak_mb=100.0)
        if "--embed" in command:
            np.savez(command[5], embedding=np.zeros((n_cells, 2)), call_s=9.0, cpu_s=8.0, peak_mb=700.0)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", start)
    return commands


def test_processes_failures_tables_and_resumption(folder, tmp_path, capsys):
    write(folder, "bad", simulated_counts()[:, :1].copy())  # one gene has no principal components
    out = tmp_path / "out"
    command = ["benchmark", str(folder), "--methods", "pca-kmeans", "--seeds", "0", "--out", str(out)]
    assert main(command) == 0
    assert "[2/2] good.pca-kmeans.true-k.seed0: ARI" in capsys.readouterr().err
    table = pd.read_csv(out / "results.csv").set_index("data")
    assert table["status"].to_dict() == {"bad": "failed", "good": "ok"}
    assert table.at["bad", "error"].startswith("ValueError: ")
    good = table.loc["good"]
    assert good["n_clusters"] == good["n_types"] == 3 and good["n_cells"] == 120
    assert good["ari"] > 0.8 and good["nmi"] >= good["nmi_max"] > 0.7 and good["acc"] > 0.9
    assert 0 < good["call_s"] < good["process_s"] and 50 < good["peak_mb"] < 2000
    summary = (out / "summary.md").read_text()
    assert f"| good | {good['ari']:.3f} |" in summary and "| bad | failed |" in summary
    assert (out / "ari.png").stat().st_size > 5_000
    # nothing is run again, the failure neither
    assert "Traceback" in (out / "runs" / "bad.pca-kmeans.true-k.seed0.log").read_text()
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    assert main(command) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}


def test_only_what_is_missing_or_stale_is_run(folder, tmp_path, processes):
    out = tmp_path / "out"
    first = benchmark.run(folder, ["pca-kmeans"], [0, 1], out=out)
    assert len(processes) == 2
    pd.testing.assert_frame_equal(benchmark.run(folder, ["pca-kmeans"], [0, 1], out=out), first)
    assert len(processes) == 2
    table = benchmark.run(folder, ["pca-kmeans", "leiden"], [0, 1], out=out)
    assert len(processes) == 6 and len(table) == 6
    write(folder, "good", simulated_counts(seed=1))
    benchmark.run(folder, ["pca-kmeans"], [0], out=out)
    assert len(processes) == 7


def test_interrupt_loses_the_running_cell_alone(folder, tmp_path, processes, monkeypatch, capsys):
    start = subprocess.run

    def interrupted(command, **kwargs):
        if command[-1] == "3" and "1" in command:  # --seed 1 --n-clusters 3
            raise KeyboardInterrupt
        return start(command, **kwargs)

    monkeypatch.setattr(subprocess, "run", interrupted)
    command = ["benchmark", str(folder), "--methods", "pca-kmeans", "--out", str(tmp_path / "out")]
    assert main(command) == 130
    assert "again to resume" in capsys.readouterr().err
    assert pd.read_csv(tmp_path / "out" / "results.csv")["seed"].tolist() == [0]
    monkeypatch.setattr(subprocess, "run", start)
    assert main(command) == 0
    assert [command[command.index("--seed") + 1] for command in processes] == ["0", "1", "2"]


def test_timeout_is_recorded_and_retried_on_demand(folder, tmp_path):
    options = {"out": tmp_path / "out", "modes": ["true-k"], "timeout": 0.01}
    table = benchmark.run(folder, ["pca-kmeans", "leiden"], [0], **options)
    assert table["status"].tolist() == ["failed", "failed"]
    assert table["error"].tolist() == ["stopped after 0.01 s (timeout)"] * 2
    kept = tmp_path / "out" / "runs" / "good.leiden.true-k.seed0.json"
    seconds = json.loads(kept.read_text())["process_s"]
    benchmark.run(folder, ["leiden"], [0], **options)
    assert json.loads(kept.read_text())["process_s"] == seconds
    benchmark.run(folder, ["leiden"], [0], retry_failed=True, **options)
    assert json.loads(kept.read_text())["process_s"] != seconds
    command = ["benchmark", str(folder), "--methods", "leiden", "--modes", "true-k", "--seeds", "0"]
    assert main([*command, "--out", str(options["out"])]) == 1  # nothing succeeded, and nothing is run again


def test_methods_see_no_labels(folder, tmp_path, monkeypatch):
    adata = simulated_counts()
    adata.obs_names = [f"{name}_{i}" for i, name in enumerate(adata.obs["type"])]
    adata.X = adata.X.multiply(np.arange(120)[:, None] != 3).tocsr()
    adata.layers["counts"] = adata.X.copy()
    adata.obsm["X_type"] = pd.get_dummies(adata.obs["type"]).to_numpy(float)
    adata.obs.loc[adata.obs_names[:2], "type"] = np.nan
    write(folder, "good", adata)
    seen = []

    def start(command, **kwargs):
        seen.append((command, ad.read_h5ad(command[4])))
        labels = np.delete(adata.obs["cell_type"].astype(str).to_numpy(str), 3)
        np.savez(command[5], labels=labels, call_s=1.0, cpu_s=0.5, peak_mb=100.0)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", start)
    table = benchmark.run(folder, ["leiden"], [0], out=tmp_path / "out")
    assert table["n_cells"].eq(119).all() and table["ari"].eq(1.0).all()  # two cells have no label to agree with
    for (command, shell), mode in zip(seen, ["true-k", "k-free"], strict=True):
        assert shell.obs.shape[1] == 0 and shell.obs_names.tolist() == [str(i) for i in range(119)]
        assert not (shell.obsm or shell.uns or shell.layers or shell.obsp or shell.varm or len(shell.var.columns))
        assert str(folder) not in " ".join(command)
        assert ("--n-clusters" in command) == (mode == "true-k")


def test_counts_layer_is_clustered_where_there_is_one(folder):
    adata = simulated_counts()
    adata.X = adata.X.log1p()
    write(folder, "good", adata)
    cells, _, kind = find_datasets(folder, "cell_type")[0].split()
    assert kind == "counts" and np.array_equal(cells.X, adata.layers["counts"].toarray())


def test_not_installed_and_not_applicable(folder, tmp_path, processes, monkeypatch):
    adata = simulated_counts()
    adata.X = adata.X.log1p()
    del adata.layers["counts"]
    write(folder, "logged", adata)
    monkeypatch.setattr(runs, "find_spec", lambda name: None if name == "louvain" else sys)
    table = benchmark.run(folder, ["louvain", "scvi-kmeans", "pca-kmeans"], [0], out=tmp_path / "out")
    status = table.set_index(["data", "method"])["status"]
    assert status[:, "louvain"].tolist() == ["not installed"] * 2
    assert status[:, "scvi-kmeans"].to_dict() == {"good": "ok", "logged": "not applicable"}
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert "(1 of 2 datasets)" in summary and "mean of 1 common" in summary


def test_an_embedding_is_computed_once(folder, tmp_path, processes):
    methods, out = ["scvi-kmeans", "scvi-leiden"], tmp_path / "out"
    table = benchmark.run(folder, methods[:1], [0, 1], out=out)
    table = benchmark.run(folder, methods, [0, 1], out=out)
    assert table["status"].eq("ok").all() and len(table) == 6
    embedded = [command for command in processes if "--embed" in command]
    assert [command[command.index("--seed") + 1] for command in embedded] == ["0", "1"]
    used = [command[command.index("--embedding") + 1] for command in processes if "--embedding" in command]
    assert sorted(used) == sorted(3 * [command[5] for command in embedded])
    write(folder, "good", simulated_counts(seed=1))  # other cells
    benchmark.run(folder, methods, [0], out=out)
    assert "--embed" in processes[-4] and len(processes) == 12


def test_an_embedding_that_failed_is_not_repeated(folder, tmp_path, monkeypatch):
    started = []

    def fails(command, **kwargs):
        started.append(command)
        raise subprocess.TimeoutExpired(command, kwargs["timeout"])

    monkeypatch.setattr(subprocess, "run", fails)
    options = {"methods": ["scvi-kmeans", "scvi-leiden"], "seeds": [0], "out": tmp_path / "out", "timeout": 5}
    table = benchmark.run(folder, **options)
    assert table["error"].tolist() == ["stopped after 5 s (timeout)"] * 3 and len(started) == 1
    assert "scvi" in (tmp_path / "out" / "embeddings" / "good.scvi.seed0.log").name
    benchmark.run(folder, retry_failed=True, **options)
    assert len(started) > 1


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:Tensorflow not installed:ImportWarning")
def test_costs_include_those_of_the_embedding(tmp_path, monkeypatch):
    cells, embedded, result = (str(tmp_path / name) for name in ("cells.h5ad", "embedding.npz", "result.npz"))
    simulated_counts().write_h5ad(cells)
    monkeypatch.setitem(panel.EMBEDDINGS, "scvi", lambda adata, seed: adata.X[:, seed : seed + 5].toarray())
    assert worker.main(["scvi-kmeans", cells, embedded, "--seed", "2", "--embed"]) == 0
    with np.load(embedded) as written:
        values = dict(written)
    assert values["embedding"].shape == (120, 5) and 0 < values["call_s"] < 10 and "labels" not in values
    np.savez(embedded, **values | {"call_s": 100.0, "cpu_s": 50.0, "peak_mb": 1e6})
    for method, more in (("scvi-kmeans", ["--n-clusters", "3"]), ("scvi-leiden", [])):
        assert worker.main([method, cells, result, "--embedding", embedded, *more]) == 0
        with np.load(result) as written:
            assert written["labels"].shape == (120,) and 100 < written["call_s"] < 200
            assert 50 < written["cpu_s"] < 100 and written["peak_mb"] == 1e6


@pytest.mark.parametrize("n_clusters", [2, None])
def test_core_is_the_cut_of_the_tree_of_cicl(n_clusters, no_training):
    from scclu.model import CICL

    adata = simulated_counts(400)
    labels = METHODS["core"].cluster(adata.copy(), n_clusters, 1)
    CICL.setup_anndata(adata)
    model = CICL(adata, n_clusters, random_state=1)
    model.train(max_epochs=1, accelerator="cpu")
    assert metrics.ari(model.tree_.cut(model.n_clusters)[model.fine_], labels) == 1
    # any two of the three types may be together in two clusters
    least = 0.9 if n_clusters is None else 0.3
    assert len(set(labels)) == model.n_clusters and metrics.ari(adata.obs["type"], labels) > least


def test_file_that_cannot_be_clustered_is_a_failure(folder, tmp_path, processes):
    adata = simulated_counts()
    adata.layers["counts"].data[0] = np.nan
    write(folder, "nan", adata)
    table = benchmark.run(folder, ["pca-kmeans"], [0], out=tmp_path / "out").set_index("data")
    assert table["status"].to_dict() == {"good": "ok", "nan": "failed"}
    assert "NaN" in table.at["nan", "error"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--methods", "kmeans"], "methods must be one of 'cicl', .*but 'kmeans' was"),
        (["--modes", "k"], "modes must be one of 'true-k', 'k-free', but 'k'"),
        (["--methods", "louvain", "--modes", "true-k"], "None of the methods louvain supports the modes true-k"),
        (["--labels-key", "x"], r"good.h5ad has no 'x'. There are: 'cell_type', 'batch'. Pass"),
        (["--seeds", "-1"], "seeds must be at least 0 and below 4294967296, but -1"),
        (["--timeout", "0"], "timeout must be"),
    ],
)
def test_bad_input(folder, tmp_path, capsys, arguments, said):
    assert main(["benchmark", str(folder), "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert re.search(said, error)
    assert not (tmp_path / "out").exists()


def test_bad_folder(tmp_path):
    with pytest.raises(NotADirectoryError, match="nowhere"):
        benchmark.run(tmp_path / "nowhere", out=tmp_path / "out")
    (tmp_path / "readme.txt").touch()
    with pytest.raises(ValueError, match=r"has none. There are: 'readme.txt'"):
        benchmark.run(tmp_path, out=tmp_path / "out")
    (tmp_path / "broken.h5ad").write_text("no HDF5")
    with pytest.raises(OSError, match=r"broken.h5ad cannot be read"):
        benchmark.run(tmp_path, out=tmp_path / "out")


@pytest.mark.parametrize("name", ["pca-kmeans", "cicl", "scsiameseclu"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_methods_read_what_is_not_counts(name, monkeypatch):
    if name != "pca-kmeans":
        from scclu import tl

        tool = getattr(tl, name)
        monkeypatch.setattr(tl, name, lambda *args, **kwargs: tool(*args, max_epochs=1, accelerator="cpu", **kwargs))
    adata = simulated_counts()
    logged = ad.AnnData(adata.X.log1p())
    labels = METHODS[name].cluster(logged, 3, 0)
    assert labels.shape == (120,) and labels.dtype.kind == "i" and len(set(labels)) == 3
