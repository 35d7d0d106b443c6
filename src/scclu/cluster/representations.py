"""Representations of the input that vote in the final clustering together with the embedding of a model."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse

from scclu.data.components import fit_pca, fit_projection, make_projection
from scclu.data.matrix import Matrix
from scclu.data.recipe import Kind, Recipe
from scclu.data.tensors import batch_tensor
from scclu.graph.diffusion import diffuse
from scclu.graph.knn import pearson_knn
from scclu.graph.operator import SparseOperator, symmetric_normalize


class _InputRecipe(NamedTuple):
    """Settings of preprocessing, clipping and dimension reduction."""

    recipe: dict[str, Any]
    max_value: float
    n_components: int
    norm_power: float


# Neither is right for all data: the first keeps rare outlying genes, which mark some cell types; the second keeps cells
# comparable that are dominated by the transcripts of one gene or differ in sequencing depth.
_PLAIN = _InputRecipe({"n_top_genes": 2000}, 10.0, 15, 0.5)
_CAPPED = _InputRecipe({"n_top_genes": 2000, "min_cells": 10, "max_library": 1e4, "max_share": 0.05}, 5.0, 20, 0.5)
_N_NEIGHBORS = 7
# number of cells from which the number of clusters is estimated
_N_CELLS = 5_000


def input_representations(
    matrix: Matrix, names: np.ndarray, source: str, *, kind: Kind, is_representation: bool, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of the cells after two kinds of preprocessing.

    Parameters
    ----------
    matrix, names, source
        What :func:`~scclu.data.matrix.read_matrix` returns, the cells in the order of training.
    kind
        Kind of the values, detected before.
    is_representation
        The columns are dimensions of an embedding.
    random_state
        Seed.

    Returns
    -------
    Two arrays ``(n_cells, n_components)`` float32.
    """
    plain, capped = (
        _components(matrix, names, source, how, kind, is_representation, random_state) for how in (_PLAIN, _CAPPED)
    )
    return plain, capped


def common_components(
    matrix: Matrix, names: np.ndarray, source: str, *, kind: Kind, is_representation: bool, random_state: int
) -> np.ndarray:
    """Principal components from which the number of clusters is estimated, the same for all models and presets.

    Each gene is z-scored, clipped, and z-scored again.

    Parameters
    ----------
    matrix, names, source, kind, is_representation, random_state
        As in :func:`input_representations`.

    Returns
    -------
    ``(min(n_cells, 5000), <= 20)`` float32.
    """
    recipe, values = Recipe.fit(
        matrix,
        names,
        source,
        **_CAPPED.recipe,
        max_value=_CAPPED.max_value,
        kind=kind,
        is_representation=is_representation,
    )
    mean, scale, clipped_mean, clipped_scale = recipe.moments
    genes = (batch_tensor(values, slice(_N_CELLS)).numpy() - mean) / scale
    if recipe.max_value is not None:
        genes = (np.clip(genes, -recipe.max_value, recipe.max_value) - clipped_mean) / clipped_scale
    genes = genes.astype(np.float32)
    return fit_pca(genes, _CAPPED.n_components, random_state).transform(genes)


def diffused(features: np.ndarray, graph: sparse.csr_matrix | None = None) -> np.ndarray:
    """Diffuse features over a graph (Eq. 3), by default of the seven nearest neighbours by Pearson correlation."""
    if graph is None:
        # in a complete graph of few cells, diffusion would make all cells equal
        graph = pearson_knn(features, min(_N_NEIGHBORS, (len(features) - 1) // 3))
    operator = SparseOperator.from_scipy(symmetric_normalize(graph), symmetric=True)
    return diffuse(operator, torch.from_numpy(features), tolerance=1e-2).numpy()


def _components(
    matrix: Matrix,
    names: np.ndarray,
    source: str,
    how: _InputRecipe,
    kind: Kind,
    is_representation: bool,
    random_state: int,
) -> np.ndarray:
    recipe, values = Recipe.fit(matrix, names, source, **how.recipe, kind=kind, is_representation=is_representation)
    n_components = max(1, min(how.n_components, values.shape[0] - 1, values.shape[1]))
    projection = make_projection(recipe, n_components, how.max_value, how.norm_power)
    return projection.temper(fit_projection(projection, values, random_state)).numpy()
