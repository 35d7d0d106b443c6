"""Representations of the input whose clusters the merge tree describes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from scclu.data.components import (
    MOST_COLUMNS,
    FeatureProjection,
    default_components,
    fit_axes,
    fit_projection,
    make_projection,
)
from scclu.data.disk import DiskMatrix, stacked
from scclu.data.matrix import Matrix, blocks, first_rows
from scclu.data.recipe import Kind, Recipe
from scclu.data.tensors import embed_cells

logger = logging.getLogger(__name__)

# cells that genes are chosen on, if there are more
CHOICE_CELLS = 20_000
# cells that z-scores and principal axes are then fitted to: axes that distinguish rare types need many
_FITTED_CELLS = 100_000
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

    There are 30 components, and 50 of more than 20,000 cells. Genes are chosen on the first 20,000 cells; z-scores and
    axes are those of the first 100,000.

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
    kinds = (_PLAIN,) if is_representation or kind == "scaled" else (_PLAIN, _CAPPED)
    first, many = matrix[:CHOICE_CELLS], matrix.shape[0] > CHOICE_CELLS
    settings: dict[str, Any] = {"kind": kind, "is_representation": is_representation}
    chosen: Iterable[tuple[Recipe, Matrix]]
    chosen = fits = [Recipe.fit(first, names, source, **how.recipe, **settings) for how in kinds]
    if many and fits[0][1].shape[1] <= MOST_COLUMNS:
        chosen = _measured([recipe for recipe, _ in fits], matrix, names, source, is_representation)
    fitted, components = [], []
    for how, (recipe, values) in zip(kinds, chosen, strict=True):
        most = min(values.shape[0] - 1, values.shape[1])
        n_components = max(1, min(default_components(matrix.shape[0]), most))
        projection = make_projection(recipe, n_components, how.max_value, _NORM_POWER)
        fitted.append((recipe, projection))
        if many:
            fit_axes(projection, values, random_state)
        else:
            components.append(fit_projection(projection, values, random_state))
    if many:
        logger.info(
            "Genes of the tree are those of a random sample of %d cells, and principal axes of %d.",
            CHOICE_CELLS,
            values.shape[0],
        )
        components = _project(fitted, matrix, names, source)
    return tuple(projection.temper(found).numpy() for (_, projection), found in zip(fitted, components, strict=True))


def _measured(
    recipes: Sequence[Recipe], matrix: Matrix, names: np.ndarray, source: str, is_representation: bool
) -> Iterator[tuple[Recipe, Matrix]]:
    """Recipes with the moments of the cells that axes are fitted to, and what the recipes make of these cells."""
    for recipe, values in zip(recipes, _first_values(recipes, matrix, names, source), strict=True):
        # a gene whose deviation is that of fewer cells can have a variance far above 1, and an axis for itself
        yield recipe.measured(values, is_representation=is_representation), values


def _first_values(recipes: Sequence[Recipe], matrix: Matrix, names: np.ndarray, source: str) -> Iterator[Matrix]:
    """What each recipe makes of the cells that axes are fitted to."""
    if not isinstance(matrix, DiskMatrix):
        cells = first_rows(matrix, _FITTED_CELLS)
        yield from (recipe.transform(cells, names, source) for recipe in recipes)
        return
    parts: list[list[Any]] = [[] for _ in recipes]
    for _, block in blocks(matrix, _FITTED_CELLS):
        for recipe, part in zip(recipes, parts, strict=True):
            part.append(recipe.transform(block, names, source))
    while parts:
        yield stacked(parts.pop(0))


def _project(
    fitted: Sequence[tuple[Recipe, FeatureProjection]], matrix: Matrix, names: np.ndarray, source: str
) -> list[torch.Tensor]:
    """Principal components of all cells, ``(n_cells, n_components)``, in one pass for all representations."""
    components = [torch.empty(matrix.shape[0], projection.n_features) for _, projection in fitted]
    for rows, block in blocks(matrix):
        for (recipe, projection), found in zip(fitted, components, strict=True):
            values = recipe.transform(block, names, source)
            found[rows] = torch.from_numpy(embed_cells(projection.components, values, found.device, _BATCH))
    for (_, projection), found in zip(fitted, components, strict=True):
        projection.fit_unit(found)
    return components
