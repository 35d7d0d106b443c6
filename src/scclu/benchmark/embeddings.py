"""Embeddings judged by a classifier: ``python -m scclu.benchmark.embeddings FILE LABELS --seed 0``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.model_selection import StratifiedKFold

from scclu import metrics
from scclu.benchmark.peers import scaled_components, scvi_latent

if TYPE_CHECKING:
    from scclu.classify.classifier import Method


def cross_validate(
    adata: AnnData,
    labels_key: str,
    use_reps: Sequence[str],
    *,
    method: Method = "logistic",
    n_folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Classify held-out cells from each of several embeddings.

    The folds are shuffled and stratified, and the same for all embeddings. The embeddings have usually seen all cells,
    without labels: only the classifier is held out.

    Parameters
    ----------
    adata
        Labelled cells.
    labels_key
        A column of ``adata.obs``.
    use_reps
        Keys of ``adata.obsm``.
    method
        As for :func:`scclu.tl.fit_classifier`.
    n_folds, seed
        Of the folds.

    Returns
    -------
    One row an embedding: ``"accuracy"``, ``"precision"``, ``"recall"`` and ``"f1"`` (macro) over the predictions of all
    folds together.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> table = scclu.benchmark.cross_validate(adata, "cell_type", ["X_pca", "X_umap"])
    >>> bool(table.loc["X_pca", "f1"] > table.loc["X_umap", "f1"])
    True
    """
    from scclu import tl

    labels = adata.obs[labels_key].astype(str).to_numpy()
    folds = list(StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(labels, labels))
    rows = {}
    for use_rep in use_reps:
        predicted = np.empty(len(labels), dtype=object)
        cells = AnnData(obs=adata.obs[[labels_key]], obsm={use_rep: adata.obsm[use_rep]})
        for train, test in folds:
            classifier = tl.fit_classifier(cells[train], labels_key, use_rep=use_rep, method=method, random_state=seed)
            predicted[test] = classifier.predict(cells[test])
        report = metrics.classification_report(labels, predicted)
        rows[use_rep] = {name: getattr(report, name) for name in ("accuracy", "precision", "recall", "f1")}
    return pd.DataFrame.from_dict(rows, orient="index")


def main(argv: Sequence[str] | None = None) -> int:
    """Embed a file's cells in four ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="h5ad with counts in X")
    parser.add_argument("labels", help="column of obs: the number of its categories is K; the classifier learns them")
    parser.add_argument("--seed", type=int, default=0, help="of the embeddings and of the folds")
    parser.add_argument("--scvi-epochs", type=int, help="default: scVI's own")
    arguments = parser.parse_args(argv)
    from scclu import tl

    adata, seed = ad.read_h5ad(arguments.file), arguments.seed
    k = adata.obs[arguments.labels].nunique()
    adata.obsm["X_pca"] = scaled_components(adata, seed=seed)
    adata.obsm["X_scVI"] = scvi_latent(adata, max_epochs=arguments.scvi_epochs, seed=seed)
    tl.cicl(adata, k, random_state=seed)
    tl.scsiameseclu(adata, k, random_state=seed)
    table = cross_validate(adata, arguments.labels, ["X_pca", "X_scVI", "X_cicl", "X_scsiameseclu"], seed=seed)
    print(table.to_string(float_format="{:.3f}".format))
    return 0


if __name__ == "__main__":
    sys.exit(main())
