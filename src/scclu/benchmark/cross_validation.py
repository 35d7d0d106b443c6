"""Cross-validated classification from embeddings: ``python -m scclu.benchmark.cross_validation FILE LABELS``."""

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
from scclu._labels import read_labels
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
    """Compare embeddings by the cross-validated performance of a classifier.

    The folds are shuffled, stratified and identical for all embeddings. Only the classifier is fitted on the training
    folds; the embeddings are usually computed from all cells, without labels.

    Parameters
    ----------
    adata
        Annotated data with embeddings and known cell types; nothing is written.
    labels_key
        Column of ``adata.obs`` with the cell types.
    use_reps
        Keys of ``adata.obsm`` with the embeddings.
    method
        Classifier, as in :func:`scclu.tl.fit_classifier`.
    n_folds
        Number of folds.
    seed
        Seed for the folds and the classifier.

    Returns
    -------
    Data frame with one row per embedding and the columns ``"accuracy"``, ``"precision"``, ``"recall"`` and ``"f1"``
    (macro averages), computed from the predictions of all folds together.

    Raises
    ------
    TypeError, ValueError
        If labels or an embedding are missing, or an argument is not allowed.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> table = scclu.benchmark.cross_validate(adata, "cell_type", ["X_pca", "X_umap"])
    >>> bool(table.loc["X_pca", "f1"] > table.loc["X_umap", "f1"])
    True
    """
    from scclu import tl

    labels = np.asarray(read_labels(adata, labels_key, argument="labels_key"))
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
    """Compute four embeddings of the cells of a file and print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="h5ad file with counts in X")
    parser.add_argument(
        "labels", help="column of obs with cell types, the classes; their number is the number of clusters"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed for the embeddings and the folds")
    parser.add_argument("--scvi-epochs", type=int, help="number of epochs of scVI (default: chosen by scVI)")
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
