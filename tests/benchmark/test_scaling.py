from __future__ import annotations

from scclu.benchmark.scaling import measure, simulate_counts


def test_simulated_counts_are_sparse_counts():
    adata = simulate_counts(100, 50)
    assert adata.shape == (100, 50) and adata.X.nnz < 0.5 * 5000
    assert (adata.X.data == adata.X.data.round()).all()


def test_measure():
    row = measure(150, 60)
    assert row["cells"] == 150 and row["pass_s"] > row["steps_s"] > 0 and row["peak_gb"] > 0
