"""Ablations of the default settings on labelled datasets.

``python run.py FOLDER OUT.csv --methods cicl scsiameseclu pca scvi --seeds 0 1 2`` appends a row to OUT.csv for each
dataset, seed and variant that it lacks. The tree of the input, which no variant changes, is built once for each dataset
and seed, and clusters are cut from it as by ``tl.cut_tree``. Labels are used for scores only.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score as ari
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

import scclu
from scclu.benchmark.labelled_data import find_datasets
from scclu.benchmark.peers import scaled_components, scvi_latent
from scclu.cluster.head import head_of_cut
from scclu.cluster.kmeans import kmeans
from scclu.cluster.leiden import leiden_scan
from scclu.methods._clusters import assigned

Scores = dict[str, float]

# settings that differ from the default, and arguments of train
UNTRAINED = {"lr": 1e-12}, {"max_epochs": 1}
CICL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "default": ({}, {}),
    "untrained network": UNTRAINED,
    "lambda 0 (no L_clu)": ({"cluster_weight": 0.0}, {}),
    "lambda 0.1": ({"cluster_weight": 0.1}, {}),
    "lambda 0.5": ({"cluster_weight": 0.5}, {}),
    "lambda 2": ({"cluster_weight": 2.0}, {}),
    "pseudo-labels by K-means": ({"pseudo_labels": "kmeans"}, {}),
    "no masked genes": ({"mask_rate": 0.0}, {}),
}
SCSIAMESECLU = {
    "default": ({}, {}),
    "untrained network": ({**UNTRAINED[0], "joint_lr": 1e-12}, UNTRAINED[1]),
    "no correlation losses (Eq. 4-5)": ({"correlation_weight": 0.0}, {}),
    "reconstruction": ({"reconstruction_weight": 1.0}, {}),
    "no propagation loss (Eq. 8)": ({"propagation_weight": 0.0}, {}),
    "no transport (Eq. 10-13)": ({"ot_weight": 0.0}, {}),
    "no noise, no removed edges (Eq. 1-2)": ({"noise_scale": 0.0, "edge_drop": 0.0}, {}),
    "no ZINB": ({"zinb_weight": 0.0}, {}),
}
# variants for whose embedding Leiden, which takes long, is computed
WITH_LEIDEN = ("default", "untrained network", "its components of the input", "20 components", "50 components", "scVI")


def embedding_scores(variant: str, embedding: np.ndarray, labels: np.ndarray, known: np.ndarray, seed: int) -> Scores:
    """Scores of an embedding ``(n_cells, n_dims)``; cells whose label is not `known` are left out of them."""
    some = np.random.default_rng(seed).choice(len(embedding), min(2000, len(embedding)), replace=False)
    unit = embedding[some] / np.maximum(np.linalg.norm(embedding[some], axis=1, keepdims=True), 1e-12)
    pairs = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    truth, cells = labels[known], embedding[known]
    n_clusters = len(set(truth))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # types of fewer than five cells
        predicted = cross_val_predict(KNeighborsClassifier(10), cells, truth, cv=folds)
    leiden = leiden_scan(embedding, [1.0], random_state=seed)[0] if variant in WITH_LEIDEN else None
    return {
        "kmeans": ari(truth, kmeans(embedding, n_clusters, n_init=3, random_state=seed)[0][known]),
        "leiden": np.nan if leiden is None else ari(truth, leiden[known]),
        "f1": f1_score(truth, predicted, average="macro"),
        "pairs": float((pairs > 0.5).mean()),
    }


def variants_of(method: str, adata: AnnData, n_clusters: int, kind: str, seed: int, skip: set[str]) -> Iterator:
    """Yield the name, the model and the seconds of training of each variant."""
    cls, variants = {
        "cicl": (scclu.model.CICL, CICL),
        "scsiameseclu": (scclu.model.ScSiameseClu, SCSIAMESECLU),
    }[method]
    if set(variants) <= skip:
        return
    without_counts = {"zinb_weight": 0} if method == "scsiameseclu" and kind != "counts" else {}
    cls.setup_anndata(adata)
    model = cls(adata, n_clusters, random_state=seed, **without_counts)
    default = model.settings
    for name, (settings, arguments) in variants.items():
        if name in skip:
            continue
        model.settings = replace(default, **settings)
        if settings.get("zinb_weight") == 0:  # the last variant
            model._counts, model._n_counts = None, 0
        start = time.process_time()
        model.train(**arguments, enable_progress_bar=False)
        yield name, model, time.process_time() - start


def parts_of(method: str, model: Any) -> dict[str, np.ndarray]:
    """What the embedding of the default is made of."""
    embedding = model.get_latent_representation()
    n_hidden = model.module.joint.n_components[0]
    hidden, components = embedding[:, :n_hidden], embedding[:, n_hidden:]
    parts = {"its components of the network": hidden, "its components of the input": components}
    if method == "scsiameseclu":
        return parts
    return parts | {
        "norm of the network 1 instead of 0.5": np.hstack((2 * hidden, components)),
        "norm of the network 0.25 instead of 0.5": np.hstack((0.5 * hidden, components)),
    }


def rows_of(method: str, data: Any, seed: int, skip: set[str]) -> Iterator[dict[str, Any]]:
    """Yield the scores of each variant of a method, and of parts of the default's embedding."""
    adata, labels, kind = data.split()
    known = labels.notna().to_numpy()
    labels = labels.astype(str).to_numpy()
    n_clusters = len(set(labels[known]))
    if method == "pca":
        if "50 components" in skip:
            return
        components = scaled_components(adata, seed=seed)
        for n in (20, 50):
            name = f"{n} components"
            yield {"variant": name, **embedding_scores(name, components[:, :n], labels, known, seed)}
        return
    if method == "scvi":
        if "scVI" in skip or kind != "counts":
            return
        start = time.process_time()
        latent = scvi_latent(adata, seed=seed)
        row = {"variant": "scVI", "cpu_seconds": time.process_time() - start}
        yield row | embedding_scores("scVI", latent, labels, known, seed)
        return
    for name, model, seconds in variants_of(method, adata, n_clusters, kind, seed, skip):
        embedding = model.get_latent_representation()
        distinct = int(model._found.distinct().max()) + 1
        row: dict[str, Any] = {"variant": name, "cpu_seconds": seconds}
        row["given"] = ari(labels[known], model.predict()[known])
        free = head_of_cut(embedding, model.tree_, model.fine_, distinct)
        row["free"] = ari(labels[known], assigned(free, embedding).argmax(axis=1)[known])
        yield row | embedding_scores(name, embedding, labels, known, seed)
        if name == "default":
            back = np.argsort(model._order)
            for mode, found in (("given", model._found.labels), ("free", model._found.distinct())):
                row[mode] = ari(labels[known], found[back][known])
            yield {"variant": "tree", "given": row["given"], "free": row["free"]}
            for part, values in parts_of(method, model).items():
                values = np.ascontiguousarray(values)
                yield {"variant": part, **embedding_scores(part, values, labels, known, seed)}


def main() -> None:
    """Run what is missing in the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--methods", nargs="+", default=["pca", "cicl", "scsiameseclu"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    scclu.settings.verbosity = "error"
    table = pd.read_csv(arguments.out) if arguments.out.exists() else pd.DataFrame()
    for seed in arguments.seeds:
        for data in find_datasets(arguments.folder, "cell_type"):
            for method in arguments.methods:
                at = {"dataset": data.name, "method": method, "seed": seed}
                done = table
                for key, value in at.items():
                    done = done[done[key] == value] if len(done) else done
                skip = set(done["variant"]) if len(done) else set()
                for row in rows_of(method, data, seed, skip):
                    table = pd.concat((table, pd.DataFrame([at | row])), ignore_index=True)
                    table.to_csv(arguments.out, index=False, float_format="%.4f")
                    print(*at.values(), row["variant"], flush=True)


if __name__ == "__main__":
    main()
