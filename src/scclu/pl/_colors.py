"""Colour maps, and colours of categories in ``adata.obs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.colors import is_color_like

from scclu._labels import obs_column
from scclu.pl._palette import palette

if TYPE_CHECKING:
    from anndata import AnnData

# Order is encoded by lightness, which survives greyscale printing.
SEQUENTIAL = "cividis"
# Tested for colour-blind readers by ColorBrewer.
DIVERGING = "PuOr_r"


def category_colors(adata: AnnData, name: str, n_categories: int) -> list[str]:
    """Colours of the categories of ``adata.obs[name]`` that occur, `n_categories` in number.

    They are read from ``adata.uns[f"{name}_colors"]``. If that is missing or incomplete, colours of scclu's palette are
    stored there, one for each category, as scanpy does; views are left unchanged. Clusters of a cut of a tree need no
    column.
    """
    if name not in adata.obs:
        return palette(n_categories)
    column = obs_column(adata, name)
    is_categorical = isinstance(column.dtype, pd.CategoricalDtype)
    n_all = len(column.cat.categories) if is_categorical else n_categories
    colors = [str(color) for color in adata.uns.get(f"{name}_colors", ())]
    if len(colors) < n_all or not all(map(is_color_like, colors)):
        colors = palette(n_all)
        if is_categorical and not adata.is_view:
            adata.uns[f"{name}_colors"] = colors
    used = np.unique(column.cat.codes) if is_categorical else range(n_all)
    return [colors[k] for k in used if k >= 0][:n_categories]
