"""Run time and memory of one clustering: ``python -m scclu.benchmark.scaling_run FILE METHOD MODE --seed 0``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData

from scclu import metrics
from scclu._checks import check_choices
from scclu.benchmark.memory import peak_memory, reset_peak_memory, resident_memory

PHASES = ("prepare_s", "graph_s", "cluster_s", "train_s", "assign_s")
MODES = ("free", "given")
# cells of the first run of a process, which is not measured
_WARM_CELLS = 5_000
# points for which scanpy calls pynndescent
_WARM_POINTS = 10_000
# a type is found if some cluster has this Jaccard index with it
_FOUND = 0.5
# bounds of the shares of types that are counted together
SIZES = {"types_above_1%": (0.01, 1.0), "types_0.2_to_1%": (0.002, 0.01), "types_below_0.2%": (0.0, 0.002)}


class _Clustered(NamedTuple):
    """Clusters, and the seconds of each phase, in the order of :data:`PHASES`."""

    labels: Any
    seconds: tuple[float, ...]


@contextmanager
def _recorded(*names: str) -> Iterator[dict[str, list[float]]]:
    """Record the times at which functions, given as ``module:name``, start and end; replaces them for a while."""
    times: dict[str, list[float]] = {name.split(":")[1]: [] for name in names}
    places = [(import_module(name.split(":")[0]), name.split(":")[1]) for name in names]
    originals = [getattr(*place) for place in places]

    def recorder(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            times[name].append(time.perf_counter())
            try:
                return function(*args, **kwargs)
            finally:
                times[name].append(time.perf_counter())

        return call

    try:
        for (module, name), original in zip(places, originals, strict=True):
            setattr(module, name, recorder(name, original))
        yield times
    finally:
        for (module, name), original in zip(places, originals, strict=True):
            setattr(module, name, original)


def _deep(tool: str) -> Callable[[AnnData, int | None, int], _Clustered]:
    """Make a function that clusters with a tool of scclu."""
    graph, tree = "scclu.cluster.core:shared_neighbor_graph", "scclu.methods._base:tree_clusters"

    def run(adata: AnnData, n_clusters: int | None, seed: int) -> _Clustered:
        from scclu import tl

        options = {"accelerator": "cpu", "progress_bar": False, "random_state": seed, "key_added": tool}
        batch_key = "batch" if "batch" in adata.obs else None
        with _recorded(graph, tree, f"scclu.methods.{tool}.model:fit") as times:
            start = time.perf_counter()
            getattr(tl, tool)(adata, n_clusters, batch_key=batch_key, **options)
            end = time.perf_counter()
        graph_s, tree_s = (name[1] - name[0] for name in (times["shared_neighbor_graph"], times["tree_clusters"]))
        first, last = times["fit"][0], times["fit"][-1]  # scSiameseClu is trained in three phases
        seconds = first - start - tree_s, graph_s, tree_s - graph_s, last - first, end - last
        return _Clustered(adata.obs[tool].to_numpy(), seconds)

    return run


def _scanpy(adata: AnnData, n_clusters: int | None, seed: int) -> _Clustered:
    """Cluster with scanpy's standard pipeline, which does not use the number of types, on sparse counts."""
    import scanpy as sc

    times = [time.perf_counter()]
    work = AnnData(adata.X.copy())
    sc.pp.normalize_total(work)
    sc.pp.log1p(work)
    if work.n_vars > 2000:
        sc.pp.highly_variable_genes(work, n_top_genes=2000)
    sc.pp.pca(work, random_state=seed)
    times.append(time.perf_counter())
    sc.pp.neighbors(work, random_state=seed)
    times.append(time.perf_counter())
    sc.tl.leiden(work, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
    times.append(time.perf_counter())
    return _Clustered(work.obs["leiden"].to_numpy(), (*np.diff(times).tolist(), 0.0, 0.0))


# Title of each method, its modes, and its function.
METHODS: dict[str, tuple[str, tuple[str, ...], Callable[[AnnData, int | None, int], _Clustered]]] = {
    "cicl": ("CICL", MODES, _deep("cicl")),
    "scsiameseclu": ("scSiameseClu", MODES, _deep("scsiameseclu")),
    "scanpy": ("scanpy: PCA, neighbours, Leiden", MODES[:1], _scanpy),
}


def measure(path: Path, method: str, mode: str = "free", *, on_disk: bool = False, seed: int = 0) -> dict[str, Any]:
    """Cluster the cells of a file, and measure run time and memory.

    The first 5,000 cells are clustered before, and the approximate neighbour searches are called once, so that imports
    and compilation by numba are not measured. Call this function once per process.

    Parameters
    ----------
    path
        File of :func:`~scclu.benchmark.simulation.write_counts`.
    method
        Key of :data:`METHODS`.
    mode
        ``"given"`` tells the method the number of types; ``"free"`` does not.
    on_disk
        Leave the counts on disk.
    seed
        Seed for the method.

    Returns
    -------
    Dictionary with ``"cells"``, ``"method"``, ``"mode"``, ``"on_disk"``; seconds of each phase (:data:`PHASES`) and in
    total, and of processor time; ``"peak_gb"``, the peak memory, and ``"above_data_gb"``, its excess over the memory
    before (NaN except on Linux); ``"n_clusters"``; ``"ari"`` with the simulated types; and how many types of three
    ranges of sizes were found, with a Jaccard index above 0.5.

    Raises
    ------
    ValueError
        If the method does not support the mode.
    """
    _, modes, cluster = METHODS[method]
    check_choices("mode", mode, modes)
    adata = ad.read_h5ad(path, backed="r" if on_disk else None)
    types = adata.obs.pop("type")
    n_clusters = types.nunique() if mode == "given" else None
    _warm(adata, cluster, n_clusters, seed)
    reset_peak_memory()
    before, cpu = resident_memory(), time.process_time()
    labels, seconds = cluster(adata, n_clusters, seed)
    peak, cpu_s = peak_memory(), time.process_time() - cpu
    return {
        "cells": adata.n_obs,
        "method": method,
        "mode": mode,
        "on_disk": on_disk,
        **dict(zip(PHASES, seconds, strict=True)),
        "seconds": sum(seconds),
        "cpu_s": cpu_s,
        "peak_gb": peak,
        "above_data_gb": peak - before,
        "n_clusters": len(set(labels)),
        "ari": metrics.ari(types, labels),
        **types_found(types, labels),
    }


def _warm(
    adata: AnnData, cluster: Callable[[AnnData, int | None, int], _Clustered], n_clusters: int | None, seed: int
) -> None:
    """Cluster a small part of the cells, so that everything is imported and compiled."""
    from scclu.cluster.leiden import neighbor_graph
    from scclu.graph.knn import nearest_cells

    points = np.random.default_rng(0).random((_WARM_POINTS, 30), dtype=np.float32)
    nearest_cells(points, points, 16, exact_limit=0)
    neighbor_graph(points)
    small = adata[:_WARM_CELLS]
    cluster(small.to_memory() if adata.isbacked else small.copy(), n_clusters, seed)


def types_found(types: pd.Series, labels: Any) -> dict[str, str]:
    """Numbers of types that some cluster agrees with, as ``"found of all"`` for large, medium and small types.

    Parameters
    ----------
    types
        Type of each cell, ``(n_cells,)``.
    labels
        Cluster of each cell, ``(n_cells,)``.

    Returns
    -------
    For types with more than 1 %, 0.2 to 1 %, and less of the cells, those with a Jaccard index above 0.5.

    Examples
    --------
    >>> import pandas as pd
    >>> from scclu.benchmark.scaling_run import types_found
    >>> types_found(pd.Series(["a"] * 50 + ["b"] * 50), ["0"] * 45 + ["1"] * 55)["types_above_1%"]
    '2 of 2'
    """
    both = pd.crosstab(np.asarray(types), np.asarray(labels)).to_numpy()
    n_cells = both.sum(axis=1)
    found = (both / (n_cells[:, None] + both.sum(axis=0) - both)).max(axis=1) > _FOUND
    share = n_cells / n_cells.sum()
    ranges = {name: (low < share) & (share <= high) for name, (low, high) in SIZES.items()}
    return {name: f"{found[of].sum()} of {of.sum()}" for name, of in ranges.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Call :func:`measure` and print its result as JSON; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="h5ad file with simulated counts")
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("mode", choices=MODES, help="whether the number of types is given")
    parser.add_argument("--on-disk", action="store_true", help="leave the counts on disk")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    row = measure(arguments.file, arguments.method, arguments.mode, on_disk=arguments.on_disk, seed=arguments.seed)
    print(json.dumps(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
