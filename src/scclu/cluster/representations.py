"""Representations of the input whose clusters the merge tree describes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from scclu.data.components import (
    MOST_COLUMNS,
    Covariance,
    FeatureProjection,
    default_components,
    fit_projection,
    make_projection,
)
from scclu.data.matrix import Matrix, blocks
from scclu.data.recipe import Kind, Recipe
from scclu.data.tensors import batch_tensor, embed_cells

logger = logging.getLogger(__name__)

# cells that genes are chosen on, if there are more
CHOICE_CELLS = 20_000
# and cells that principal axes are then fitted to: fewer give those that distinguish rare types only roughly
_FITTED_CELLS = 100_000
# exponent by which the norm of a cell's components is reduced
_NORM_POWER = 0.5
# cells that are projected at a time, few enough for the processor's cache
_BATCH = 1024


class _InputRecipe(NamedTuple):
    """Settings of preprocessing and clipping."""

    recipe: dict[str, Any]
    max_value: float


class _Fitted(NamedTuple):
    """Preprocessing and principal axes of a representation."""

    recipe: Recipe
    projection: FeatureProjection


# Neither is right for all data: the first keeps rare outlying genes, which mark some cell types; the second keeps cells
# comparable that are dominated by the transcripts of one gene or differ in sequencing depth.
_PLAIN = _InputRecipe({"n_top_genes": 2000}, 10.0)
_CAPPED = _InputRecipe({"n_top_genes": 2000, "min_cells": 10, "max_library": 1e4, "max_share": 0.05}, 5.0)


def input_representations(
    matrix: Matrix, names: np.ndarray, source: str, *, kind: Kind, is_representation: bool, random_state: int
) -> tuple[np.ndarray, ...]:
    """Principal components of the cells after two kinds of preprocessing.

    There are 30 components, and 50 of more than 20,000 cells. Genes are chosen on the first 20,000 cells, and axes are
    fitted to the first 100,000.

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
    fitted, components = [], []
    for how in kinds:
        settings = {**how.recipe, "kind": kind, "is_representation": is_representation}
        recipe, values = Recipe.fit(first, names, source, **settings)
        most = min(values.shape[0] - 1, values.shape[1])
        n_components = max(1, min(default_components(matrix.shape[0]), most))
        projection = make_projection(recipe, n_components, how.max_value, _NORM_POWER)
        fitted.append(_Fitted(recipe, projection))
        if not many or values.shape[1] > MOST_COLUMNS:
            components.append(fit_projection(projection, values, random_state))
    if many:
        used = CHOICE_CELLS if components else min(matrix.shape[0], _FITTED_CELLS)
        logger.info(
            "Genes of the tree are those of a random sample of %d cells, and principal axes of %d.", CHOICE_CELLS, used
        )
        if not components:
            _fit_axes(fitted, matrix, names, source)
        components = _project(fitted, matrix, names, source)
    return tuple(one.projection.temper(found).numpy() for one, found in zip(fitted, components, strict=True))


def _fit_axes(fitted: Sequence[_Fitted], matrix: Matrix, names: np.ndarray, source: str) -> None:
    """Fit principal axes to the first cells, in one pass for all representations."""
    covariances = [Covariance(len(one.projection.mean)) for one in fitted]
    for _, block in blocks(matrix, _FITTED_CELLS):
        for one, covariance in zip(fitted, covariances, strict=True):
            values = batch_tensor(one.recipe.transform(block, names, source), slice(None))
            covariance.add(one.projection.standardise(values).numpy())
    for one, covariance in zip(fitted, covariances, strict=True):
        mean, axes, _ = covariance.axes(one.projection.n_features)
        one.projection.set_axes(mean, axes)


def _project(fitted: Sequence[_Fitted], matrix: Matrix, names: np.ndarray, source: str) -> list[torch.Tensor]:
    """Principal components of all cells, ``(n_cells, n_components)``, in one pass for all representations."""
    components = [torch.empty(matrix.shape[0], one.projection.n_features) for one in fitted]
    for rows, block in blocks(matrix):
        for one, found in zip(fitted, components, strict=True):
            values = one.recipe.transform(block, names, source)
            found[rows] = torch.from_numpy(embed_cells(one.projection.components, values, found.device, _BATCH))
    for one, found in zip(fitted, components, strict=True):
        one.projection.fit_unit(found)
    return components
