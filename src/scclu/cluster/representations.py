"""Representations of the input whose clusters the merge tree describes."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np
import torch

from scclu.data.components import FeatureProjection, fit_projection, make_projection
from scclu.data.matrix import Matrix, blocks
from scclu.data.recipe import Kind, Recipe
from scclu.data.tensors import embed_cells

logger = logging.getLogger(__name__)

# cells that the principal axes are fitted to, if there are more
FITTED_CELLS = 20_000
_N_COMPONENTS = 30
# and of more cells than axes are fitted to: differences between rare types lie in components that few cells show
_MORE_COMPONENTS = 50
# exponent by which the norm of a cell's components is reduced
_NORM_POWER = 0.5
# cells that are projected at a time, few enough for the processor's cache
_BATCH = 1024


class _InputRecipe(NamedTuple):
    """Settings of preprocessing and clipping."""

    recipe: dict[str, Any]
    max_value: float


# Neither is right for all data: the first keeps rare outlying genes, which mark some cell types; the second keeps cells
# comparable that are dominated by the transcripts of one gene or differ in sequencing depth.
_PLAIN = _InputRecipe({"n_top_genes": 2000}, 10.0)
_CAPPED = _InputRecipe({"n_top_genes": 2000, "min_cells": 10, "max_library": 1e4, "max_share": 0.05}, 5.0)


def input_representations(
    matrix: Matrix, names: np.ndarray, source: str, *, kind: Kind, is_representation: bool, random_state: int
) -> tuple[np.ndarray, ...]:
    """Principal components of the cells after two kinds of preprocessing.

    There are 30 components, and 50 of more than 20,000 cells. Genes and axes are chosen on at most 20,000 cells, the
    first ones, and all cells are projected.

    Parameters
    ----------
    matrix, names, source
        What :func:`~scclu.data.matrix.read_matrix` returns, the cells in the order of training.
    kind
        Kind of the values, detected before.
    is_representation
        The columns are dimensions of an embedding. Both kinds of preprocessing are then the same.
    random_state
        Seed.

    Returns
    -------
    Arrays ``(n_cells, n_components)`` float32.
    """
    if matrix.shape[0] > FITTED_CELLS:
        logger.info("Genes and principal axes of the tree are chosen on a random sample of %d cells.", FITTED_CELLS)
    kinds = (_PLAIN,) if is_representation or kind == "scaled" else (_PLAIN, _CAPPED)
    first, n_cells = matrix[:FITTED_CELLS], matrix.shape[0]
    n_components = _N_COMPONENTS if n_cells <= FITTED_CELLS else _MORE_COMPONENTS
    fitted = [_fitted(first, names, source, how, kind, is_representation, n_components, random_state) for how in kinds]
    if n_cells > FITTED_CELLS:
        fitted = [(recipe, projection, torch.empty(n_cells, projection.n_features)) for recipe, projection, _ in fitted]
        for rows, block in blocks(matrix):  # one pass for all representations
            for recipe, projection, components in fitted:
                values = recipe.transform(block, names, source)
                found = embed_cells(projection.components, values, components.device, _BATCH)
                components[rows] = torch.from_numpy(found)
    return tuple(projection.temper(components).numpy() for _, projection, components in fitted)


def _fitted(
    matrix: Matrix,
    names: np.ndarray,
    source: str,
    how: _InputRecipe,
    kind: Kind,
    is_representation: bool,
    n_components: int,
    random_state: int,
) -> tuple[Recipe, FeatureProjection, torch.Tensor]:
    """Recipe and projection that are fitted to cells, and the principal components of these cells."""
    recipe, values = Recipe.fit(matrix, names, source, **how.recipe, kind=kind, is_representation=is_representation)
    n_components = max(1, min(n_components, values.shape[0] - 1, values.shape[1]))
    projection = make_projection(recipe, n_components, how.max_value, _NORM_POWER)
    return recipe, projection, fit_projection(projection, values, random_state)
