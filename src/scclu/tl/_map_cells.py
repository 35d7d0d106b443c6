"""The tool ``map_cells``: new cells embedded, clustered and classified by a trained model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scclu._checks import check_key
from scclu._process import one_at_a_time
from scclu.classify.classifier import CellClassifier
from scclu.methods._base import ClusteringModel
from scclu.methods._clusters import assigned
from scclu.tl._classify import classify
from scclu.tl._write import check_writable, write_results

if TYPE_CHECKING:
    from anndata import AnnData

    from scclu.methods.cicl.model import CICL
    from scclu.methods.scsiameseclu.model import ScSiameseClu

logger = logging.getLogger(__name__)


@one_at_a_time
def map_cells(
    adata: AnnData,
    model: CICL | ScSiameseClu,
    *,
    classifier: CellClassifier | None = None,
    threshold: float = 0.5,
    unassigned: str = "Unknown",
    batch_size: int | None = None,
    transform_batch: str | None = None,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Assign new cells to the clusters of a trained model, and to cell types.

    The cells get the embedding, the clusters and the confidence that the training cells have, from the same network and
    the same rule. An embedding from another training has other axes, and a classifier refuses it.

    Parameters
    ----------
    adata
        New cells with the genes of the training cells, matched by name, and values of the same kind in the layer (or
        key of ``adata.obsm``) that the model was set up with.
    model
        Trained model: the result of ``scclu.tl.cicl(..., return_model=True)``, or of
        :meth:`CICL.load <scclu.model.CICL.load>`.
    classifier
        Result of :func:`fit_classifier` on the embedding of the training cells. The cell types that it predicts are
        written as by :func:`classify`.
    threshold, unassigned
        As in :func:`classify`.
    batch_size
        Number of cells that are embedded at a time; None is 1,024.
    transform_batch
        Batch of the training cells as whose cells the new cells are corrected, for a model with `batch_key` and cells
        of a batch that the training cells do not have. None reads the batch of each cell in ``adata.obs[batch_key]``.
    key_added
        Key under which the results are stored; ``"cicl"`` or ``"scsiameseclu"`` if None.
    copy
        Return a copy with the results instead of writing to `adata`.

    Returns
    -------
    None, or the copy if `copy` is True. Sets the following fields:

    ``adata.obs[key_added]``
        Clusters, categorical of strings with the clusters of the training cells as categories.
    ``adata.obs[f"{key_added}_confidence"]``
        Probability of the cell's cluster, in [0, 1], float32.
    ``adata.obsm[f"X_{key_added}"]``
        The embedding, ``(n_obs, n_dims)`` float32.
    ``adata.uns[key_added]``
        ``"n_clusters"`` and ``"embedding_id"``, the identifier of the model's embedding.

    With a `classifier` also the fields that :func:`classify` sets.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        If the model is not trained, genes are missing, the values are of another kind, or the classifier was fitted on
        another embedding. `adata` is then unchanged.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> old, new = adata[:600].copy(), adata[600:].copy()
    >>> model = scclu.tl.cicl(old, n_clusters=8, max_epochs=2, return_model=True)
    >>> classifier = scclu.tl.fit_classifier(old, "cell_type", use_rep="X_cicl")
    >>> scclu.tl.map_cells(new, model, classifier=classifier)
    >>> new.obsm["X_cicl"].shape, "cicl_confidence" in new.obs, "cell_type_predicted" in new.obs
    ((100, 60), True, True)
    """
    if not isinstance(model, ClusteringModel):
        raise TypeError(
            "model must be a trained scclu.model.CICL or ScSiameseClu, but a "
            f"{type(model).__name__} was passed. scclu.tl.cicl(..., return_model=True) returns one."
        )
    if classifier is not None and not isinstance(classifier, CellClassifier):
        raise TypeError(
            f"classifier must be what scclu.tl.fit_classifier returns, but a {type(classifier).__name__} was passed."
        )
    check_writable(adata, copy=copy)
    key = check_key(type(model).__name__.lower() if key_added is None else key_added)
    embedding_id = model.embedding_id
    if classifier is not None:
        classifier.check_embedding(embedding_id, "the model")
    embedding = model.get_latent_representation(adata, batch_size=batch_size, transform_batch=transform_batch)
    probability = assigned(model.module.head, embedding)
    names = [str(each) for each in range(probability.shape[1])]
    results: dict[str, dict[str, Any]] = {
        "obs": {
            key: pd.Categorical(probability.argmax(axis=1).astype(str), categories=names),
            f"{key}_confidence": probability.max(axis=1),
        },
        "obsm": {f"X_{key}": embedding},
        "uns": {key: {"n_clusters": len(names), "embedding_id": embedding_id}},
    }
    if classifier is not None:
        # on a copy of what the classifier reads, so that an error leaves `adata` unchanged
        named = pd.DataFrame(index=adata.obs_names)
        shell = type(adata)(obs=named, obsm={f"X_{key}": embedding}, uns=dict(results["uns"]))
        classify(shell, classifier, use_rep=f"X_{key}", threshold=threshold, unassigned=unassigned)
        for part in ("obs", "obsm", "uns"):
            results[part] |= {name: value for name, value in getattr(shell, part).items() if name not in results[part]}
    adata = write_results(adata, copy=copy, **results)
    unsure = int(np.count_nonzero(probability.max(axis=1) < 0.5))
    logger.info("Mapped %d cells to %d clusters; the confidence of %d is below 0.5.", adata.n_obs, len(names), unsure)
    return adata if copy else None
