"""The presets of the papers on labelled datasets.

``python paper.py FOLDER OUT.csv --methods cicl scsiameseclu --datasets yan pollen --seeds 0`` appends a row to OUT.csv
for each run: scores at the true number of clusters, wall time and processor time. Labels are used for scores only.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

import scclu
from scclu.benchmark.labelled_data import find_datasets


def main() -> None:
    """Run each method on each dataset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--methods", nargs="+", default=["cicl", "scsiameseclu"])
    parser.add_argument("--datasets", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    scclu.settings.verbosity = "error"
    datasets = {data.name: data for data in find_datasets(arguments.folder, "cell_type")}
    for seed in arguments.seeds:
        for name in arguments.datasets or datasets:
            adata, labels, kind = datasets[name].split()
            known = labels.notna().to_numpy()
            truth = labels.astype(str).to_numpy()[known]
            for method in arguments.methods:
                zinb = {"zinb_weight": 0} if method == "scsiameseclu" and kind != "counts" else {}
                wall, cpu = time.perf_counter(), time.process_time()
                result = getattr(scclu.tl, method)(
                    adata, len(set(truth)), preset="paper", random_state=seed, progress_bar=False, copy=True, **zinb
                )
                found = result.obs[method].astype(str).to_numpy()[known]
                row = {
                    "dataset": name,
                    "cells": adata.n_obs,
                    "method": method,
                    "seed": seed,
                    "ari": adjusted_rand_score(truth, found),
                    "nmi": normalized_mutual_info_score(truth, found),
                    "nmi_max": normalized_mutual_info_score(truth, found, average_method="max"),
                    "seconds": time.perf_counter() - wall,
                    "cpu_seconds": time.process_time() - cpu,
                }
                new = not arguments.out.exists()
                pd.DataFrame([row]).to_csv(arguments.out, mode="a", header=new, index=False, float_format="%.4f")
                print(row, flush=True)


if __name__ == "__main__":
    main()
