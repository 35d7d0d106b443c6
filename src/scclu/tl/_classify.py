"""Fit a classifier on labelled cells, and name other cells with it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from scclu._checks import check_choice, check_number
from scclu._labels import as_column, check_key, read_labels
from scclu.classify.classifier import METHODS, CellClassifier, Method
from scclu.methods._randomness import one_at_a_time
from scclu.tl._write import h5ad_safe, write_results

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

    Fitted by scikit-learn. Probabilities are calibrated by temperature scaling on held-out folds, which works for
    classes of any size and never changes which class is the most probable.

    Parameters
    ----------
    adata
        Labelled cells; nothing is written.
    labels_key
        Their types: a column of ``adata.obs``.
    use_rep
        What to read: a key of ``adata.obsm``, or ``"X"`` for the genes. Embeddings that were made by two runs of a
        method have nothing in common: embed new cells with the model that embedded these
        (:meth:`CICL.get_latent_representation <scclu.model.CICL.get_latent_representation>`).
    method
        ``"logistic"``: logistic regression; ``"mlp"``: one hidden layer; both on standardised features. ``"knn"``:
        nearest neighbours, euclidean.
    C
        Inverse strength of the penalty of ``"logistic"``.
    n_neighbors
        Of ``"knn"``.
    n_hidden
        Width of the hidden layer of ``"mlp"``.
    random_state
        Of the folds and of ``"mlp"``.

    Returns
    -------
    The classifier, for :func:`classify`; it has ``save`` and ``load``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it must be, labels are missing or all the same, or the embedding is missing or holds
        anything but finite numbers.

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
    check_number("random_state", random_state, integer=True, low=0, below=2**32)
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


@one_at_a_time
def classify(
    adata: AnnData,
    classifier: CellClassifier,
    *,
    use_rep: str | None = None,
    threshold: float = 0.5,
    unassigned: str = "Unknown",
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Name cells by a classifier.

    Parameters
    ----------
    adata
        Cells with the embedding that the classifier was fitted on, made by the same model.
    classifier
        What :func:`fit_classifier` or :meth:`CellClassifier.load <scclu.model.CellClassifier.load>` returned.
    use_rep
        Where the embedding is, if not under the key that the classifier was fitted on.
    threshold
        A cell whose most probable class has a lower probability is `unassigned`; 0 names every cell.
    unassigned
        Name of the cells that are not recognised.
    key_added
        Name of the results; ``None`` is the name of the labels with ``"_predicted"`` behind it.
    copy
        Write to a copy and return it.

    Returns
    -------
    ``None``, or the copy. Written are

    ``adata.obs[key_added]``
        Types, categorical.
    ``adata.obsm[f"{key_added}_proba"]``
        Calibrated probabilities, ``(n_obs, n_classes)`` float32.
    ``adata.uns[key_added]``
        ``"classes"``, the columns of the probabilities; ``"params"``.

    Raises
    ------
    TypeError, ValueError
        If the embedding is missing or has other dimensions, or an argument is not what it must be. `adata` is then
        unchanged.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> classifier = scclu.tl.fit_classifier(adata, "cell_type", use_rep="X_pca", method="knn")
    >>> scclu.tl.classify(adata, classifier, threshold=0.8, key_added="guess")
    >>> adata.obsm["guess_proba"].shape, "Unknown" in set(adata.obs["guess"])
    ((700, 10), True)
    """
    if not isinstance(classifier, CellClassifier):
        raise TypeError(
            "classifier must be what scclu.tl.fit_classifier returns, but a "
            f"{type(classifier).__name__} was passed. CellClassifier.load(folder) reads a saved one."
        )
    check_number("threshold", threshold, low=0)
    if threshold > 1:
        raise ValueError(f"threshold must be at most 1, but {threshold!r} was passed.")
    if not isinstance(unassigned, str) or not unassigned:
        raise TypeError(f"unassigned must be a name, but {unassigned!r} was passed.")
    key = check_key(f"{classifier.labels_key}_predicted" if key_added is None else key_added, classifier.labels_key)
    probabilities = classifier.predict_proba(adata, use_rep=use_rep)
    names = np.where(
        probabilities.max(axis=1) >= threshold, classifier.classes[probabilities.argmax(axis=1)], unassigned
    )
    adata = write_results(
        adata,
        copy=copy,
        obs={key: as_column(names, list(classifier.classes), unassigned)},
        obsm={f"{key}_proba": probabilities},
        uns={
            key: {
                "params": h5ad_safe(
                    {
                        "method": classifier.method,
                        "labels_key": classifier.labels_key,
                        "use_rep": classifier.use_rep if use_rep is None else use_rep,
                        "threshold": float(threshold),
                        "unassigned": unassigned,
                        "temperature": classifier.temperature,
                    }
                ),
                "classes": np.array(classifier.classes, dtype=str),
            }
        },
    )
    logger.info("Wrote obs[%r], obsm['%s_proba'] and uns[%r].", key, key, key)
    return adata if copy else None
