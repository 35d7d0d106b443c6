"""Methods on every labelled set of a folder, each in a process of its own."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scclu import __version__, metrics
from scclu.benchmark.panel import AT_K, METHODS, MODES
from scclu.benchmark.sets import LabelledSet, find_sets
from scclu.benchmark.tables import as_table, write_tables

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Run:
    """A row of the table: a method on a set, at the true K or not, with a seed."""

    data: LabelledSet
    method: str
    mode: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.data.name}.{self.method}.{self.mode}.seed{self.seed}"

    @property
    def identity(self) -> dict[str, Any]:
        """What a kept result must agree with, so as not to be run again."""
        return {
            "data": self.data.name,
            "method": self.method,
            "mode": self.mode,
            "seed": self.seed,
            "labels_key": self.data.labels_key,
            "digest": self.data.digest,
            "version": __version__,
        }

    def missing_module(self) -> str | None:
        """A module that the method needs and that is not installed."""
        return next((name for name in METHODS[self.method].imports if find_spec(name.split(".")[0]) is None), None)


def run(
    folder: str | Path,
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    *,
    out: str | Path,
    labels_key: str = "cell_type",
    modes: Sequence[str] = tuple(MODES),
    timeout: float | None = None,
    retry_failed: bool = False,
) -> pd.DataFrame:
    """Cluster every labelled h5ad of a folder with every method, and compare with the labels.

    Each run is a process of its own, which gets a file without ``obs``: the labels stay with the metrics. A run that
    crashes or takes too long is recorded with its error's last line, and the others go on. Each finished run is kept in
    `out` at once, and is not run again as long as the file, `labels_key` and the version of scclu stay the same.

    Parameters
    ----------
    folder
        With ``.h5ad`` files: cells x genes with labels in ``obs``. ``layers["counts"]`` is clustered where there is
        one, else ``X``: counts, normalised expression, log-normalised or scaled values. Empty cells are left out, and
        so are cells without a label from the metrics.
    methods
        Of ``"cicl"``, ``"scsiameseclu"``, ``"cicl-paper"``, ``"scsiameseclu-paper"``, ``"pca-kmeans"``, ``"leiden"``,
        ``"louvain"``, ``"scvi-kmeans"`` and ``"scvi-leiden"``; ``None`` takes all.
    seeds
        Whole numbers from 0.
    out
        Folder for ``results.csv``, ``summary.md``, ``ari.png`` and ``runs/``; made if it is missing.
    labels_key
        Column of ``obs``, of every file.
    modes
        ``"true-k"`` (the method is told the number of labels) and ``"k-free"``, where a method has them.
    timeout
        Seconds that a run may take.
    retry_failed
        Run again what failed before.

    Returns
    -------
    One row a run: ``"data"``, ``"method"``, ``"mode"``, ``"seed"``, ``"status"`` (``"ok"``, ``"failed"``,
    ``"not installed"`` or ``"not applicable"``), ``"n_cells"``, ``"n_types"``, ``"n_clusters"``, ``"ari"``, ``"nmi"``
    (arithmetic), ``"nmi_max"``, ``"acc"``, ``"call_s"`` (the method's call, imports apart), ``"cpu_s"`` (the
    processor's time in it), ``"process_s"``, ``"peak_mb"`` (largest resident memory of the process) and ``"error"``.

    Raises
    ------
    OSError, TypeError, ValueError
        If an argument is not what it must be, or a file has no such labels. Nothing is run then.

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
    methods = _chosen("methods", list(METHODS) if methods is None else methods, METHODS)
    modes = _chosen("modes", modes, MODES)
    seeds = _whole(seeds)
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout must be None or seconds above 0, but {timeout!r} was passed.")
    sets = find_sets(Path(folder), labels_key)
    runs = [
        _Run(data, method, mode, seed)
        for data in sets
        for method in methods
        for mode in modes
        if mode in METHODS[method].modes
        for seed in seeds
    ]
    if not runs:
        raise ValueError(f"No method of {', '.join(methods)} has a mode of {', '.join(modes)}. Pass others.")
    out = Path(out)
    (out / "runs").mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    try:
        for i, (one, row) in enumerate(_rows(runs, out / "runs", timeout, retry_failed), start=1):
            rows.append(row)
            logger.info("[%d/%d] %s: %s", i, len(runs), one.name, _said(row))
    finally:  # an interrupt leaves tables of what was finished
        if rows:
            write_tables(as_table(rows), out)
    return as_table(rows)


def _chosen(argument: str, names: Sequence[str], allowed: Iterable[str]) -> list[str]:
    allowed = list(allowed)
    names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    unknown = [name for name in names if name not in allowed]
    if unknown or not names:
        raise ValueError(f"{argument} must be of {', '.join(allowed)}, but {(unknown or names)!r} was passed.")
    return names


def _whole(seeds: Sequence[int]) -> list[int]:
    seeds = list(dict.fromkeys(seeds))
    if not seeds or not all(isinstance(seed, (int, np.integer)) and 0 <= seed < 2**32 for seed in seeds):
        raise ValueError(f"seeds must be whole numbers from 0 to 4294967295, but {seeds!r} was passed.")
    return [int(seed) for seed in seeds]


def _rows(
    runs: list[_Run], kept: Path, timeout: float | None, retry_failed: bool
) -> Iterator[tuple[_Run, dict[str, Any]]]:
    """The row of each run, in order: read where it is kept, else run."""
    current: LabelledSet | None = None
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for one in runs:
            row = _read(one, kept, retry_failed)
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
            if METHODS[one.method].counts_only and kind != "counts":
                yield one, one.identity | {"status": "not applicable", "error": f"needs counts, not {kind} values"}
                continue
            row = one.identity | {"n_cells": adata.n_obs, "n_types": labels.nunique()}
            row |= _run_process(one, work, kept, timeout, labels)
            _keep(row, kept / f"{one.name}.json")
            yield one, row


def _read(one: _Run, kept: Path, retry_failed: bool) -> dict[str, Any] | None:
    path = kept / f"{one.name}.json"
    if not path.exists():
        return None
    row = json.loads(path.read_text(encoding="utf-8"))
    same = all(row.get(key) == value for key, value in one.identity.items())
    return row if same and not (retry_failed and row["status"] == "failed") else None


def _keep(row: dict[str, Any], path: Path) -> None:
    # whole or not at all
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(row, indent=1), encoding="utf-8")
    os.replace(unfinished, path)


