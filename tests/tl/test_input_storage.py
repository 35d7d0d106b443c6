"""Trainings on cells that are stored in every way: the same result to the bit.

That the reader returns the same matrix for every storage, type and place is tested in ``data/test_matrix.py``.
"""

from __future__ import annotations

import pytest

from input_checks import STORAGES, assert_plain_result, cells, extra, on_disk, outcome, placed


@pytest.mark.parametrize(
    ("storage", "dtype", "place", "method"),
    [
        ("dense", "uint16", "obsm", "cicl"),
        ("CSR matrix", "float64", "X", "scsiameseclu"),
        ("CSC matrix", "int32", "layer", "cicl"),
        ("CSR array", "bool", "X", "cicl"),
        ("CSC array", "float32", "obsm", "scsiameseclu"),
        ("dask", "int64", "X", "cicl"),
        ("backed dense", "float64", "layer", "scsiameseclu"),
        ("backed CSR", "int64", "X", "cicl"),
    ],
)
def test_storage(storage, dtype, place, method, tmp_path):
    adata, arguments = placed(STORAGES[storage](cells().X.astype(dtype)), place)
    with on_disk(adata, storage, tmp_path) as stored:
        error = outcome(method, stored, **arguments, **extra(method, place))
        assert error is None
        assert_plain_result(stored, method, place=place, as_bool=dtype == "bool", trained=True)
