"""The interface to scvi-tools. No other file uses a private name of scvi-tools."""

from __future__ import annotations

import warnings
from typing import Any

import rich.pretty  # noqa: F401  view_anndata_setup of scvi-tools 1.4 uses it without importing it
from anndata import AnnData
from scvi.data import AnnDataManager
from scvi.data.fields import CategoricalObsField, LayerField, ObsmField
from scvi.model._utils import parse_device_args
from scvi.model.base import BaseModelClass
from scvi.train import Trainer
from scvi.train._progress import ProgressBar

from scclu._process import one_at_a_time, quiet_loggers

__all__ = [
    "BaseModelClass",
    "ProgressBar",
    "Trainer",
    "attach",
    "init_params",
    "parse_device_args",
    "register",
    "registered_batch_key",
    "registered_matrix",
    "release",
    "saved_registry",
    "setup_args",
]

_X = "X"


# scvi-tools keeps dictionaries of registered data that all threads share
@one_at_a_time
@quiet_loggers.held()
def register(
    cls: type[BaseModelClass],
    adata: AnnData,
    *,
    layer: str | None,
    use_rep: str | None,
    batch_key: str | None = None,
    **register_kwargs: Any,
) -> None:
    """Register the matrix that a model reads, which is what ``setup_anndata`` of scvi-tools' models does.

    Parameters
    ----------
    cls
        Class of the model.
    adata
        Cells; identifiers are written into ``adata.uns``.
    layer, use_rep
        A key of ``adata.layers`` or of ``adata.obsm``; ``adata.X`` if both are ``None``.
    batch_key
        A column of ``adata.obs``; scvi-tools copies it to ``adata.obs["_scvi_batch"]``.
    **register_kwargs
        For :meth:`scvi.data.AnnDataManager.register_fields`.
    """
    arguments = cls._get_setup_method_args(cls=cls, adata=adata, layer=layer, use_rep=use_rep, batch_key=batch_key)
    field = (
        ObsmField(_X, use_rep, is_count_data=False, correct_data_format=False)
        if use_rep is not None
        else LayerField(_X, layer, is_count_data=False, correct_data_format=False)
    )
    batches = [] if batch_key is None else [CategoricalObsField("batch", batch_key)]
    manager = AnnDataManager(fields=[field, *batches], setup_method_args=arguments)
    with warnings.catch_warnings():
        # its models need three cells of each batch
        warnings.filterwarnings("ignore", message=".*has fewer than 3 cells", category=UserWarning)
        manager.register_fields(adata, **register_kwargs)
    cls.register_manager(manager)


@one_at_a_time
def attach(model: BaseModelClass, adata: AnnData) -> None:
    """Set up `adata` as the training cells of a model that was loaded without them."""
    type(model).setup_anndata(adata, **setup_args(model))
    manager = model._get_most_recent_anndata_manager(adata, required=True)
    model._register_manager_for_instance(manager)
    model._adata, model._adata_manager = adata, manager
    model.registry_, model.summary_stats = manager.registry, manager.summary_stats


@one_at_a_time
def release(cls: type[BaseModelClass], adata: AnnData) -> None:
    """Remove `adata` from the stores of `cls`, which would otherwise keep it in memory while Python runs."""
    for store in (cls._setup_adata_manager_store, *cls._per_instance_manager_store.values()):
        for key in [key for key, manager in store.items() if manager.adata is adata]:
            del store[key]


def setup_args(model: BaseModelClass) -> dict[str, Any]:
    """Arguments of ``setup_anndata`` that the model was set up with."""
    return model.registry["setup_args"]


def registered_batch_key(model: Any) -> str | None:
    """Column of ``adata.obs`` with the batches; ``None`` without batches, and for a model of version 0.1.0."""
    return setup_args(model).get("batch_key")


def registered_matrix(model: BaseModelClass) -> dict[str, str | None]:
    """Arguments `layer` and `use_rep` of the matrix that is registered for the model."""
    if model.adata_manager is None:
        return {name: setup_args(model)[name] for name in ("layer", "use_rep")}
    place = model.adata_manager.data_registry[_X]
    return {
        "layer": place["attr_key"] if place["attr_name"] == "layers" else None,
        "use_rep": place["attr_key"] if place["attr_name"] == "obsm" else None,
    }


def saved_registry(cls: type[BaseModelClass], arguments: dict[str, Any]) -> dict[str, Any]:
    """Registry of a model without cells, from the arguments of ``setup_anndata``."""
    return {
        "model_name": cls.__name__,
        "setup_method_name": "setup_anndata",
        "setup_args": arguments,
        "field_registries": {},
    }


def init_params(model: BaseModelClass, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a model's constructor without the cells; `arguments` are its ``locals()``."""
    return model._get_init_params(arguments)
