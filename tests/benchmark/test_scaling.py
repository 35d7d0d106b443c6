from __future__ import annotations

import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scclu.__main__ import main
from scclu.benchmark import memory
from scclu.benchmark.scaling import METHODS, PHASES, run_scaling
from scclu.benchmark.simulation import simulate_counts, type_sizes, write_counts


def test_memory_without_linux_and_without_windows(monkeypatch):
    first = memory.peak_memory()
    assert 0 < memory.resident_memory() <= 1.05 * first  # the system updates the two at different times
    monkeypatch.setattr(memory, "_linux_status", lambda name: None)
    assert memory.peak_memory() == pytest.approx(first, rel=0.5) and np.isnan(memory.resident_memory())
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows, where importing it fails
    assert np.isnan(memory.peak_memory())


def test_simulated_counts():
    adata = simulate_counts(4500, 300, seed=1)
    assert adata.shape == (4500, 300) and (adata.X.data == adata.X.data.round()).all()
    assert adata.X.nnz / 1_350_000 == pytest.approx(0.05, rel=0.05)
    shares = adata.obs["type"].astype(int).value_counts(normalize=True).reindex(range(20), fill_value=0)
    np.testing.assert_allclose(shares, type_sizes(20), atol=0.02)


def test_type_sizes():
    sizes = type_sizes(20)
    assert sizes.sum() == pytest.approx(1) and sizes[0] == pytest.approx(0.3, rel=0.02)
    assert sizes[-1] == pytest.approx(0.002, rel=0.2) and (np.diff(sizes) < 0).all()


def test_counts_are_negative_binomial():
    """Within a type, but for the depth of the cells: variance = mean + mean^2 / 2."""
    from scclu.benchmark.simulation import _draw

    mean = np.repeat(np.array([[0.05, 0.5, 3.0]], dtype=np.float32), 200_000, axis=0)
    counts = _draw(mean, np.random.default_rng(0)).toarray()
    np.testing.assert_allclose(counts.mean(0), mean[0], rtol=0.03)
    np.testing.assert_allclose(counts.var(0), mean[0] + mean[0] ** 2 / 2, rtol=0.05)
    np.testing.assert_allclose((counts == 0).mean(0), (1 + mean[0] / 2) ** -2.0, rtol=0.01)


def test_written_counts_are_the_same(tmp_path):
    write_counts(tmp_path / "cells.h5ad", 4500, 40, seed=3)
    written = ad.read_h5ad(tmp_path / "cells.h5ad")
    expected = simulate_counts(4500, 40, seed=3)
    assert (written.X != expected.X).nnz == 0
    pd.testing.assert_frame_equal(written.obs, expected.obs)
    assert written.var_names.equals(expected.var_names)


@pytest.mark.slow
def test_scale_writes_a_table_and_a_figure(tmp_path, capsys):
    assert main(["benchmark", "scale", "--cells", "500", "--genes", "1000", "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "scaling.csv")
    assert table["method"].tolist() == list(METHODS) and (table["cells"] == 500).all()
    assert (table[[*PHASES]] > 0).all(axis=None) and (table["peak_gb"] > 0).all()
    np.testing.assert_allclose(table[[*PHASES]].sum(axis=1), table["seconds"], rtol=0.01)
    assert (table["ari"] > 0.2).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scaling.csv", "scaling.png"]
    assert "scSiameseClu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["kmeans"]}, "'kmeans' was passed"),
        ({"on_disk": True, "methods": ["cicl", "leiden"]}, "'leiden' needs its data in memory"),
        ({"cells": [5]}, "at least 100, but 5"),
    ],
)
def test_scale_refuses(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_scaling(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
