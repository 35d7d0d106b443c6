"""Parts of scSiameseClu that are saved beside its constructor arguments, and names used by version 0.1.0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from torch import Tensor

from scclu._checks import check_number
from scclu.data.matrix import blocks
from scclu.methods._persistence import SaveMixin
from scclu.methods.scsiameseclu.graph import ReferenceGraph, restore_cells
from scclu.methods.scsiameseclu.settings import ScSiameseCluSettings

# graph layers held a weight of shape (n_input, n_output), GCNConv holds its transpose
_GRAPH_WEIGHT = re.compile(r"(module\.graph_autoencoder\.(?:encoder|decoder)\.\d+)\.weight")
_RENAMED = {"module.centers": "module.trained_centroids"}


def is_from_0_1(tensors: Mapping[str, Tensor]) -> bool:
    """Whether `tensors` have the names of version 0.1.0."""
    return any(name in _RENAMED for name in tensors)


def with_current_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a saved model of any version under the names of this version."""
    current = {}
    for name, tensor in tensors.items():
        if found := _GRAPH_WEIGHT.fullmatch(name):
            current[f"{found[1]}.conv.lin.weight"] = tensor.t().contiguous() if tensor.ndim == 2 else tensor
        else:
            current[_RENAMED.get(name, name)] = tensor
    return current


class ScSiameseCluFiles(SaveMixin):
    """The hooks of :class:`~scclu.methods._persistence.SaveMixin` for scSiameseClu."""

    _centroid_method = "assignment"
    settings: ScSiameseCluSettings
    recipe: Any
    _embedding: np.ndarray | None
    _saved_embedding: np.ndarray
    _reference: ReferenceGraph
    _n_counts: int
    _landmark_seed: int
    _make_projection: Any
    _read: Any

    @classmethod
    def _upgrade(
        cls, state: dict[str, Any], tensors: dict[str, torch.Tensor]
    ) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        if is_from_0_1(tensors):
            state = state | {"init_params": state["init_params"] | {"shared_weights": True}}
        return super()._upgrade(state, with_current_names(tensors))

    def _extra_state(self) -> dict[str, Any]:
        return {"landmark_seed": self._landmark_seed}

    def _restore_state(self, state: Mapping[str, Any]) -> None:
        # version 0.1.0 drew the landmarks with seed 0
        self._landmark_seed = check_number("landmark_seed", state.get("landmark_seed", 0), integer=True, low=0)

    def _extra_tensors(self) -> dict[str, torch.Tensor]:
        # a model that was loaded without its cells has the embedding of its file
        embedding = torch.from_numpy(self._saved_embedding if self._embedding is None else self._embedding)
        return self._reference.tensors() | {"embedding": embedding, "n_counts": torch.tensor(self._n_counts)}

    def _restore(self, tensors: dict[str, torch.Tensor], n_cells: int) -> None:
        n_features = tensors["components"].shape[1]
        n_dims = self.settings.n_latent + (n_features if self.settings.uses_tree else 0)
        self._reference, self._saved_embedding = restore_cells(tensors, n_cells, n_dims)
        self._projection = self._make_projection(n_features)
        self._n_counts = int(tensors["n_counts"])
        if tensors["n_counts"].ndim or bool(self._n_counts) != bool(self.settings.zinb_weight):
            raise ValueError("n_counts does not fit zinb_weight")

    def _corrected_width(self) -> int:
        return self._reference.components.shape[1]

    def _embed_training_cells(self, adata: AnnData, saved_at: np.ndarray) -> np.ndarray:
        for _ in blocks(self.recipe.transform(*self._read(adata))):  # other genes or values are refused
            pass
        return self._saved_embedding[saved_at]
