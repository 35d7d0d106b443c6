from __future__ import annotations

import pytest

import scclu
from conftest import simulated_counts
from scclu.data import matrix


@pytest.mark.parametrize(
    ("name", "keeps_counts", "read"),
    [
        ("cicl", True, ["adata.X"]),
        ("scsiameseclu", False, ["adata.X"]),
        ("scsiameseclu", True, ["adata.X", "adata.layers['counts']"]),
    ],
)
def test_each_matrix_is_read_and_checked_once(name, keeps_counts, read, monkeypatch):
    as_float32, sources = matrix._as_float32, []
    monkeypatch.setattr(
        matrix,
        "_as_float32",
        lambda values, source, **how: (sources.append(source), as_float32(values, source, **how))[1],
    )
    adata = simulated_counts()
    if not keeps_counts:
        del adata.layers["counts"]
    getattr(scclu.tl, name)(adata, 3, max_epochs=1, accelerator="cpu")
    assert sources == read
