"""The tool ``classify``: cell types of cells, predicted by a fitted classifier."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from scclu._checks import check_key, check_name, check_number
from scclu._labels import as_column
from scclu._process import one_at_a_time
from scclu.classify.classifier import CellClassifier
from scclu.tl._write import h5ad_safe, write_results

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger(__name__)


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
    """Predict the cell type of each cell.

    Parameters
    ----------
    adata
        Annotated data with the embedding that the classifier was fitted on, computed by the same model.
    classifier
        Result of :func:`fit_classifier` or :meth:`CellClassifier.load <scclu.model.CellClassifier.load>`.
    use_rep
        Key of ``adata.obsm`` with the embedding; the key that the classifier was fitted on if None.
    threshold
        Cells whose highest class probability is lower stay `unassigned`; 0 assigns a type to every cell.
    unassigned
        Name for cells that are not recognised.
    key_added
        Key under which results are stored; the name of the training labels followed by ``"_predicted"`` if None.
    copy
        Return a copy with the results instead of writing to `adata`.

    Returns
    -------
    None, or the copy if `copy` is True. Sets the following fields:

    ``adata.obs[key_added]``
        Cell types, categorical.
    ``adata.obsm[f"{key_added}_proba"]``
        Calibrated class probabilities, ``(n_obs, n_classes)`` float32.
    ``adata.uns[key_added]``
        ``"classes"``, the names of the columns of the probabilities; ``"params"``.

    Raises
    ------
    TypeError, ValueError
        If the embedding is missing or has another number of dimensions, or an argument is not allowed. `adata` is then
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
    check_number("threshold", threshold, low=0, high=1)
    check_name("unassigned", unassigned)
    key = check_key(f"{classifier.labels_key}_predicted" if key_added is None else key_added, classifier.labels_key)
    probabilities = classifier.predict_proba(adata, use_rep=use_rep)
    recognised = probabilities.max(axis=1) >= threshold
    names = np.where(recognised, classifier.classes[probabilities.argmax(axis=1)], unassigned)
    params = {
        "method": classifier.method,
        "labels_key": classifier.labels_key,
        "use_rep": classifier.use_rep if use_rep is None else use_rep,
        "threshold": float(threshold),
        "unassigned": unassigned,
        "temperature": classifier.temperature,
    }
    adata = write_results(
        adata,
        copy=copy,
        obs={key: as_column(names, list(classifier.classes), unassigned)},
        obsm={f"{key}_proba": probabilities},
        uns={key: {"params": h5ad_safe(params), "classes": np.array(classifier.classes, dtype=str)}},
    )
    logger.info("Wrote obs[%r], obsm['%s_proba'] and uns[%r].", key, key, key)
    return adata if copy else None
