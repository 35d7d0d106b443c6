"""Labelled datasets in a directory, split into what methods see and what metrics see."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData

from scclu._checks import listed
from scclu.data.counts import COUNTS
from scclu.data.kinds import Kind, detect_kind
from scclu.data.matrix import read_matrix


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
    """

    path: Path
    labels_key: str
    digest: str

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
            that have no counts. Cells are numbered, because their names may contain labels.
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
        if kind != "scaled":
            kept = np.asarray(matrix.sum(axis=1)).ravel() > 0
            matrix, labels = matrix[kept], labels[kept]
        cells = pd.DataFrame(index=pd.RangeIndex(matrix.shape[0]).astype(str))
        return AnnData(matrix, obs=cells, var=pd.DataFrame(index=genes)), labels, kind


def find_datasets(folder: Path, labels_key: str) -> list[LabelledDataset]:
    """Find all h5ad files in a directory, sorted by name.

    Parameters
    ----------
    folder
        Directory; its subdirectories are not searched.
    labels_key
        Column of ``obs`` with the labels in every file.

    Returns
    -------
    The datasets.

    Raises
    ------
    NotADirectoryError, OSError
        If there is no such directory, or a file in it cannot be read.
    ValueError
        If the directory has no h5ad files, or a file has no such column or only missing labels.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"folder must be a directory with .h5ad files, but there is none at {str(folder)!r}.")
    paths = sorted(path for path in folder.glob("*.h5ad") if path.is_file())
    if not paths:
        raise ValueError(
            f"folder must hold .h5ad files, but {str(folder)!r} has none. "
            f"There are: {listed(sorted(path.name for path in folder.iterdir()))}. Subdirectories are not searched."
        )
    return [_labelled(path, labels_key) for path in paths]


def _labelled(path: Path, labels_key: str) -> LabelledDataset:
    """Check that a file has labels without reading its matrix, and compute its digest."""
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
    return LabelledDataset(path, labels_key, digest)
