"""The function ``palette``: colours for categories."""

from __future__ import annotations

from scclu._checks import check_number

# The first eight colours are Okabe and Ito's. Each further one is the sRGB colour, among those distinct from white,
# with the largest distance (CIELAB) to all colours before it, under the worst of normal vision, protanopia,
# deuteranopia and tritanopia (simulated after Machado et al., 2009). The smallest distance of two colours is 16 among
# 20 and 11 among 40; in matplotlib's tab10 it is 5.
_COLORS = (
    "#0072b2 #e69f00 #009e73 #d55e00 #cc79a7 #56b4e9 #f0e442 #000000 #8500f4 #642c0b #bce9a6 #4e434e #4321a6 #906fff "
    "#16f4ff #a6b159 #a64e43 #6f2c7a #f4b1bc #90f46f #9b4e85 #859bff #ff436f #d300b1 #bc2100 #900bd3 #d3b1d3 #21432c "
    "#b16f37 #7ac890 #592185 #b1d343 #b164d3 #7a4e4e #904ed3 #16de7a #85002c #f46fd3 #c8909b #904eff"
).split()


def palette(n_colors: int) -> list[str]:
    """Colours that are distinct under the common colour vision deficiencies.

    The first eight colours are those of Okabe and Ito. As more than about ten colours are hard to tell apart, the plots
    of scclu also label categories by names or numbers. Colours repeat after 40.

    Parameters
    ----------
    n_colors
        Number of colours.

    Returns
    -------
    Hexadecimal colours, which can be passed as ``palette=`` to the functions of :mod:`scanpy.pl`.

    Raises
    ------
    TypeError, ValueError
        If `n_colors` is not a whole number of at least 1.

    Examples
    --------
    >>> scclu.pl.palette(3)
    ['#0072b2', '#e69f00', '#009e73']
    """
    check_number("n_colors", n_colors, integer=True, low=1)
    return [_COLORS[i % len(_COLORS)] for i in range(n_colors)]
