"""Colour maps, and colours of categories in ``adata.obs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.colors import is_color_like

from scclu.pl._palette import palette

if TYPE_CHECKING:
    from anndata import AnnData

# Order is encoded by lightness, which survives greyscale printing.
SEQUENTIAL = "cividis"
# Tested for colour-blind readers by ColorBrewer.
DIVERGING = "PuOr_r"


def category_colors(adata: AnnData, name: str, n_categories: int) -> list[str]:
    """Colours of ``adata.obs[name]``: those that scanpy stored in ``adata.uns`` if complete, else scclu's palette."""
    kept = list(adata.uns.get(f"{name}_colors", ()))
    if len(kept) >= n_categories and all(map(is_color_like, kept)):
        return [str(color) for color in kept[:n_categories]]
    return palette(n_categories)
