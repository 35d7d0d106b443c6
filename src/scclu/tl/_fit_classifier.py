"""The tool ``fit_classifier``: a classifier of cell types on an embedding."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from scclu._checks import check_choice, check_number, check_seed
from scclu._labels import read_labels
from scclu._process import one_at_a_time
from scclu.classify.classifier import METHODS, CellClassifier, Method

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)


@one_at_a_time
def fit_classifier(
    adata: AnnData,
    labels_key: str,
    *,
    use_rep: str,
    method: Method = "logistic",
    C: float = 1.0,
    n_neighbors: int = 15,
    n_hidden: int = 64,
    random_state: int = 0,
) -> CellClassifier:
    """Fit a classifier of cell types on an embedding (Table 2 of the scSiameseClu paper).

    The classifier is fitted by scikit-learn. Probabilities are calibrated by temperature scaling on held-out folds,
    which works for classes of any size and does not change which class is the most probable.

    Parameters
    ----------
    adata
        Annotated data with known cell types; nothing is written.
    labels_key
        Column of ``adata.obs`` with the cell types.
    use_rep
        Key of ``adata.obsm``, or ``"X"`` for the genes. Embeddings from two runs of a method are not comparable: embed
        new cells with the model that embedded these
        (:meth:`CICL.get_latent_representation <scclu.model.CICL.get_latent_representation>`).
    method
        ``"logistic"`` is logistic regression and ``"mlp"`` a network with one hidden layer, both on standardised
        features; ``"knn"`` uses the nearest neighbours by Euclidean distance.
    C
        Inverse strength of the regularisation of ``"logistic"``.
    n_neighbors
        Number of neighbours of ``"knn"``.
    n_hidden
        Width of the hidden layer of ``"mlp"``.
    random_state
        Seed for the folds and for ``"mlp"``.

    Returns
    -------
    The classifier, for :func:`classify`; it has methods ``save`` and ``load``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not allowed, labels are missing or all the same, or the embedding is missing or has values
        that are not finite numbers.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> classifier = scclu.tl.fit_classifier(adata[:600], "cell_type", use_rep="X_pca")
    >>> new = adata[600:].copy()
    >>> scclu.tl.classify(new, classifier)
    >>> scclu.metrics.classification_report(new.obs["cell_type"], new.obs["cell_type_predicted"]).accuracy > 0.6
    True
    """
    labels = read_labels(adata, labels_key, argument="labels_key")
    check_choice("method", method, METHODS)
    check_number("C", C, above=0)
    check_number("n_neighbors", n_neighbors, integer=True, low=1)
    check_number("n_hidden", n_hidden, integer=True, low=1)
    check_seed("random_state", random_state)
    classifier = CellClassifier.fit(
        adata,
        np.asarray(labels.codes, dtype=np.int64),
        np.array(labels.categories, dtype=object),
        method=method,
        labels_key=labels_key,
        use_rep=use_rep,
        settings={"C": C, "n_neighbors": n_neighbors, "n_hidden": n_hidden, "random_state": random_state},
    )
    logger.info("Fitted %r, temperature %.2f.", classifier, classifier.temperature)
    return classifier
