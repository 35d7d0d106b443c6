from __future__ import annotations

import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scclu.__main__ import main
from scclu.benchmark import memory
from scclu.benchmark.scaling import run_scaling, with_ratios, write_scaling
from scclu.benchmark.scaling_run import METHODS, PHASES, SIZES, _recorded, types_found
from scclu.benchmark.simulation import simulate_counts, type_sizes, write_counts


def test_memory_without_linux_and_without_windows(monkeypatch):
    first = memory.peak_memory()
    assert 0 < memory.resident_memory() <= 1.05 * first  # the system updates the two at different times
    monkeypatch.setattr(memory, "_linux_status", lambda name: None)
    assert memory.peak_memory() == pytest.approx(first, rel=0.5) and np.isnan(memory.resident_memory())
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows, where importing it fails
    assert np.isnan(memory.peak_memory())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux resets the peak")
def test_peak_memory_is_reset():
    values = np.ones(50_000_000 // 8)
    before = memory.peak_memory()
    del values
    memory.reset_peak_memory()
    assert memory.peak_memory() < before - 0.03


def test_simulated_counts():
    adata = simulate_counts(4500, 300, n_batches=3, seed=1)
    assert adata.shape == (4500, 300) and (adata.X.data == adata.X.data.round()).all()
    assert np.median(np.asarray(adata.X.sum(axis=1))) == pytest.approx(0.75 * 300, rel=0.1)
    shares = np.sort(adata.obs["type"].value_counts(normalize=True))
    np.testing.assert_allclose(shares, type_sizes()[-len(shares) :], atol=0.01)
    assert adata.obs["batch"].value_counts().between(1300, 1700).all() and adata.obs["batch"].nunique() == 3
    assert adata.obs_names.is_unique


def test_simulated_types_and_batches_differ():
    """Marker genes differ by type, and all genes by batch."""
    adata = simulate_counts(4000, 200, 3, smallest=0.2, largest=0.5, n_batches=2, counts_per_gene=20, seed=1)
    means = adata.to_df().groupby([adata.obs["type"], adata.obs["batch"]], observed=True).mean()
    means = means.loc[:, means.min() > 0.5]
    means = np.log(means.div(means.sum(axis=1), axis=0).to_numpy())
    between_types, between_batches = np.abs(means[0] - means[2]), np.abs(means[0] - means[1])
    raised = between_types > 0.8  # 2 % of the genes of each of the two
    assert 4 <= raised.sum() <= 8 and np.median(between_types[~raised]) < 0.15
    assert between_batches.mean() == pytest.approx(0.3 * 2 / np.sqrt(np.pi), rel=0.2)


def test_type_sizes():
    sizes = type_sizes()
    assert len(sizes) == 60 and sizes.sum() == pytest.approx(1) and (np.diff(sizes) > 0).all()
    np.testing.assert_allclose(sizes[[0, -1]], (0.0005, 0.1))
    assert (sizes > 0.01).sum() == 22 and (sizes > 0.002).sum() == 40
    with pytest.raises(ValueError, match="8 types must be on both sides of 1 / 8, but 0.0005 .* 0.1"):
        type_sizes(8)


def test_counts_are_negative_binomial():
    """Within a type, but for the depth of the cells: variance = mean + mean^2 / 5."""
    from scclu.benchmark.simulation import _draw

    mean = np.repeat(np.array([[0.05, 0.5, 300.0]], dtype=np.float32), 200_000, axis=0)
    counts = _draw(mean, np.random.default_rng(0)).toarray()
    np.testing.assert_allclose(counts.mean(0), mean[0], rtol=0.03)
    np.testing.assert_allclose(counts.var(0), mean[0] + mean[0] ** 2 / 5, rtol=0.05)
    np.testing.assert_allclose((counts == 0).mean(0), (1 + mean[0] / 5) ** -5.0, rtol=0.01, atol=1e-6)


def test_blocks_are_reproducible(tmp_path):
    write_counts(tmp_path / "cells.h5ad", 4500, 40, seed=3)
    written = ad.read_h5ad(tmp_path / "cells.h5ad")
    expected = simulate_counts(4500, 40, seed=3)
    assert (written.X != expected.X).nnz == 0
    pd.testing.assert_frame_equal(written.obs, expected.obs)
    assert written.var_names.equals(expected.var_names)
    first = simulate_counts(2500, 40, seed=3)
    assert (first.X != expected.X[:2500]).nnz == 0
    assert (first.obs["type"].astype(str) == expected.obs["type"][:2500].astype(str)).all()


def test_types_found():
    types = pd.Series(["large"] * 600 + ["medium"] * 385 + ["small"] * 9 + ["rare"] * 6 + ["single"])
    labels = [*"a" * 600, *"b" * 385, *"c" * 9, *"b" * 6, "d"]
    assert list(types_found(types, labels).values()) == ["2 of 2", "1 of 2", "1 of 1"]
    # half of a type is not more than half
    assert types_found(types, [*"a" * 300, *"e" * 300, *labels[600:]])["types_above_1%"] == "1 of 2"


def test_recorded_functions_are_restored():
    original = memory.peak_memory
    with pytest.raises(ZeroDivisionError), _recorded("scclu.benchmark.memory:peak_memory") as times:
        memory.peak_memory()
        raise ZeroDivisionError
    assert memory.peak_memory is original and len(times["peak_memory"]) == 2
    assert times["peak_memory"][0] <= times["peak_memory"][1]


def test_tables(tmp_path):
    row = dict.fromkeys((*PHASES, "seconds", "cpu_s", "peak_gb", "above_data_gb", "ari"), 1.0) | dict.fromkeys(
        SIZES, "1 of 2"
    )
    rows = [row | {"cells": 5000, "method": name, "mode": "free", "n_clusters": 9} for name in METHODS]
    rows[0] |= {"seconds": 0.5}
    table = with_ratios(pd.DataFrame(rows))
    assert table["vs_scanpy"].tolist() == [0.5, 1.0, 1.0]
    write_scaling(table, tmp_path)
    lines = (tmp_path / "scaling.md").read_text().splitlines()
    assert (
        len(lines) == 5
        and "| 5,000 | CICL | free | 1 | 1 | 1 | 1 | 1 | 0 | 1 | 0.50 | 1.00 | 9 | 1.000 | 1 of 2 |" in lines[2]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scaling.csv", "scaling.md", "scaling.png"]
    alone = with_ratios(pd.DataFrame(rows[:1]))
    assert alone["vs_scanpy"].isna().all()


@pytest.mark.slow
def test_scale_writes_tables_and_a_figure(tmp_path, capsys):
    arguments = ["--cells", "500", "--genes", "200", "--batches", "2", "--out", str(tmp_path)]
    assert main(["benchmark", "scale", *arguments]) == 0
    table = pd.read_csv(tmp_path / "scaling.csv")
    runs = [(name, mode) for name, (_, modes, _) in METHODS.items() for mode in modes]
    assert list(zip(table["method"], table["mode"], strict=True)) == runs and (table["cells"] == 500).all()
    deep = table["method"] != "scanpy"
    assert (table.loc[deep, [*PHASES]] > 0).all(axis=None) and (table["peak_gb"] > 0).all()
    np.testing.assert_allclose(table[[*PHASES]].sum(axis=1), table["seconds"], rtol=0.01)
    assert (table["ari"] > 0.1).all() and table["vs_scanpy"].iloc[-1] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scaling.csv", "scaling.md", "scaling.png"]
    assert "scSiameseClu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["kmeans"]}, "'kmeans' was passed"),
        ({"modes": ["true"]}, "'free', 'given', but 'true' was passed"),
        ({"on_disk": True, "methods": ["cicl", "scanpy"]}, "Leave 'scanpy' out"),
        ({"cells": [5]}, "at least 100, but 5"),
        ({"n_batches": 0}, "at least 1, but 0"),
    ],
)
def test_scale_refuses(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_scaling(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
