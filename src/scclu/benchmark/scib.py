"""Scores of scIB: ``python -m scclu.benchmark.scib CELLS RESULT SCORES --seed 0``, with the labels as input.

They have a process of their own because scib-metrics changes how Python logs, and so that no failure stops a
benchmark.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData

from scclu.benchmark.labelled_data import BATCH
from scclu.benchmark.peers import scaled_components

_SCORES = {"scib_total": "Total", "scib_bio": "Bio conservation", "scib_batch": "Batch correction"}


def check_installed() -> None:
    """Check that scib-metrics is installed.

    Raises
    ------
    ModuleNotFoundError
        If it is not.
    """
    if find_spec("scib_metrics") is None:
        raise ModuleNotFoundError(
            "batch_key compares methods by the scores of scib-metrics, which is not installed. "
            'Run: pip install "scib-metrics>=0.5.3" "harmonypy>=2.0"'
        )


def scib_scores(
    embedding: np.ndarray, uncorrected: np.ndarray, labels: pd.Series, batches: pd.Series
) -> dict[str, float]:
    """Score how well a representation keeps types apart and mixes batches, by scib-metrics.

    The scores are not scaled to the best and worst method, so that they can be compared between runs.

    Parameters
    ----------
    embedding
        Representation, ``(n_cells, n_dims)``.
    uncorrected
        Principal components before the correction, ``(n_cells, n_components)``.
    labels
        Type of each cell, ``(n_cells,)``; cells without one are left out.
    batches
        Batch of each cell, ``(n_cells,)``.

    Returns
    -------
    ``"scib_bio"`` (bio conservation), ``"scib_batch"`` (batch correction) and ``"scib_total"`` (0.6 and 0.4 of
    these), between 0 and 1.
    """
    from scib_metrics.benchmark import BatchCorrection, Benchmarker, BioConservation

    known = labels.notna().to_numpy()
    obs = pd.DataFrame({"label": labels[known].astype(str).to_numpy(), "batch": batches[known].astype(str).to_numpy()})
    obs.index = obs.index.astype(str)
    # scib-metrics reads X for its shape only
    cells = AnnData(np.zeros((len(obs), 1), dtype=np.float32), obs=obs.astype("category"))
    cells.obsm["uncorrected"], cells.obsm["embedding"] = uncorrected[known], embedding[known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from scib-metrics and JAX
        scored = Benchmarker(
            cells,
            batch_key="batch",
            label_key="label",
            embedding_obsm_keys=["embedding"],
            bio_conservation_metrics=BioConservation(),
            batch_correction_metrics=BatchCorrection(),
            pre_integrated_embedding_obsm_key="uncorrected",
            progress_bar=False,
        )
        scored.benchmark()
        row = scored.get_results(min_max_scale=False).loc["embedding"]
    return {name: float(row[title]) for name, title in _SCORES.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Score a representation, and write the scores; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", type=Path, help="h5ad file without labels")
    parser.add_argument("result", type=Path, help="npz file of the method")
    parser.add_argument("scores", type=Path, help="json file to write")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    labels = pd.Series(json.load(sys.stdin), dtype=object)
    adata = ad.read_h5ad(arguments.cells)
    with np.load(arguments.result) as written:
        embedding = written["embedding"]
    scores = scib_scores(embedding, scaled_components(adata, seed=arguments.seed), labels, adata.obs[BATCH])
    arguments.scores.write_text(json.dumps(scores), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
