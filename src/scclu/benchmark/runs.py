"""Runs of all methods on all labelled datasets of a directory, each in a process of its own."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scclu import __version__, metrics
from scclu._checks import check_choices, check_number, check_seed
from scclu.benchmark.batch_methods import panel
from scclu.benchmark.labelled_data import BATCH, LabelledDataset, find_datasets
from scclu.benchmark.panel import AT_K, COSTS, MODES, Method
from scclu.benchmark.scib import check_installed
from scclu.benchmark.tables import as_table, write_tables

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Run:
    """One run: a method on a dataset in a mode with a seed."""

    data: LabelledDataset
    method: str
    mode: str
    seed: int

    @property
    def name(self) -> str:
        name = f"{self.data.name}.{self.method}.{self.mode}.seed{self.seed}"
        return name if self.data.batch_key is None else f"{name}.batches"

    @property
    def about(self) -> Method:
        return panel(batches=self.data.batch_key is not None)[self.method]

    @property
    def identity(self) -> dict[str, Any]:
        """Fields that a stored result must agree with to be used again."""
        return {
            "data": self.data.name,
            "method": self.method,
            "mode": self.mode,
            "seed": self.seed,
            "labels_key": self.data.labels_key,
            "digest": self.data.digest,
            "batch_key": self.data.batch_key,
            "version": __version__,
        }

    @property
    def embedding(self) -> str:
        """Name of the files of the embedding that the method clusters."""
        name = f"{self.data.name}.{self.about.embedding}.seed{self.seed}"
        return name if self.data.batch_key is None else f"{name}.batches"

    def missing_module(self) -> str | None:
        """Name of a required module that is not installed; None if all are installed."""
        return next((name for name in self.about.imports if find_spec(name.split(".")[0]) is None), None)


def run(
    folder: str | Path,
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    *,
    out: str | Path,
    labels_key: str = "cell_type",
    batch_key: str | None = None,
    modes: Sequence[str] = tuple(MODES),
    timeout: float | None = None,
    retry_failed: bool = False,
) -> pd.DataFrame:
    """Cluster all labelled h5ad files of a directory with all methods, and compare the clusters with the labels.

    Each run is a process of its own and reads a file without ``obs``, so that only the metrics have access to the
    labels. If a run fails or exceeds the time limit, the last line of its error is recorded and the other runs
    continue. The result of each run is stored in `out` immediately, and is used again by later calls if the data file,
    `labels_key` and the version of scclu are the same. The latent space of scVI is trained once per file and seed; its
    costs are part of those of each run that clusters it.

    Parameters
    ----------
    folder
        Directory with ``.h5ad`` files, cells x genes with labels in ``obs``. ``layers["counts"]`` is clustered if it
        exists and ``X`` otherwise: counts, normalised expression, log-normalised or scaled values. Cells without counts
        are left out, and cells without a label are left out of the metrics.
    methods
        Any of ``"cicl"``, ``"scsiameseclu"``, ``"cicl-paper"``, ``"scsiameseclu-paper"``, ``"core"`` (the tree of
        tested merges without a network), ``"pca-kmeans"``, ``"leiden"``, ``"louvain"``, ``"scvi-kmeans"`` and
        ``"scvi-leiden"``; all if None. With `batch_key` any of ``"cicl"``, ``"scsiameseclu"``, ``"leiden"`` (without
        correction), ``"harmony-leiden"`` and ``"scvi-leiden"``.
    seeds
        Seeds for the methods, whole numbers from 0; each method is run with each seed.
    out
        Directory for ``results.csv``, ``summary.md``, ``ari.png``, ``runs/`` and ``embeddings/``; it is created if it
        does not exist.
    labels_key
        Column of ``obs`` with the labels in every file.
    batch_key
        Column of ``obs`` with the batches, for which the methods correct. Files without batches are left out. Requires
        the package ``scib-metrics``, and ``harmonypy`` for ``"harmony-leiden"``.
    modes
        ``"true-k"`` (the number of labels is given to the method) and ``"k-free"`` (it is not), for the methods that
        support them.
    timeout
        Time limit for a run in seconds, and for an embedding that several methods cluster; no limit if None.
    retry_failed
        Repeat runs that failed in an earlier call.

    Returns
    -------
    Data frame with one row per run: ``"data"``, ``"method"``, ``"mode"``, ``"seed"``, ``"status"`` (``"ok"``,
    ``"failed"``, ``"not installed"`` or ``"not applicable"``), ``"n_cells"``, ``"n_types"``, ``"n_clusters"``,
    ``"ari"``, ``"nmi"`` (arithmetic), ``"nmi_max"``, ``"acc"``, ``"call_s"`` (seconds in the method, without imports),
    ``"cpu_s"`` (processor time in the method), ``"process_s"`` (seconds in the process), ``"peak_mb"`` (largest
    resident memory of the process) and ``"error"``. With `batch_key` also ``"batch_key"``, ``"n_batches"``, and scIB's
    ``"scib_bio"`` (bio conservation), ``"scib_batch"`` (batch correction) and ``"scib_total"``.

    Raises
    ------
    OSError, TypeError, ValueError
        If an argument is not allowed, a file has no labels, or no file has batches. Nothing is run then.
    ModuleNotFoundError
        If `batch_key` is passed and scib-metrics is not installed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> with TemporaryDirectory() as folder:
    ...     adata.write_h5ad(f"{folder}/pbmc.h5ad")
    ...     table = scclu.benchmark.run(folder, ["pca-kmeans"], [0], out=f"{folder}/out")
    >>> table[["data", "mode", "status", "n_types", "n_clusters"]].to_numpy().tolist()
    [['pbmc', 'true-k', 'ok', 10, 10]]
    """
    available = panel(batches=batch_key is not None)
    methods = check_choices("methods", available if methods is None else methods, available)
    modes = check_choices("modes", modes, MODES)
    seeds = [int(check_seed("Each of seeds", seed)) for seed in dict.fromkeys(seeds)]
    if not seeds:
        raise ValueError("seeds must have at least one seed, but is empty.")
    if timeout is not None:
        check_number("timeout", timeout, above=0)
    if batch_key is not None:
        check_installed()
    runs = [
        _Run(data, method, mode, seed)
        for data in find_datasets(Path(folder), labels_key, batch_key)
        for method in methods
        for mode in modes
        if mode in available[method].modes
        for seed in seeds
    ]
    if not runs:
        raise ValueError(f"None of the methods {', '.join(methods)} supports the modes {', '.join(modes)}.")
    out = Path(out)
    for kept in ("runs", "embeddings"):
        (out / kept).mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    try:
        for i, (one, row) in enumerate(_results(runs, out, timeout, retry_failed), start=1):
            rows.append(row)
            logger.info("[%d/%d] %s: %s", i, len(runs), one.name, _describe(row))
    finally:  # also after an interrupt
        if rows:
            write_tables(as_table(rows), out)
    return as_table(rows)


def _results(
    runs: list[_Run], out: Path, timeout: float | None, retry_failed: bool
) -> Iterator[tuple[_Run, dict[str, Any]]]:
    """Yield each run with its row of the table, which is read from `out` if it is stored there."""
    kept = out / "runs"
    current: LabelledDataset | None = None
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for one in runs:
            row = _read(kept / f"{one.name}.json", one.identity, retry_failed)
            if row is not None:
                yield one, row
                continue
            if (missing := one.missing_module()) is not None:
                yield one, one.identity | {"status": "not installed", "error": f"No module named {missing!r}"}
                continue
            try:
                if one.data != current:
                    adata, labels, kind = one.data.split()
                    adata.write_h5ad(work / "cells.h5ad")
                    current = one.data
            except (OSError, TypeError, ValueError, KeyError) as error:
                yield one, one.identity | {"status": "failed", "error": f"{type(error).__name__}: {error}"}
                continue
            if one.about.counts_only and kind != "counts":
                yield one, one.identity | {"status": "not applicable", "error": f"needs counts, not {kind} values"}
                continue
            row = one.identity | {"n_cells": adata.n_obs, "n_types": labels.nunique()}
            row |= _embed_and_cluster(one, work, out, timeout, retry_failed, labels)
            if one.data.batch_key is not None:
                row["n_batches"] = adata.obs[BATCH].nunique()
                row |= _batch_scores(one, work, kept, labels) if row["status"] == "ok" else {}
            _store(row, kept / f"{one.name}.json")
            yield one, row


def _read(path: Path, identity: dict[str, Any], retry_failed: bool) -> dict[str, Any] | None:
    """Read the stored row of a run or an embedding; None if there is none that can be used again."""
    if not path.exists():
        return None
    row = json.loads(path.read_text(encoding="utf-8"))
    same = all(row.get(key) == value for key, value in identity.items())
    return row if same and not (retry_failed and row.get("error")) else None


def _store(row: dict[str, Any], path: Path) -> None:
    """Write a row to a file atomically."""
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(row, indent=1), encoding="utf-8")
    os.replace(unfinished, path)


def _embed_and_cluster(
    one: _Run, work: Path, out: Path, timeout: float | None, retry_failed: bool, labels: pd.Series
) -> dict[str, Any]:
    """Run one method on the unlabelled cells in its processes, and return status, scores and costs."""
    result = work / "result.npz"
    result.unlink(missing_ok=True)
    command = _worker(one, work, result)
    seconds = 0.0
    if one.about.embedding is not None:
        path = out / "embeddings" / f"{one.embedding}.npz"
        made = _embedding(one, work, path, timeout, retry_failed)
        if made["error"] is not None:
            return {"status": "failed", "error": made["error"], "process_s": made["process_s"]}
        seconds = made["process_s"]
        command += ["--embedding", str(path)]
    if one.mode == AT_K:
        command += ["--n-clusters", str(labels.nunique())]
    start = time.perf_counter()
    error = _start(command, out / "runs" / f"{one.name}.log", timeout)
    seconds += time.perf_counter() - start
    if error is not None:
        return {"status": "failed", "error": error, "process_s": seconds}
    with np.load(result) as written:
        clusters = written["labels"]
        costs = {key: float(written[key]) for key in COSTS} | {"process_s": seconds}
    return {"status": "ok", "n_clusters": len(np.unique(clusters))} | _scores(labels, clusters) | costs


def _worker(one: _Run, work: Path, result: Path) -> list[str]:
    """Command of a process that writes the file `result`."""
    command = [sys.executable, "-m", "scclu.benchmark.worker", one.method, str(work / "cells.h5ad"), str(result)]
    command += ["--seed", str(one.seed)]
    return command if one.data.batch_key is None else [*command, "--batches"]


def _embedding(one: _Run, work: Path, path: Path, timeout: float | None, retry_failed: bool) -> dict[str, Any]:
    """Compute the embedding that a method clusters unless it is stored; returns its seconds, and why it failed."""
    stored = path.with_suffix(".json")
    identity = {key: one.identity[key] for key in ("data", "seed", "digest", "batch_key", "version")}
    made = _read(stored, identity, retry_failed)
    if made is None:
        start = time.perf_counter()
        error = _start([*_worker(one, work, path), "--embed"], path.with_suffix(".log"), timeout)
        made = identity | {"error": error, "process_s": time.perf_counter() - start}
        _store(made, stored)
    return made


def _start(command: list[str], log: Path, timeout: float | None, said: str = "") -> str | None:
    """Run a process with the input `said`, and return why it failed; the log is kept then."""
    try:
        with log.open("wb") as output:
            ended = subprocess.run(command, input=said.encode(), stdout=output, stderr=output, timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"stopped after {timeout:g} s (timeout)"
    if ended.returncode != 0:
        return _last_line(log, ended.returncode)
    log.unlink()
    return None


def _last_line(log: Path, code: int) -> str:
    """Describe why a process failed, by its exit code and its log."""
    if code < 0:
        return f"ended by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # prefer the line that names the exception to the last line of a message of several lines
    named = re.findall(r"^[\w.]*(?:Error|Exception|Exit): .*", text, re.MULTILINE)
    return (named or lines or [f"exit code {code}"])[-1]


def _scores(labels: pd.Series, clusters: np.ndarray) -> dict[str, float]:
    """Scores of the clusters over the cells that have labels."""
    known = labels.notna().to_numpy()
    true, found = labels[known].astype(str), clusters[known]
    return {
        "ari": metrics.ari(true, found),
        "nmi": metrics.nmi(true, found),
        "nmi_max": metrics.nmi(true, found, average="max"),
        "acc": metrics.accuracy(true, found),
    }


def _batch_scores(one: _Run, work: Path, kept: Path, labels: pd.Series) -> dict[str, Any]:
    """Scores of scIB of the representation that a method clustered, or why they could not be computed."""
    scores = work / "scores.json"
    command = [sys.executable, "-m", "scclu.benchmark.scib", str(work / "cells.h5ad"), str(work / "result.npz")]
    said = json.dumps(labels.astype(str).astype(object).where(labels.notna(), None).tolist())
    error = _start([*command, str(scores), "--seed", str(one.seed)], kept / f"{one.name}.scib.log", None, said)
    return {"error": f"scIB: {error}"} if error is not None else json.loads(scores.read_text(encoding="utf-8"))


def _describe(row: dict[str, Any]) -> str:
    """Summarise a row for the log."""
    if row["status"] != "ok":
        return f"{row['status']} ({row['error']})"
    scib = f"scIB {row['scib_total']:.3f}, " if "scib_total" in row else ""
    return f"ARI {row['ari']:.3f}, {scib}{row['n_clusters']} clusters, {row['call_s']:.1f} s, {row['peak_mb']:.0f} MB"
