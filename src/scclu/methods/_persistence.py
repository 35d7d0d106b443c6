"""Saving and loading of clustering models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal, NoReturn, Self, TypeVar

import numpy as np
import torch
from anndata import AnnData, read_h5ad

from scclu._checks import check_number
from scclu.cluster.batches import BatchCorrection
from scclu.data.kinds import Scale
from scclu.data.recipe import Recipe
from scclu.methods._cells import CellDigests
from scclu.methods._files import check_finite, damage, file_digest, partial_path, read_model, write_model
from scclu.methods._scvi import attach, parse_device_args, saved_registry, setup_args

_Model = TypeVar("_Model", bound="SaveMixin")
_ANNDATA = "adata.h5ad"
# names of version 0.1.0
_RENAMED = {"module.centroids": "module.head.centroids"}


class SaveMixin:
    """Saving and loading for :class:`~scclu.methods._base.ClusteringModel`."""

    adata: Any
    module: Any
    is_trained: bool
    n_clusters: int
    n_clusters_source: str
    recipe: Recipe
    labels_: np.ndarray | None
    history_: dict[str, np.ndarray]
    _embedding: np.ndarray | None
    _cells: CellDigests | None
    _saved_labels: np.ndarray
    _check_trained: Any
    _digests: Any
    _read: Any
    _embed_training_cells: Any
    _new_module: Any
    # value of cluster_method with which cells are assigned to the nearest centroid
    _centroid_method: str

    def save(self, dir_path: str | Path, *, overwrite: bool = False, save_anndata: bool = False) -> None:
        """Save the trained model: weights in a safetensors file, everything else in a JSON file.

        Parameters
        ----------
        dir_path
            Directory, which is created if it does not exist.
        overwrite
            Replace a model in the directory. Default ``False``.
        save_anndata
            Also write the training cells, to ``adata.h5ad`` in the directory, where :meth:`load` finds them. Default
            ``False``.

        Raises
        ------
        RuntimeError
            If the model is not trained, or `save_anndata` is ``True`` and the model was loaded without its training
            cells.
        FileExistsError
            If the directory contains a model and `overwrite` is ``False``.
        """
        self._check_trained()
        if save_anndata and self.labels_ is None:
            raise RuntimeError(
                "This model was loaded without its training cells, so that they cannot be saved with it. "
                "Load it with load(dir, adata), or save it without its cells (save_anndata=False)."
            )
        _save(self, Path(dir_path), overwrite=overwrite, save_anndata=save_anndata)

    @classmethod
    def load(
        cls,
        dir_path: str | Path,
        adata: AnnData | Literal[False] | None = None,
        *,
        accelerator: str = "auto",
        device: int | str = "auto",
    ) -> Self:
        """Load a model that was written by :meth:`save`. No code from the files is executed.

        Parameters
        ----------
        dir_path
            Directory of the model.
        adata
            The training cells, for :meth:`predict` and :meth:`get_latent_representation` without arguments; they are
            registered as by :meth:`setup_anndata`. They are recognised by their values and may be in any order; of
            cells with equal values, those of the same name are matched first. ``None`` (default) uses the cells that
            were saved with the model, if any; ``False`` loads the model without cells.
        accelerator, device
            Device of the model, as in scvi-tools; ``"auto"`` (default) is a GPU if there is one.

        Returns
        -------
        The trained model.

        Raises
        ------
        FileNotFoundError, ValueError
            If the directory contains no model, a model of another class, or damaged files, or if `adata` contains other
            cells than the training cells. Files of version 0.1.0 allow only the number of cells to be checked.
        """
        return _load(cls, Path(dir_path), adata, accelerator=accelerator, device=device)

    @classmethod
    def _upgrade(
        cls, state: dict[str, Any], tensors: dict[str, torch.Tensor]
    ) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Convert the state and tensors saved by an older version to the names of this version."""
        if "module.centroids" not in tensors:
            return state, tensors
        # version 0.1.0 assigned new cells to the nearest centroid, whatever the final clustering was
        method = {"cluster_method": cls._centroid_method}
        tensors = {_RENAMED.get(name, name): tensor for name, tensor in tensors.items()}
        return state | {"init_params": state["init_params"] | method}, tensors

    def _extra_state(self) -> dict[str, Any]:
        """Values, other than the arguments of the constructor, that a model needs to embed new cells."""
        return {}

    def _restore_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`_extra_state` returned; values may be missing in older files."""

    def _extra_tensors(self) -> dict[str, torch.Tensor]:
        """Tensors, other than those of the network, that a model needs to embed new cells."""
        return {}

    def _restore(self, tensors: dict[str, torch.Tensor], n_cells: int) -> None:
        """Restore what :meth:`_extra_tensors` returned for `n_cells` training cells, before the network is built."""

    def _corrected_width(self) -> int:
        """Number of dimensions of what is corrected for batches, which is the embedding by default."""
        return next(self.module.head.buffers()).shape[1]

    @classmethod
    def convert_legacy_save(cls, *_: Any, **__: Any) -> NoReturn:
        """Not available, because it would read pickle files, which can execute any code."""
        raise NotImplementedError(f"{cls.__name__} reads no pickles. {cls.__name__}.load reads what save wrote.")

    load_registry = view_setup_args = convert_legacy_save


def _save(model: Any, folder: Path, *, overwrite: bool, save_anndata: bool) -> None:
    """Write a trained model, and its cells with `save_anndata` (:meth:`SaveMixin.save`)."""
    state = {
        "class": type(model).__name__,
        "init_params": model.init_params_["non_kwargs"] | {"n_clusters": model.n_clusters},
        "n_clusters_source": model.n_clusters_source,
        "setup_args": setup_args(model),
        "recipe": {
            "kind": model.recipe.kind,
            "input_genes": model.recipe.input_genes.tolist(),
            "genes": model.recipe.genes.tolist(),
            "excluded": model.recipe.excluded.tolist(),
            "target_sum": model.recipe.target_sum,
            "max_value": model.recipe.max_value,
            "scale": None if model.recipe.scale is None else asdict(model.recipe.scale),
        },
        "history": model.history_,
        "batches": list(model._batch_names),
        **model._extra_state(),
    }
    tensors = {f"module.{name}": tensor for name, tensor in model.module.state_dict().items()}
    tensors |= {f"extra.{name}": tensor for name, tensor in model._extra_tensors().items()}
    tensors["moments"] = torch.tensor(model.recipe.moments)  # a copy: the module may share its memory
    tensors["labels"] = torch.from_numpy(model._saved_labels if model.labels_ is None else model.labels_)
    if model._cells is not None:
        tensors |= model._cells.tensors()
    if model._correction is not None:
        tensors |= {f"correction.{name}": torch.from_numpy(part) for name, part in model._correction.arrays().items()}
    if not save_anndata:
        write_model(folder, state, tensors, overwrite=overwrite)
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _ANNDATA
    partial = partial_path(path)
    try:
        model.adata.write_h5ad(partial)
        # only the file that this model names is ever read
        write_model(folder, state | {"anndata_sha256": file_digest(partial)}, tensors, overwrite=overwrite)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    # if saving is interrupted here, _saved_cells reads the cells from the partial file
    os.replace(partial, path)


def _load(
    cls: type[_Model], folder: Path, adata: AnnData | Literal[False] | None, *, accelerator: str, device: int | str
) -> _Model:
    """Read what :func:`_save` wrote (:meth:`SaveMixin.load`)."""
    state, tensors = read_model(folder, cls.__name__)
    with damage(folder):
        model, labels = _from_file(cls, state, tensors)
    _, _, target = parse_device_args(
        accelerator=accelerator, devices=device, return_device="torch", validate_single_device=True
    )
    model.module.to(target)
    if adata is None:
        adata = _saved_cells(folder, state.get("anndata_sha256"))
    if adata is None or adata is False:
        return model
    if adata.n_obs != len(labels):
        raise ValueError(
            f"The model was trained on {len(labels)} cells, but adata has {adata.n_obs}. "
            "Load without adata, and pass new cells to predict(adata) or get_latent_representation(adata)."
        )
    saved_at = _match(model, adata, len(labels))
    embedding = model._embed_training_cells(adata, saved_at)
    # scvi-tools cannot register views of AnnData
    attach(model, adata.copy() if adata.is_view else adata)
    model._embedding, model.labels_ = embedding, labels[saved_at]
    if model._cells is not None:
        model._cells = model._cells[saved_at]
    return model


def _match(model: Any, adata: AnnData, n_cells: int) -> np.ndarray:
    """Find the position of each cell of `adata` among the cells of the file; raise ValueError if they are others."""
    if model._cells is None:  # a file of version 0.1.0
        return np.arange(n_cells)
    read = model._read(adata)
    model.recipe.transform(*read)  # other genes or values are refused in words of their own
    found = model._cells.match(model._digests(adata, read))
    if found is None:
        raise ValueError(
            f"adata holds {n_cells} cells, as many as the model was trained on, but their values are not those of the "
            "training cells. Pass the cells as they were when the model was made (in any order), or load without adata "
            "and pass new cells to predict(adata) or get_latent_representation(adata)."
        )
    return found


def _saved_cells(folder: Path, digest: str | None) -> AnnData | None:
    """Read the cells that were saved with the model; ``None`` if there are none."""
    if digest is None:
        return None
    path = folder / _ANNDATA
    for candidate in (path, partial_path(path)):
        if candidate.is_file() and file_digest(candidate) == digest:
            return read_h5ad(candidate)
    raise ValueError(
        f"The model in {folder} is damaged: {path.name} is missing, or has another checksum than model.json says. "
        "Pass the training cells (adata=), or adata=False to load the model without cells."
    )


def _from_file(cls: Any, state: dict[str, Any], tensors: dict[str, torch.Tensor]) -> tuple[Any, np.ndarray]:
    """Build a trained model without cells; also returns the clusters of its training cells."""
    check_finite(tensors)
    state, tensors = cls._upgrade(state, tensors)
    labels = tensors.pop("labels").numpy()
    if labels.ndim != 1 or labels.dtype != np.int64:
        raise ValueError("labels are not one whole number a cell")
    cells = {name: tensors.pop(f"cells.{name}").numpy() for name in ("values", "names") if f"cells.{name}" in tensors}
    weights = {name[len("module.") :]: value for name, value in tensors.items() if name.startswith("module.")}
    extra = {name[len("extra.") :]: value for name, value in tensors.items() if name.startswith("extra.")}
    model = cls(None, registry=saved_registry(cls, state["setup_args"]), **state["init_params"])
    model.recipe = _recipe(state["recipe"], tensors.pop("moments"))
    model.n_clusters = check_number("n_clusters", state["init_params"]["n_clusters"], integer=True, low=1)
    model.n_clusters_source = state["n_clusters_source"]
    model._saved_labels, model._cells = labels, CellDigests(**cells) if cells else None
    if model._cells is not None and len(model._cells.values) != len(labels):
        raise ValueError(f"there are digests of {len(model._cells.values)} cells, but labels of {len(labels)}")
    # a head has no empty clusters
    n_found = len(next((value for name, value in weights.items() if name.startswith("head.")), ()))
    if not 1 <= n_found <= model.n_clusters or not np.array_equal(np.unique(labels), np.arange(n_found)):
        raise ValueError(f"labels and a head of {n_found} clusters do not fit {model.n_clusters} clusters")
    model._batch_names, model._correction = _batches(state, tensors)
    model._restore_state(state)
    model._restore(extra, len(labels))
    # on a device without memory: the weights are those of the file
    with torch.device("meta"):
        model.module = model._new_module()
    for name, tensor in model.module.head.named_buffers():
        setattr(model.module.head, name, tensor[:n_found])
    for name, tensor in model.module.state_dict().items():
        # torch 2.6 takes the first of several values for a scalar
        found = weights.get(name, tensor)
        if (found.dtype, found.shape) != (tensor.dtype, tensor.shape):
            raise ValueError(f"{name} is {found.dtype}, {found.shape}, not {tensor.dtype}, {tensor.shape}")
    if model._correction is not None and model._correction.shift.shape[2] != (width := model._corrected_width()):
        raise ValueError(f"the correction for batches does not fit {width} dimensions")
    model.module.load_state_dict(weights, assign=True)
    model.module.eval()
    model.history_ = {name: np.array(values) for name, values in state["history"].items()}
    model.is_trained = True
    return model, labels


def _batches(state: dict[str, Any], tensors: dict[str, torch.Tensor]) -> tuple[list[str], BatchCorrection | None]:
    """Names of the batches, and the correction for them; neither if there are none."""
    names = state.get("batches", [])  # version 0.1.0 has none
    known = tensors.keys() & {f"correction.{field.name}" for field in fields(BatchCorrection)}
    if names == [] and not known:
        return [], None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len({*names}) < len(names):
        raise ValueError(f"batches are not different names, but {names!r}")
    if not isinstance(state["setup_args"].get("batch_key"), str):
        raise ValueError("there are batches, but no batch_key")
    correction = BatchCorrection(**{name.removeprefix("correction."): tensors[name].numpy() for name in known})
    if correction.n_cells.shape[1] != len(names):
        raise ValueError(f"a correction for {correction.n_cells.shape[1]} batches does not fit {len(names)} batches")
    return names, correction


def _recipe(state: dict[str, Any], moments: torch.Tensor) -> Recipe:
    names = {name: np.array(state[name], dtype=object) for name in ("input_genes", "genes", "excluded")}
    scale = state.get("scale")  # version 0.1.0 has none
    return Recipe(
        kind=state["kind"],
        target_sum=state["target_sum"],
        max_value=state["max_value"],
        moments=moments.numpy(),
        scale=None if scale is None else Scale(**scale),
        **names,
    )
