"""Nothing that is cells x cells is made."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor

import pytest

import scclu.tl
from scclu.benchmark.memory import peak_memory, reset_peak_memory
from scclu.benchmark.simulation import simulate_counts

N_CELLS, N_GENES = 20_000, 200
# times the values as a dense float32 array; a matrix of one byte for each pair of cells would be 25 times
MULTIPLE = 20


def _growth(tool: str) -> float:
    """Largest memory during a call, above what the process held before it, in GB."""
    warnings.simplefilter("ignore")
    logging.disable()
    few, many = (simulate_counts(n_cells, N_GENES, counts_per_gene=0.1) for n_cells in (400, N_CELLS))
    run = getattr(scclu.tl, tool)
    run(few, 4, accelerator="cpu", max_epochs=2)  # what is imported and compiled is not measured
    reset_peak_memory()
    before = peak_memory()
    run(many, 4, accelerator="cpu", max_epochs=2)
    return peak_memory() - before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is asked of Linux")
@pytest.mark.parametrize("tool", ["cicl", "scsiameseclu"])
def test_no_array_is_cells_by_cells(tool: str) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        growth = pool.submit(_growth, tool).result()
    assert 0 < growth < MULTIPLE * N_CELLS * N_GENES * 4 / 1e9
