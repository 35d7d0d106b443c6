"""Steps that the clustering tools share: input of the model, training, and writing of results."""

from __future__ import annotations

import gc
import inspect
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scclu._checks import check_adata, check_key, check_training
from scclu.data.disk import is_on_disk
from scclu.data.matrix import gene_names, in_memory, select_matrix
from scclu.data.neighbors import select_neighbors
from scclu.methods._base import ClusteringModel
from scclu.methods._batches import read_batches
from scclu.methods._scvi import release
from scclu.tl._batch_table import batch_table
from scclu.tl._restrict import Restriction, new_names, recorded_restriction, renamed, spread

logger = logging.getLogger(__name__)

# arguments of the clustering tools that say where and how to compute, and those that are not recorded
_RUNTIME = ("accelerator", "devices", "strategy", "num_nodes", "precision", "checkpoint_dir", "progress_bar")
_NOT_RECORDED = ("adata", "copy", "return_model", "model_kwargs")


def h5ad_safe(value: Any) -> Any:
    """Convert a value to one that AnnData writes and reads back equal: no tuples, no None in lists, string keys."""
    if isinstance(value, Mapping):
        return {str(key): h5ad_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        items = [h5ad_safe(item) for item in value]
        kinds = {type(item) for item in items}
        # AnnData writes arrays of one type; other values are stored as text
        return (
            np.array(items) if len(kinds) <= 1 and kinds <= {str, int, float, bool} else np.array(list(map(str, items)))
        )
    if value is None or isinstance(value, (str, bool, int, float, np.ndarray, np.generic)):
        return value
    return str(value)


def check_writable(adata: AnnData, *, copy: bool) -> None:
    """Raise if :func:`write_results` cannot write to `adata`, before anything is computed.

    Raises
    ------
    TypeError
        If `adata` is not an AnnData.
    ValueError
        If it is a view of a backed AnnData and `copy` is false.
    """
    check_adata(adata)
    if adata.is_view and adata.isbacked and not copy:
        raise ValueError(
            "adata is a view of a backed AnnData, to which nothing can be written. "
            "Pass adata.to_memory(), or copy=True to get a copy in memory with the results."
        )


def write_results(
    adata: AnnData,
    *,
    copy: bool,
    obs: Mapping[str, Any] | None = None,
    obsm: Mapping[str, Any] | None = None,
    uns: Mapping[str, Any] | None = None,
) -> AnnData:
    """Write results to a copy or to `adata` itself; if one of them cannot be written, `adata` is left unchanged.

    A view becomes an actual AnnData. Colours in ``uns`` for another number of labels are removed.
    """
    check_writable(adata, copy=copy)
    if copy:
        adata = adata.to_memory() if adata.isbacked else adata.copy()
    elif adata.is_view:
        adata._init_as_actual(adata.copy())
    results = [(adata.obs, obs or {}), (adata.obsm, obsm or {}), (adata.uns, uns or {})]
    before = [{name: target[name] for name in new if name in target} for target, new in results]
    try:
        for target, new in results:
            for name, value in new.items():
                target[name] = value
    except BaseException:
        for (target, new), old in zip(results, before, strict=True):
            for name in new:
                if name in old:
                    target[name] = old[name]
                elif name in target:
                    del target[name]
        raise
    for name, labels in (obs or {}).items():
        if isinstance(labels, pd.Categorical):
            colors = adata.uns.get(f"{name}_colors")
            if colors is not None and len(colors) != len(labels.categories):
                del adata.uns[f"{name}_colors"]
    return adata


def model_input(
    adata: AnnData,
    *,
    layer: str | None,
    use_rep: str | None,
    batch_key: str | None = None,
    count_layers: Iterable[str | None] = (),
    neighbors_key: str | None = None,
) -> AnnData:
    """Create an AnnData with what a model reads, which shares memory with `adata` but is registered in its place.

    Matrices on disk whose rows can be read stay there.

    Parameters
    ----------
    adata
        The user's AnnData.
    layer, use_rep
        Matrix that the model reads.
    batch_key
        Column of ``adata.obs`` to include.
    count_layers
        Layers that may contain counts, which are included if they exist; ``None`` is ``X``.
    neighbors_key
        Neighbour graph to include.
    """
    values, names, _ = select_matrix(adata, layer=layer, use_rep=use_rep)
    values = _blockwise(values)
    obs = pd.DataFrame(index=pd.RangeIndex(adata.n_obs).astype(str))
    if batch_key is not None:
        obs[batch_key] = read_batches(adata, batch_key)
    layers = {} if layer is None else {layer: values}
    layers |= {
        name: _blockwise(adata.layers[name]) for name in count_layers if name is not None and name in adata.layers
    }
    if use_rep is None:
        shell = AnnData(values, obs=obs, var=pd.DataFrame(index=names), layers=layers)
    elif count_layers:
        x = _blockwise(adata.X) if None in count_layers and adata.X is not None else None
        var = pd.DataFrame(index=gene_names(adata))
        shell = AnnData(x, obs=obs, var=var, layers=layers, obsm={use_rep: values})
    else:
        shell = AnnData(obs=obs, obsm={use_rep: values})
    if neighbors_key is not None:
        graph, name = select_neighbors(adata, neighbors_key)
        shell.uns[neighbors_key] = {"connectivities_key": name}
        shell.obsp[name] = in_memory(graph)
    return shell


def _blockwise(values: Any) -> Any:
    """Matrix whose rows can be read: the values themselves, or those in memory if only the whole can be read."""
    return values if is_on_disk(values) else in_memory(values)


def train_model(
    cls: type[ClusteringModel],
    adata: AnnData,
    n_clusters: int | None,
    *,
    layer: str | None,
    use_rep: str | None,
    batch_key: str | None = None,
    key_added: str,
    model_kwargs: Mapping[str, Any],
    train_kwargs: Mapping[str, Any],
    count_layers: Iterable[str | None] = (),
    restriction: Restriction | None = None,
    copy: bool = False,
) -> ClusteringModel:
    """Set up, create and train a model, after checking that results can be written as `copy` says.

    The model is trained on the cells of the `restriction`, or on all.
    """
    allowed = set(inspect.signature(cls.__init__).parameters) - {"self", "adata", "registry"}
    unknown = sorted(set(model_kwargs) - allowed)
    if unknown:
        raise TypeError(f"{cls.__name__} has no argument {unknown[0]!r}. There are: {', '.join(sorted(allowed))}.")
    check_writable(adata, copy=copy)
    check_training(adata, **{name: train_kwargs[name] for name in ("max_epochs", "batch_size", "n_snapshots")})
    neighbors_key = model_kwargs.get("neighbors_key")
    check_key(key_added, neighbors_key, batch_key)
    if use_rep == f"X_{key_added}":
        raise ValueError(
            f"use_rep must not be {use_rep!r}, which this call writes: what it reads would be lost. "
            "Pass another key_added."
        )
    shell = model_input(
        adata if restriction is None else adata[restriction.cells],
        layer=layer,
        use_rep=use_rep,
        batch_key=batch_key,
        count_layers=count_layers,
        neighbors_key=neighbors_key,
    )
    try:
        cls.setup_anndata(shell, layer=layer, use_rep=use_rep, batch_key=batch_key)
        model = cls(shell, n_clusters, **model_kwargs)
        model.train(**train_kwargs)
    except BaseException:
        release(cls, shell)
        raise
    # Lightning's trainers contain reference cycles, which would keep the cells in memory until the next collection
    gc.collect()
    return model


def write_clusters(
    adata: AnnData,
    model: ClusteringModel,
    key: str,
    arguments: Mapping[str, Any],
    *,
    restriction: Restriction | None,
    copy: bool,
    return_model: bool,
) -> Any:
    """Write the results of a trained model, and the `arguments` of the tool (its ``locals()``).

    Returns
    -------
    The copy and the model, if requested.
    """
    try:
        labels = model.predict()
        confidence = model.predict(soft=True).max(axis=1)
        embedding = model.get_latent_representation()
    finally:
        if not return_model:
            release(type(model), model.adata)
    n_clusters = int(labels.max()) + 1
    recorded = {name: value for name, value in arguments.items() if name not in _NOT_RECORDED}
    recorded |= arguments["model_kwargs"] | {"key_added": key, "restrict_to": recorded_restriction(restriction)}
    about = {
        "params": h5ad_safe({name: value for name, value in recorded.items() if name not in _RUNTIME}),
        "runtime": h5ad_safe({name: value for name, value in recorded.items() if name in _RUNTIME}),
        "n_clusters": n_clusters,
        "n_clusters_source": model.n_clusters_source,
        "embedding_id": model.embedding_id,
        "history": h5ad_safe(model.history_),
    }
    if model._batches_of_cells is not None:
        about["batches"] = batch_table(labels, model._batches_of_cells, n_clusters, list(model._batch_names))
        if restriction is not None:
            table = about["batches"]["table"]
            table["cluster"] = new_names(restriction.names, table["cluster"])
    if model.snapshots_ is not None:
        about["snapshots"] = asdict(model.snapshots_)
    cells = None if restriction is None else restriction.cells
    obs: dict[str, Any] = {}
    if model.tree_ is not None and model.fine_ is not None:
        about["tree"] = asdict(model.tree_)
        fine = spread(model.fine_.astype(str).astype(object), cells)
        obs[f"{key}_fine"] = pd.Categorical(fine, categories=_names(model.tree_.n_fine))
    if restriction is None:
        clusters = pd.Categorical(labels.astype(str), categories=_names(n_clusters))
    else:
        clusters = renamed(restriction.labels, restriction.cells, restriction.names, labels)
    adata = write_results(
        adata,
        copy=copy,
        obs={key: clusters, f"{key}_confidence": spread(confidence, cells), **obs},
        obsm={f"X_{key}": spread(embedding, cells)},
        uns={key: about},
    )
    logger.info("Wrote obs[%r], obs['%s_confidence'], obsm['X_%s'] and uns[%r].", key, key, key, key)
    results = (adata,) * copy + (model,) * return_model
    return results if len(results) == 2 else results[0] if results else None


def _names(n: int) -> list[str]:
    return [str(each) for each in range(n)]
