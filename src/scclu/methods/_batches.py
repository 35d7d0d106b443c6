"""Batches of cells, as a column of ``adata.obs`` says them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from natsort import natsorted

from scclu._checks import listed
from scclu._labels import read_labels
from scclu.cluster.batches import BatchCorrection
from scclu.methods._scvi import registered_batch_key

logger = logging.getLogger(__name__)


class BatchMixin:
    """Batches of the cells of a model, and their correction."""

    # names of the batches of the training cells, and the batch of each in the order of training
    _batch_names: Sequence[str] = ()
    _batches: np.ndarray | None = None
    _correction: BatchCorrection | None = None
    _order: np.ndarray
    _seed: Any

    def _set_batches(self, adata: AnnData, order: np.ndarray) -> None:
        """Read the batches of the training cells, which are at the positions `order` of `adata`."""
        self._batch_names, batches = training_batches(adata, registered_batch_key(self))
        self._batches = None if batches is None else batches[order]

    @property
    def _batches_of_cells(self) -> np.ndarray | None:
        """Batch of each training cell, in the order of `adata`, ``(n_cells,)`` int; ``None`` without batches."""
        return None if self._batches is None else self._batches[np.argsort(self._order)]

    def _fit_correction(self, values: np.ndarray) -> BatchCorrection | None:
        """Fit a correction for the batches to representations of the training cells, in the order of training."""
        if self._batches is None:
            return None
        n_batches = len(self._batch_names)
        return BatchCorrection.fit(values, self._batches, n_batches, random_state=self._seed("batch correction"))

    def _without_batches(self, values: np.ndarray) -> np.ndarray:
        """Representation of the training cells, corrected for the batches if there are any."""
        return corrected(values, self._batches, self._fit_correction(values))

    def _new_batches(self, adata: AnnData, transform_batch: str | None) -> np.ndarray | None:
        """Batch of new cells as a position among the batches of the training cells; ``None`` if those have none."""
        key = registered_batch_key(self)
        if key is None or not self._batch_names:
            if transform_batch is not None:
                raise ValueError("transform_batch was passed, but the model was trained without batches (batch_key).")
            return None
        return new_batches(adata, key, self._batch_names, transform_batch)


def corrected(values: np.ndarray, batches: np.ndarray | None, correction: BatchCorrection | None) -> np.ndarray:
    """Representation of cells, corrected for their batches if there are any."""
    return values if batches is None or correction is None else correction(values, batches)


def read_batches(adata: AnnData, batch_key: str) -> np.ndarray:
    """Name of the batch of each cell, ``(n_obs,)`` of strings.

    Raises
    ------
    TypeError, ValueError
        If there is no such column, or it does not hold one name per cell and several cells per batch.
    """
    names = np.asarray(read_labels(adata, batch_key, argument="batch_key"), dtype=object)
    n_batches = len(set(names))
    if n_batches > max(1, adata.n_obs // 2):
        raise ValueError(
            f"adata.obs[{batch_key!r}] has {n_batches} batches for {adata.n_obs} cells; a batch needs several cells. "
            "Pass a column that names the sample, donor or protocol of each cell."
        )
    return names


def training_batches(adata: AnnData, batch_key: str | None) -> tuple[list[str], np.ndarray | None]:
    """Names of the batches in natural order, and the batch of each cell as a position among them.

    Without a key, and with a single batch, there are no names, and ``None``.
    """
    if batch_key is None:
        return [], None
    found = read_batches(adata, batch_key)
    names = natsorted(set(found))
    if len(names) == 1:
        logger.info("All cells are in batch %r of obs[%r]: there is nothing to correct.", names[0], batch_key)
        return [], None
    return names, positions(found, names)


def new_batches(adata: AnnData, batch_key: str, names: Sequence[str], transform_batch: str | None = None) -> np.ndarray:
    """Batch of each new cell as a position among the batches of the training cells, ``(n_obs,)`` int.

    Parameters
    ----------
    adata
        New cells.
    batch_key
        Column of ``adata.obs``.
    names
        Names of the batches of the training cells.
    transform_batch
        Batch of the training cells as whose cells all new cells are corrected, whatever the column says.

    Raises
    ------
    TypeError, ValueError
        If cells are of a batch that the training cells do not have, or the column is missing.
    """
    advice = (
        f"Pass transform_batch= with the batch of the training cells that is most like theirs ({listed(names)}), to "
        "scclu.tl.map_cells or get_latent_representation, or cluster all cells together."
    )
    if transform_batch is not None:
        if str(transform_batch) not in names:
            raise ValueError(f"transform_batch must be one of {listed(names)}, but {transform_batch!r} was passed.")
        return np.full(adata.n_obs, names.index(str(transform_batch)))
    if batch_key not in adata.obs:
        raise ValueError(f"The model corrects for batches, but the new cells have no obs[{batch_key!r}]. {advice}")
    found = np.asarray(read_labels(adata, batch_key, argument="batch_key"), dtype=object)
    unknown = natsorted(set(found) - set(names))
    if unknown:
        raise ValueError(
            f"adata.obs[{batch_key!r}] has batches that the training cells do not have: {listed(unknown)}. {advice}"
        )
    return positions(found, names)


def positions(found: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Position of each element of `found` in `names`."""
    position = {name: i for i, name in enumerate(names)}
    return np.array([position[name] for name in found], dtype=np.int64)
