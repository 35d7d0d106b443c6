"""Legends of scatter plots with many categories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import patheffects
from matplotlib.lines import Line2D

from scclu.pl._figure import root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

# Largest number of categories that colours alone distinguish.
_FEW = 8
_FONT = 8.0


def category_legend(ax: Axes, names: Sequence[str], colors: Sequence[str], *, inches: float) -> list[str] | None:
    """Draw a legend at the right of `ax`.

    Parameters
    ----------
    ax
        Axes of the scatter plot.
    names, colors
        Names and colours of the categories.
    inches
        Height of the legend.

    Returns
    -------
    None for few categories; otherwise texts to write in the plot: the names of the categories if they are short, or
    numbers, which the legend then shows too.
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


def place_texts(ax: Axes, cells: np.ndarray, groups: np.ndarray, texts: Sequence[str], *, size: float = 7.0) -> None:
    """Write a text beside each group of cells, with as little overlap with cells and other texts as possible.

    Parameters
    ----------
    ax
        Axes with final limits and position.
    cells
        Data coordinates of the cells, ``(n_cells, 2)``.
    groups
        Group of each cell, ``(n_cells,)`` int.
    texts
        Text for each group.
    size
        Font size in points.
    """
    figure = root(ax)
    ax.set_autoscale_on(False)
    points = ax.transData.transform(cells)
    unit = figure.dpi / 72
    box, to_data = ax.get_window_extent(), ax.transData.inverted()
    frame = np.array([[box.x0, box.y0], [box.x1, box.y1]])
    sizes = np.bincount(groups, minlength=len(texts))
    taken = np.empty((0, 2, 2))
    for k in np.argsort(-sizes, kind="stable")[: int((sizes > 0).sum())]:
        members = points[groups == k]
        anchor = members[np.abs(members - np.median(members, axis=0)).sum(axis=1).argmin()]
        half = unit * size * np.array([0.36 * len(texts[k]) + 0.1, 0.6])
        place = free_place(anchor, half, points, taken, frame, unit * size)
        taken = np.concatenate([taken, [[place - half, place + half]]])
        ax.annotate(
            texts[k],
            tuple(to_data.transform(anchor)),
            xytext=tuple(to_data.transform(place)),
            fontsize=size,
            ha="center",
            va="center",
            arrowprops={"arrowstyle": "-", "linewidth": 0.6, "color": "#333333", "shrinkA": 0, "shrinkB": 0},
            path_effects=[patheffects.withStroke(linewidth=1.5, foreground="white")],
        )


def free_place(
    anchor: np.ndarray, half: np.ndarray, points: np.ndarray, taken: np.ndarray, frame: np.ndarray, step: float
) -> np.ndarray:
    """Find a position for a box near `anchor` that overlaps no other box and as few points as possible.

    Parameters
    ----------
    anchor, half
        Desired centre of the box and half of its width and height, both ``(2,)``.
    points
        Points to avoid, ``(n_points, 2)``.
    taken
        Lower left and upper right corners of the other boxes, ``(n_boxes, 2, 2)``.
    frame
        Lower left and upper right corner of the region that contains the box, ``(2, 2)``.
    step
        Unit of distance, by which candidate positions are spaced.

    Returns
    -------
    Centre of the box, ``(2,)``.
    """
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radii = step * np.arange(1.2, 16, 0.8)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    places = (anchor + radii[:, None, None] * ring).reshape(-1, 2)
    places = np.clip(places, frame[0] + half, frame[1] - half)
    lower, upper = places - half, places + half
    boxes = ((lower[:, None] < taken[:, 1]) & (upper[:, None] > taken[:, 0])).all(axis=2).sum(axis=1)
    cells = ((points > lower[:, None]) & (points < upper[:, None])).all(axis=2).sum(axis=1)
    far = np.linalg.norm(places - anchor, axis=1) / step
    return places[(1e6 * boxes + cells + far).argmin()]
