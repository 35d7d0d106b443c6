"""Labelled datasets in a directory, split into what methods see and what metrics see."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData

from scclu._checks import listed
from scclu.data.counts import COUNTS
from scclu.data.kinds import Kind, detect_kind
from scclu.data.matrix import read_matrix

logger = logging.getLogger(__name__)

# column of obs of the unlabelled cells with their batches
BATCH = "batch"


@dataclass(frozen=True)
class LabelledDataset:
    """An h5ad file with labels.

    Attributes
    ----------
    path
        Path of the file.
    labels_key
        Column of ``obs`` with the labels.
    digest
        Leading characters of the SHA-256 digest of the file.
    batch_key
        Column of ``obs`` with the batches; None if methods do not get them.
    """

    path: Path
    labels_key: str
    digest: str
    batch_key: str | None = None

    @property
    def name(self) -> str:
        """Name of the file without its extension."""
        return self.path.stem

    def split(self) -> tuple[AnnData, pd.Series, Kind]:
        """Separate the expression values from the labels.

        Returns
        -------
        cells
            What methods see: ``layers["counts"]`` if it exists and ``X`` otherwise, with gene names, without cells
            that have no counts. Cells are numbered, because their names may contain labels, and with `batch_key`
            ``obs["batch"]`` has the number of each cell's batch.
        labels
            Labels of the same cells.
        kind
            Kind of the values, as :func:`scclu.data.kinds.detect_kind` returns it.
        """
        adata = ad.read_h5ad(self.path)
        layer = COUNTS if COUNTS in adata.layers else None
        matrix, genes, source = read_matrix(adata, layer=layer)
        kind = detect_kind(matrix, source)
        labels = adata.obs[self.labels_key]
        obs = pd.DataFrame(index=adata.obs_names)
        if self.batch_key is not None:
            obs[BATCH] = pd.Categorical(pd.factorize(adata.obs[self.batch_key].astype(str), sort=True)[0].astype(str))
        if kind != "scaled":
            kept = np.asarray(matrix.sum(axis=1)).ravel() > 0
            matrix, labels, obs = matrix[kept], labels[kept], obs[kept]
        obs.index = pd.RangeIndex(matrix.shape[0]).astype(str)
        return AnnData(matrix, obs=obs, var=pd.DataFrame(index=genes)), labels, kind


def find_datasets(folder: Path, labels_key: str, batch_key: str | None = None) -> list[LabelledDataset]:
    """Find all h5ad files in a directory, sorted by name.

    Parameters
    ----------
    folder
        Directory; its subdirectories are not searched.
    labels_key
        Column of ``obs`` with the labels in every file.
    batch_key
        Column of ``obs`` with the batches. Files without it, with cells that have no batch, and with a single batch are
        left out, and a message says so.

    Returns
    -------
    The datasets.

    Raises
    ------
    NotADirectoryError, OSError
        If there is no such directory, or a file in it cannot be read.
    ValueError
        If the directory has no h5ad files, a file has no such column or only missing labels, or no file has batches.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"folder must be a directory with .h5ad files, but there is none at {str(folder)!r}.")
    paths = sorted(path for path in folder.glob("*.h5ad") if path.is_file())
    if not paths:
        raise ValueError(
            f"folder must hold .h5ad files, but {str(folder)!r} has none. "
            f"There are: {listed(sorted(path.name for path in folder.iterdir()))}. Subdirectories are not searched."
        )
    found = [_labelled(path, labels_key, batch_key) for path in paths]
    if batch_key is None:
        return [data for data, _ in found]
    left_out = {data.name: reason for data, reason in found if reason is not None}
    if len(left_out) == len(found):
        said = "; ".join(f"{name}: {reason}" for name, reason in islice(left_out.items(), 3))
        raise ValueError(
            f"batch_key must be a column of obs with several batches in at least one file, but none of the "
            f"{len(found)} files has batches. {said}. Pass the column that names each cell's sample or protocol."
        )
    for name, reason in left_out.items():
        logger.info("%s is left out: %s.", name, reason)
    return [data for data, reason in found if reason is None]


def _labelled(path: Path, labels_key: str, batch_key: str | None) -> tuple[LabelledDataset, str | None]:
    """Check that a file has labels without reading its matrix, and compute its digest.

    Also returns why the file has no batches; None if it has, or `batch_key` is None.
    """
    try:
        backed = ad.read_h5ad(path, backed="r")
    except OSError as error:
        raise OSError(f"{path.name} cannot be read as h5ad ({error}). Remove it from the directory.") from error
    obs = backed.obs
    backed.file.close()
    if labels_key not in obs:
        raise ValueError(
            f"labels_key must be a column of obs in every file, but {path.name} has no {labels_key!r}. "
            f"There are: {listed(obs.columns)}. Pass the column with the labels, or remove the file from the directory."
        )
    if obs[labels_key].isna().all():
        raise ValueError(f"obs[{labels_key!r}] of {path.name} has only missing values. Pass another column.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    reason = None if batch_key is None else _no_batches(obs, batch_key)
    return LabelledDataset(path, labels_key, digest, batch_key), reason


def _no_batches(obs: pd.DataFrame, batch_key: str) -> str | None:
    """Why a column of obs has no batches; None if it has."""
    if batch_key not in obs:
        return f"obs has no {batch_key!r}, but {listed(obs.columns)}"
    if n_missing := int(obs[batch_key].isna().sum()):
        return f"obs[{batch_key!r}] has {n_missing} missing values"
    n_batches = obs[batch_key].nunique()
    return None if n_batches > 1 else f"all cells have the same obs[{batch_key!r}]"
