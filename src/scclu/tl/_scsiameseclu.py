"""Cluster cells with scSiameseClu."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scclu.cluster.core import ALPHA, MIN_CLUSTER_SIZE
from scclu.methods.scsiameseclu.model import ScSiameseClu
from scclu.tl._restrict import read_restriction, restricted_key
from scclu.tl._write import train_model, write_clusters

if TYPE_CHECKING:
    from anndata import AnnData


def scsiameseclu(
    adata: AnnData,
    n_clusters: int | None = None,
    *,
    layer: str | None = None,
    use_rep: str | None = None,
    batch_key: str | None = None,
    counts_layer: str | None = None,
    neighbors_key: str | None = None,
    preset: Literal["default", "paper"] = "default",
    alpha: float = ALPHA,
    min_cluster_size: int = MIN_CLUSTER_SIZE,
    max_epochs: int | None = None,
    batch_size: int | None = None,
    restrict_to: tuple[str, Iterable[str]] | None = None,
    key_added: str = "scsiameseclu",
    random_state: int = 0,
    accelerator: str = "auto",
    devices: int | list[int] | str = "auto",
    precision: str = "auto",
    n_snapshots: int = 0,
    checkpoint_dir: str | Path | None = None,
    progress_bar: bool = True,
    copy: bool = False,
    return_model: bool = False,
    **model_kwargs: Any,
) -> AnnData | ScSiameseClu | tuple[AnnData, ScSiameseClu] | None:
    """Cluster cells with siamese autoencoders of expression and cell graph and optimal transport.

    Equivalent to :meth:`ScSiameseClu.setup_anndata <scclu.model.ScSiameseClu.setup_anndata>`,
    :class:`~scclu.model.ScSiameseClu`, :meth:`~scclu.model.ScSiameseClu.train` and writing the results to `adata`. No
    column of ``adata.obs`` is read but those in `batch_key` and `restrict_to`.

    Parameters
    ----------
    adata
        Cells x genes. Non-negative whole numbers in ``X`` are taken as counts, non-negative reals as log-normalised,
        other reals as scaled; a message says which one. ``X``, layers and raw are not changed. A matrix on disk is read
        in blocks of rows.
    n_clusters
        Number of clusters K; ``None`` finds the number of distinct clusters by tests; a message says it.
    layer
        Key of ``adata.layers`` to use instead of ``X``.
    use_rep
        Key of ``adata.obsm`` to use instead of genes.
    counts_layer
        Layer with raw counts for the ZINB loss; ``None`` uses ``layers["counts"]``, else ``X`` (or `layer`) if it
        contains counts. ``zinb_weight=0`` disables the loss.
    neighbors_key
        Key of ``adata.uns``, as written by :func:`scanpy.pp.neighbors`, of a graph to use, without its weights and
        directions; ``None`` builds a graph of nearest neighbours by Pearson correlation.
    batch_key
        Column of ``adata.obs`` with the batch of each cell (sample, donor, protocol). Its effect is removed from the
        embedding, clusters are compared within batches, and the composition of each cluster is stored.
    preset
        Preset that provides defaults for all settings that are not passed: ``"default"`` or ``"paper"``.
    alpha
        Level of the tests that decide which clusters are distinct, in [0, 1]; smaller values give fewer clusters. It
        has an effect if `n_clusters` is None.
    min_cluster_size
        If `n_clusters` is None, no cluster has fewer cells. If it is given, a warning names smaller clusters.
    max_epochs, batch_size, accelerator, devices, precision, n_snapshots, checkpoint_dir
        As in :meth:`ScSiameseClu.train <scclu.model.ScSiameseClu.train>`.
    progress_bar
        Show a progress bar during training.
    restrict_to
        Column of ``adata.obs`` and a list of its names: only the cells with these names are clustered, anew, as in
        :func:`scanpy.tl.leiden`. Their clusters are called ``"3,0"``, ``"3,1"``, ... for one name and ``"3-4,0"``, ...
        for several; the others keep their names. The model is trained on these cells only.
    key_added
        Key under which the results are stored; with `restrict_to`, the default is ``"scsiameseclu_R"``.
    random_state
        Random seed; the same seed gives the same clusters on the same machine.
    copy
        Write the results to a copy of `adata` and return the copy.
    return_model
        Return the trained model (after the copy, if `copy` is true).
    **model_kwargs
        Further arguments of :class:`~scclu.model.ScSiameseClu`.

    Returns
    -------
    ``None``, the copy, the model, or both, as `copy` and `return_model` say. Written are

    ``adata.obs[key_added]``
        Clusters, categorical of strings; ``"0"`` is the largest.
    ``adata.obs[f"{key_added}_confidence"]``
        Probability of the cell's cluster, in [0, 1], float32.
    ``adata.obs[f"{key_added}_fine"]``
        Fine cluster of the cell in the tree, categorical of strings (with ``cluster_method="tree"``).
    ``adata.obsm[f"X_{key_added}"]``
        The embedding, ``(n_obs, n_latent + n_components)`` float32: components of the fused embedding and of the
        features, side by side (with ``cluster_method="assignment"``, the fused embedding, ``(n_obs, n_latent)``).
    ``adata.uns[key_added]``
        ``"params"``; ``"runtime"``, the arguments that say where and how to compute, such as `accelerator`;
        ``"n_clusters"``; ``"n_clusters_source"`` (``"user"`` or ``"tree"``);
        ``"embedding_id"``, the identifier of the embedding, which classifiers compare; ``"history"``, the mean losses
        of each epoch of each phase; ``"tree"``, the merges of the fine clusters: ``"children"`` ``(n_fine - 1, 2)``,
        ``"height"``, ``"size"`` and ``"p"`` ``(n_fine - 1,)``, and ``"neighbors"`` ``(n_fine, n_fine)``, how they are
        connected in the neighbour graph.
        With `batch_key` also ``"batches"``, for :func:`scclu.pl.batches`: the names ``"batches"``, ``"counts"``
        ``(n_clusters, n_batches)``, and ``"table"``, a data frame with the batch that stands out in each cluster.
        With `n_snapshots` also ``"snapshots"``, for :func:`scclu.pl.snapshots`: ``"epoch"`` ``(n,)``, ``"embedding"``
        ``(n, n_obs, n_dims)`` float32 and ``"clusters"`` ``(n, n_obs)`` int32.

    With `restrict_to`, the confidence, the fine cluster and the embedding of the other cells are missing (NaN), because
    the network has not seen such cells; ``adata.uns[key_added]`` is about the cells that were clustered.

    Raises
    ------
    TypeError, ValueError
        If the data or an argument is not what it must be. `adata` is then unchanged.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.tl.scsiameseclu(adata, n_clusters=10, max_epochs=2)
    >>> adata.obsm["X_scsiameseclu"].shape
    (700, 45)
    """
    arguments = locals()
    key = restricted_key(key_added, "scsiameseclu", restrict_to)
    restriction = read_restriction(adata, restrict_to, key, n_clusters)
    model = train_model(
        ScSiameseClu,
        adata,
        n_clusters,
        layer=layer,
        use_rep=use_rep,
        batch_key=batch_key,
        key_added=key,
        restriction=restriction,
        copy=copy,
        model_kwargs={
            "preset": preset,
            "alpha": alpha,
            "min_cluster_size": min_cluster_size,
            "random_state": random_state,
            "counts_layer": counts_layer,
            "neighbors_key": neighbors_key,
            **model_kwargs,
        },
        train_kwargs={
            "max_epochs": max_epochs,
            "batch_size": batch_size,
            "accelerator": accelerator,
            "devices": devices,
            "precision": precision,
            "n_snapshots": n_snapshots,
            "checkpoint_dir": checkpoint_dir,
            "enable_progress_bar": progress_bar,
        },
        count_layers=() if model_kwargs.get("zinb_weight") == 0 else (None, "counts", counts_layer),
    )
    return write_clusters(adata, model, key, arguments, restriction=restriction, copy=copy, return_model=return_model)
