"""Names of parameters in models that version 0.1.0 saved."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

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
