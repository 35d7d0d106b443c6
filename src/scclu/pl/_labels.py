"""Names of categories beside, and numbers in, a scatter plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import patheffects
from matplotlib.lines import Line2D

from ._figure import root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

# as many colours as are told apart at a glance
_FEW = 8
_FONT = 8.0


def category_legend(ax: Axes, names: Sequence[str], colors: Sequence[str], *, inches: float) -> list[str] | None:
    """Draw a legend right of `ax`, `inches` high.

    Returns
    -------
    ``None`` where colours do; else what to write on the categories: their names where these are short, or numbers,
    which the legend then shows too.
    """
    many, short = len(names) > _FEW, max(map(len, names)) <= 3
    marks = None if not many else list(names) if short else [str(i + 1) for i in range(len(names))]
    entries = [f"{mark}  {name}" for mark, name in zip(marks, names, strict=True)] if marks and not short else names
    n_rows = max(1, int(inches * 72 / (1.5 * _FONT)))
    ax.legend(
        [Line2D([], [], marker="o", linestyle="", markersize=6, color=color) for color in colors],
        entries,
        loc="center left",
        bbox_to_anchor=(1.02, 0.5),
        ncols=-(-len(names) // n_rows),
        frameon=False,
        fontsize=_FONT,
        labelspacing=0.3,
        handletextpad=0.1,
        columnspacing=0.8,
        borderaxespad=0,
    )
    return marks


def place_texts(ax: Axes, points: np.ndarray, texts: Sequence[str], *, size: float = 7.0) -> None:
    """Write texts at points in data coordinates, moved apart until none covers another.

    Parameters
    ----------
    ax
        Where, with its final limits.
    points
        ``(n, 2)``.
    texts
        One a point.
    size
        Of the font, in points.
    """
    root(ax).draw_without_rendering()
    ax.set_autoscale_on(False)
    halo = [patheffects.withStroke(linewidth=2, foreground="white")]
    written = [
        ax.text(x, y, text, fontsize=size, ha="center", va="center", path_effects=halo, weight="bold")
        for (x, y), text in zip(points, texts, strict=True)
    ]
    boxes = [text.get_window_extent() for text in written]
    half = np.array([(box.width, box.height) for box in boxes]) / 2 + 0.5
    frame = ax.get_window_extent()
    places = move_apart(ax.transData.transform(points), half, np.array([[frame.x0, frame.y0], [frame.x1, frame.y1]]))
    for text, place in zip(written, ax.transData.inverted().transform(places), strict=True):
        text.set_position(place)


def move_apart(centers: np.ndarray, half: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Move boxes as little as it takes that none overlaps another, inside a frame.

    Parameters
    ----------
    centers, half
        Centres and half sides, ``(n, 2)``.
    frame
        Lower left and upper right corner, ``(2, 2)``.

    Returns
    -------
    New centres; boxes may still overlap where the frame is too full for all.
    """
    # boxes at one place have no direction to move in
    places = centers + np.random.default_rng(0).normal(0, 0.01, centers.shape)
    need = half[:, None] + half[None]
    for _ in range(500):
        apart = places[:, None] - places[None]
        overlap = need - np.abs(apart)
        touching = (overlap > 0).all(axis=2)
        np.fill_diagonal(touching, False)
        if not touching.any():
            break
        # along the side on which they overlap less
        axis = overlap.argmin(axis=2)
        for side in (0, 1):
            push = np.where(touching & (axis == side), np.sign(apart[..., side]) * overlap[..., side], 0)
            places[:, side] += 0.5 * push.sum(axis=1) / np.maximum(1, (push != 0).sum(axis=1)) * 1.05
        places = np.clip(places, frame[0] + half, frame[1] - half)
    return places
