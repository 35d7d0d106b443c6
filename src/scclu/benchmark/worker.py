"""One benchmark run in a process of its own: ``python -m scclu.benchmark.worker METHOD DATA RESULT --seed 0``.

The process reads a file without labels and has access to no other.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import anndata as ad
import numpy as np

from scclu.benchmark.batch_methods import BATCH_METHODS, panel
from scclu.benchmark.memory import peak_memory
from scclu.benchmark.panel import EMBEDDING, METHODS


def main(argv: Sequence[str] | None = None) -> int:
    """Cluster the cells of a file, and write labels, times and peak memory; return the exit code.

    With batches, also the representation that was clustered is written.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS | BATCH_METHODS)
    parser.add_argument("data", type=Path, help="h5ad file without labels")
    parser.add_argument("result", type=Path, help="npz file to write")
    parser.add_argument("--n-clusters", type=int, help="number of clusters; estimated by the method by default")
    parser.add_argument("--batches", action="store_true", help="whether obs of the file has batches")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    method = panel(batches=arguments.batches)[arguments.method]
    for name in method.imports:
        import_module(name)
    adata = ad.read_h5ad(arguments.data)
    start, cpu = time.perf_counter(), time.process_time()
    labels = method.cluster(adata, arguments.n_clusters, arguments.seed)
    call_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    more = {"embedding": adata.obsm[EMBEDDING]} if arguments.batches else {}
    with arguments.result.open("wb") as file:
        np.savez(file, labels=labels, call_s=call_s, cpu_s=cpu_s, peak_mb=1000 * peak_memory(), **more)
    return 0


if __name__ == "__main__":
    sys.exit(main())
