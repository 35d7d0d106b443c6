"""Losses of the first steps of training, on every data set: the whole grid, resumable, or a slice of it.

``python tests/first_steps.py RESULTS.jsonl [SEED ...]`` runs what RESULTS.jsonl lacks, the quickest settings first.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from anndata import AnnData

from scclu.benchmark.labelled_data import find_datasets
from scclu.methods.cicl.model import CICL
from scclu.methods.scsiameseclu.model import ScSiameseClu

N_STEPS = 50
N_SEEDS = 20
# no vote at the end: training stops before it
_METHODS: dict[str, tuple[type, dict[str, Any]]] = {
    "cicl": (CICL, {"cluster_method": "kmeans"}),
    "scsiameseclu": (ScSiameseClu, {"cluster_method": "assignment"}),
}
# three phases of 4 epochs of 5 steps: all phases are within the first steps
_EPOCHS = {"cicl": None, "scsiameseclu": 4}


class Setting(NamedTuple):
    method: str
    preset: str
    precision: str
    seed: int
    data: str


class EnoughSteps(Exception):
    """Ends a training after its first steps."""


class _Losses(pl.Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer, plan, outputs, batch, batch_idx) -> None:
        self.losses.append(float(outputs["loss"]))
        if len(self.losses) == N_STEPS:
            self.finite = all(bool(torch.isfinite(p).all()) for p in plan.parameters())
            raise EnoughSteps


def first_losses(adata: AnnData, n_clusters: int, setting: Setting) -> tuple[list[float], bool]:
    """Loss of each of the first steps, and whether all weights are finite after them."""
    cls, arguments = _METHODS[setting.method]
    cls.setup_anndata(adata)
    if setting.method == "scsiameseclu" and not _holds_counts(adata):
        arguments = {**arguments, "zinb_weight": 0.0}
    model = cls(adata, n_clusters, preset=setting.preset, random_state=setting.seed, **arguments)
    losses = _Losses()
    try:
        model.train(
            max_epochs=_EPOCHS[setting.method],
            accelerator="cpu",
            precision=setting.precision,
            enable_progress_bar=False,
            callbacks=[losses],
        )
    except EnoughSteps:
        return losses.losses, losses.finite
    raise AssertionError(f"{setting} trained {len(losses.losses)} steps, not {N_STEPS}")


def _holds_counts(adata: AnnData) -> bool:
    values = adata.X.data if hasattr(adata.X, "indptr") else adata.X
    return bool((values >= 0).all() and (values == np.floor(values)).all())


def grid(seeds: Iterable[int], data: Iterable[str]) -> Iterator[Setting]:
    """Every setting, seed by seed; those of CICL's paper preset, which take hours, after all others."""
    seeds, data = list(seeds), list(data)
    quick = [("cicl", "default"), ("scsiameseclu", "default"), ("scsiameseclu", "paper")]
    for models in (quick, [("cicl", "paper")]):
        for seed, model, precision, name in itertools.product(seeds, models, ("32-true", "bf16-mixed"), data):
            yield Setting(*model, precision, seed, name)


def main(path: Path, seeds: Iterable[int]) -> None:
    """Run what the file lacks, one line a setting."""
    warnings.simplefilter("ignore")
    logging.getLogger("scclu").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    sets = {s.name: s for s in find_datasets(Path(os.environ["SCCLU_DATA"]), "cell_type")}
    done = {tuple(json.loads(line)["setting"]) for line in path.read_text().splitlines()} if path.exists() else set()
    split: dict[str, tuple[AnnData, int]] = {}
    for setting in grid(seeds, sets):
        if tuple(setting) in done:
            continue
        if setting.data not in split:
            adata, labels, _ = sets[setting.data].split()
            split[setting.data] = adata, labels.nunique()
        start = time.perf_counter()
        losses, finite = first_losses(*split[setting.data], setting)
        row = {
            "setting": setting,
            "steps": len(losses),
            "finite": bool(finite and np.isfinite(losses).all()),
            "largest": max(map(abs, losses)),
            "seconds": round(time.perf_counter() - start, 2),
        }
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or range(N_SEEDS))