def _run_process(one: _Run, work: Path, kept: Path, timeout: float | None, labels: pd.Series) -> dict[str, Any]:
    """Run one method on the unlabelled cells, and compare what it wrote with the labels."""
    result = work / "result.npz"
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", "scclu.benchmark.worker", one.method, str(work / "cells.h5ad"), str(result)]
    command += ["--seed", str(one.seed)]
    if one.mode == AT_K:
        command += ["--n-clusters", str(labels.nunique())]
    log = kept / f"{one.name}.log"
    start = time.perf_counter()
    try:
        with log.open("wb") as output:
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=timeout)
        code: int | None = ended.returncode
    except subprocess.TimeoutExpired:
        code = None
    seconds = {"process_s": time.perf_counter() - start}
    if code is None:
        return seconds | {"status": "failed", "error": f"stopped after {timeout:g} s (timeout)"}
    if code != 0:
        return seconds | {"status": "failed", "error": _last_line(log, code)}
    log.unlink()
    with np.load(result) as written:
        clusters = written["labels"]
        costs = {key: float(written[key]) for key in ("call_s", "cpu_s", "peak_mb")}
    return {"status": "ok", "n_clusters": len(np.unique(clusters))} | _scores(labels, clusters) | costs | seconds


def _last_line(log: Path, code: int) -> str:
    if code < 0:
        return f"ended by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # a message may have lines of its own: the one that names the error says most
    named = re.findall(r"^[\w.]*(?:Error|Exception|Exit): .*", text, re.MULTILINE)
    return (named or lines or [f"exit code {code}"])[-1]


def _scores(labels: pd.Series, clusters: np.ndarray) -> dict[str, float]:
    known = labels.notna().to_numpy()
    true, found = labels[known].astype(str), clusters[known]
    return {
        "ari": metrics.ari(true, found),
        "nmi": metrics.nmi(true, found),
        "nmi_max": metrics.nmi(true, found, average="max"),
        "acc": metrics.accuracy(true, found),
    }


def _said(row: dict[str, Any]) -> str:
    if row["status"] != "ok":
        return f"{row['status']} ({row['error']})"
    return f"ARI {row['ari']:.3f}, {row['n_clusters']} clusters, {row['call_s']:.1f} s, {row['peak_mb']:.0f} MB"
