"""Colours of categories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.colors import is_color_like

from scclu.pl._inputs import check_positive

if TYPE_CHECKING:
    from anndata import AnnData

# The first eight are Okabe and Ito's. Each further one is, of all sRGB colours that stand out from white, the farthest
# (CIELAB) from those before it under whichever of normal vision, protanopia, deuteranopia and tritanopia (simulated
# after Machado et al., 2009) sees it worst. Smallest distance of two colours: 16 among 20 and 11 among 40; 5 in tab10.
_COLORS = (
    "#0072b2 #e69f00 #009e73 #d55e00 #cc79a7 #56b4e9 #f0e442 #000000 #8500f4 #642c0b #bce9a6 #4e434e #4321a6 #906fff "
    "#16f4ff #a6b159 #a64e43 #6f2c7a #f4b1bc #90f46f #9b4e85 #859bff #ff436f #d300b1 #bc2100 #900bd3 #d3b1d3 #21432c "
    "#b16f37 #7ac890 #592185 #b1d343 #b164d3 #7a4e4e #904ed3 #16de7a #85002c #f46fd3 #c8909b #904eff"
).split()
# one hue dark to light would not survive greyscale beside these: order is shown by lightness alone
SEQUENTIAL = "cividis"
# of ColorBrewer, which tested it for colour-blind readers
DIVERGING = "PuOr_r"


def palette(n_colors: int) -> list[str]:
    """Colours that stay apart under the common colour vision deficiencies.

    Up to eight are those of Okabe and Ito. Beyond about ten no palette can be read alone: figures of scclu then write
    names or numbers beside the colours. Beyond 40 the colours repeat.

    Parameters
    ----------
    n_colors
        How many.

    Returns
    -------
    Hexadecimal colours, as ``palette=`` of scanpy's functions takes them.

    Raises
    ------
    TypeError, ValueError
        If `n_colors` is not a whole number above 0.

    Examples
    --------
    >>> scclu.pl.palette(3)
    ['#0072b2', '#e69f00', '#009e73']
    """
    check_positive("n_colors", n_colors)
    return [_COLORS[i % len(_COLORS)] for i in range(n_colors)]


def category_colors(adata: AnnData, name: str, n_categories: int) -> list[str]:
    """Colours of ``adata.obs[name]`` that scanpy keeps in ``adata.uns``, if they are all there, else those of scclu."""
    kept = list(adata.uns.get(f"{name}_colors", ()))
    if len(kept) >= n_categories and all(map(is_color_like, kept)):
        return [str(color) for color in kept[:n_categories]]
    return palette(n_categories)
