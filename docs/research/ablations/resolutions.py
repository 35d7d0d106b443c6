"""ARI of Leiden clusters at several resolutions: ``python resolutions.py FOLDER OUT.csv --seeds 0 1 2``.

The embedding of CICL, trained without the number of clusters, is compared with principal components. A row is appended
to OUT.csv for each dataset, seed and embedding that it lacks. Labels are used for scores only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

import scclu
from scclu.benchmark.labelled_data import find_datasets
from scclu.benchmark.peers import scaled_components
from scclu.cluster.leiden import leiden_scan

RESOLUTIONS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


def main() -> None:
    """Score what is missing in the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    scclu.settings.verbosity = "error"
    done = set()
    if arguments.out.exists():
        done = set(pd.read_csv(arguments.out)[["dataset", "seed"]].itertuples(index=False, name=None))
    for seed in arguments.seeds:
        for data in find_datasets(arguments.folder, "cell_type"):
            if (data.name, seed) in done:
                continue
            adata, labels, _ = data.split()
            known = labels.notna().to_numpy()
            truth = labels.astype(str).to_numpy()[known]
            components = scaled_components(adata, seed=seed)
            scclu.tl.cicl(adata, random_state=seed, progress_bar=False)
            rows = [
                {"dataset": data.name, "seed": seed, "embedding": "clusters of CICL"}
                | dict.fromkeys(map(str, RESOLUTIONS), adjusted_rand_score(truth, adata.obs["cicl"][known]))
            ]
            for name, embedding in {
                "CICL": adata.obsm["X_cicl"],
                "PCA, 20 components": np.ascontiguousarray(components[:, :20]),
                "PCA, 50 components": components,
            }.items():
                found = leiden_scan(embedding, RESOLUTIONS, random_state=seed)
                scores = [adjusted_rand_score(truth, clusters[known]) for clusters in found]
                row = {"dataset": data.name, "seed": seed, "embedding": name}
                rows.append(row | dict(zip(map(str, RESOLUTIONS), scores, strict=True)))
            new = not arguments.out.exists()
            pd.DataFrame(rows).to_csv(arguments.out, mode="a", header=new, index=False, float_format="%.4f")
            print(data.name, seed, flush=True)


if __name__ == "__main__":
    main()
