"""One benchmark run in a process of its own: ``python -m scclu.benchmark.worker METHOD DATA RESULT --seed 0``.

If the method clusters an embedding that other methods cluster as well, one process computes it (``--embed``), and those
of the methods read its result (``--embedding``). A process reads a file without labels and has access to no other.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np

from scclu.benchmark.batch_methods import BATCH_METHODS, panel
from scclu.benchmark.memory import peak_memory
from scclu.benchmark.panel import COSTS, EMBEDDING, EMBEDDINGS, METHODS


def main(argv: Sequence[str] | None = None) -> int:
    """Cluster the cells of a file, and write labels, times and peak memory; return the exit code.

    With batches, also the representation that was clustered is written. The costs of a shared embedding are those of
    its process as well.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS | BATCH_METHODS)
    parser.add_argument("data", type=Path, help="h5ad file without labels")
    parser.add_argument("result", type=Path, help="npz file to write")
    parser.add_argument("--n-clusters", type=int, help="number of clusters; estimated by the method by default")
    parser.add_argument("--batches", action="store_true", help="whether obs of the file has batches")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--embed", action="store_true", help="compute the embedding that the method clusters, and end")
    parser.add_argument("--embedding", type=Path, help="npz file with this embedding")
    arguments = parser.parse_args(argv)
    method = panel(batches=arguments.batches)[arguments.method]
    for name in method.imports:
        import_module(name)
    adata = ad.read_h5ad(arguments.data)
    before = dict.fromkeys(COSTS, 0.0)
    if arguments.embedding is not None:
        with np.load(arguments.embedding) as written:
            adata.obsm[EMBEDDING] = written["embedding"]
            before = {key: float(written[key]) for key in COSTS}
    start, cpu = time.perf_counter(), time.process_time()
    results: dict[str, Any] = {}
    if arguments.embed:
        adata.obsm[EMBEDDING] = EMBEDDINGS[method.embedding or ""](adata, arguments.seed)
    else:
        results["labels"] = method.cluster(adata, arguments.n_clusters, arguments.seed)
    results["call_s"] = before["call_s"] + time.perf_counter() - start
    results["cpu_s"] = before["cpu_s"] + time.process_time() - cpu
    results["peak_mb"] = max(before["peak_mb"], 1000 * peak_memory())
    if arguments.embed or arguments.batches:
        results["embedding"] = adata.obsm[EMBEDDING]
    with arguments.result.open("wb") as file:
        np.savez(file, **results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
