"""Labelled data in a folder, taken apart into what methods see and what metrics see."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData

from scclu.data.counts import COUNTS
from scclu.data.matrix import listed, read_matrix
from scclu.data.recipe import Kind, detect_kind


@dataclass(frozen=True)
class LabelledSet:
    """A file with labels.

    Attributes
    ----------
    path
        The h5ad file.
    labels_key
        Column of its ``obs``.
    digest
        Of the file's bytes.
    """

    path: Path
    labels_key: str
    digest: str

    @property
    def name(self) -> str:
        """The file's name without its end."""
        return self.path.stem

    def split(self) -> tuple[AnnData, pd.Series, Kind]:
        """What methods see, the labels of the same cells, and what the values are.

        Methods see the matrix and the genes' names: ``layers["counts"]`` where there is one, else ``X``, without cells
        that have no counts. Cells are numbered, since a barcode may name a type.
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


def find_sets(folder: Path, labels_key: str) -> list[LabelledSet]:
    """Every h5ad in a folder, by name.

    Raises
    ------
    NotADirectoryError, OSError
        If there is no such folder, or a file in it cannot be read.
    ValueError
        If it has no h5ad, or one of them has no such column or no label in it.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"folder must be a folder with .h5ad files, but there is none at {str(folder)!r}.")
    paths = sorted(path for path in folder.glob("*.h5ad") if path.is_file())
    if not paths:
        raise ValueError(
            f"folder must hold .h5ad files, but {str(folder)!r} has none. "
            f"There are: {listed(sorted(path.name for path in folder.iterdir()))}. Folders inside it are not searched."
        )
    return [_labelled(path, labels_key) for path in paths]


def _labelled(path: Path, labels_key: str) -> LabelledSet:
    try:
        backed = ad.read_h5ad(path, backed="r")
    except OSError as error:
        raise OSError(f"{path.name} cannot be read as h5ad ({error}). Take it out of the folder.") from error
    obs = backed.obs
    backed.file.close()
    if labels_key not in obs:
        raise ValueError(
            f"labels_key must be a column of obs in every file, but {path.name} has no {labels_key!r}. "
            f"There are: {listed(obs.columns)}. Pass the column with the labels, or take the file out of the folder."
        )
    if obs[labels_key].isna().all():
        raise ValueError(f"obs[{labels_key!r}] of {path.name} has no labels: all values are missing. Pass another.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return LabelledSet(path, labels_key, digest)
