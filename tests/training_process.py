"""A clustering in a process of its own, which a test may kill."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import scclu.tl
from conftest import simulated_counts

ARGUMENTS = {
    "cicl": {"n_hidden": 16, "cluster_method": "kmeans", "max_epochs": 24, "batch_size": 30},
    "scsiameseclu": {"cluster_method": "assignment", "max_epochs": 4, "batch_size": 80, "gene_hidden": [16]},
}


def cluster(tool: str, folder: Path | None, result: Path, n_threads: int = 1) -> None:
    """Cluster, and write the clusters to a file."""
    import torch

    torch.set_num_threads(n_threads)
    warnings.simplefilter("ignore")
    logging.disable()
    adata = simulated_counts(120, 40)
    result.with_suffix(".started").touch()
    getattr(scclu.tl, tool)(adata, 3, checkpoint_dir=folder, accelerator="cpu", **ARGUMENTS[tool])
    result.write_text(json.dumps(adata.obs[tool].tolist()))
