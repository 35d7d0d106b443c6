"""Figures that fit their text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec
from matplotlib.ticker import MaxNLocator

# points; below the smaller size labels are left out rather than printed
_FONT, _SMALLEST = 9.0, 5.0
# of a line of text to its font size, with the gap to the next line
_LINE = 1.25
# of a character to the font size: digits and capitals of the default font, generously
_CHARACTER = 0.68


def panels(
    ax: Axes | None, n_rows: int, n_cols: int, *, figsize: tuple[float, float], **grid: Any
) -> tuple[Figure, list[Axes]]:
    """Axes in a grid, row by row: of a new figure, or in place of `ax`.

    Parameters
    ----------
    ax
        Where to draw; its own frame is hidden if it is divided.
    n_rows, n_cols
        Of the grid.
    figsize
        Of a new figure, in inches.
    **grid
        ``width_ratios``, ``height_ratios``.
    """
    if ax is None:
        figure = plt.figure(figsize=figsize, layout="constrained")
        grid_spec: Any = figure.add_gridspec(n_rows, n_cols, **grid)
        return figure, [figure.add_subplot(grid_spec[i, j]) for i in range(n_rows) for j in range(n_cols)]
    figure = root(ax)
    if n_rows == n_cols == 1:
        return figure, [ax]
    owner: Any = ax.get_figure(root=False)
    # within a figure of their own, no text of these panels reaches into the neighbours of `ax`
    inner = owner.add_subfigure(vacate(ax))
    inner_spec = inner.add_gridspec(n_rows, n_cols, **grid)
    return figure, [inner.add_subplot(inner_spec[i, j]) for i in range(n_rows) for j in range(n_cols)]


def vacate(ax: Axes) -> SubplotSpec:
    """Hide axes, and return their place."""
    ax.set_axis_off()
    place = ax.get_subplotspec()
    if place is not None:
        return place
    box = ax.get_position()
    return GridSpec(1, 1, figure=root(ax), left=box.x0, right=box.x1, bottom=box.y0, top=box.y1)[0]


def root(ax: Axes) -> Figure:
    """The figure that axes belong to."""
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be matplotlib Axes, but a {type(ax).__name__} was passed.")
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("ax must belong to a figure, but was removed from it.")
    return figure


def finish(figure: Figure, axes: Any, *, show: bool | None, return_fig: bool) -> Any:
    """What scanpy's functions return: the figure if it is wanted, nothing if it is shown, else the axes."""
    if return_fig:
        return figure
    if sc.settings.autoshow if show is None else show:
        plt.show()
        return None
    return axes


def whole_ticks(ax: Axes) -> None:
    """Ticks of the x axis at whole numbers."""
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))


def lay_out(figure: Figure) -> None:
    """Put the axes where they will be drawn, without drawing."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


def pitch(ax: Axes, axis: Literal["x", "y"], n: int) -> float:
    """Points from one of `n` evenly spaced items to the next, as `ax` was last laid out."""
    figure = root(ax)
    box = ax.get_window_extent()
    return float(box.height if axis == "y" else box.width) * 72 / figure.dpi / max(n, 1)


def name_items(ax: Axes, axis: Literal["x", "y"], names: Sequence[str]) -> None:
    """Tick labels for items at 0, 1, ... as large as they fit; every second, third ... where even small ones do not."""
    target: Axis = ax.yaxis if axis == "y" else ax.xaxis
    target.set_ticks(range(len(names)), names, fontsize=_FONT)
    ax.tick_params(axis=axis, length=0)
    longest = max(map(len, names))
    upright = axis == "x" and longest > 3
    if upright:
        ax.tick_params(axis="x", rotation=90)
    need = _LINE if axis == "y" or upright else _CHARACTER * (longest + 0.7)
    size = _FONT
    for _ in range(2):  # larger text may leave less room
        lay_out(root(ax))
        room = pitch(ax, axis, len(names))
        fitting = float(np.clip(room / need, _SMALLEST, size))
        step = int(np.ceil(fitting * need / room - 1e-6))
        target.set_ticks(range(0, len(names), step), names[::step], fontsize=fitting)
        if fitting == size:
            break
        size = fitting


def spread(wanted: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Positions nearest to increasing `wanted` ones that are at least `gap` apart, between `low` and `high`."""
    from sklearn.isotonic import isotonic_regression

    steps = gap * np.arange(len(wanted))
    return np.clip(isotonic_regression(wanted - steps), low, max(low, high - steps[-1])) + steps


def heat_map(
    ax: Axes, table: pd.DataFrame, *, cmap: str, label: str, high: float, low: float = 0, text: np.ndarray | None = None
) -> None:
    """A table as colours from `low` to `high` with a colour bar; `text` is written where it fits.

    Parameters
    ----------
    ax
        Where to draw.
    table
        Its index names the rows.
    cmap
        Colour map.
    label
        Of the colour bar.
    high, low
        Values of the last and the first colour.
    text
        Strings of the same shape as `table`.
    """
    image = ax.imshow(table.to_numpy(dtype=float), cmap=cmap, vmin=low, vmax=high, aspect="auto", interpolation="none")
    bar = root(ax).colorbar(image, ax=ax, fraction=0.05, pad=0.02, shrink=min(1.0, 10 / len(table)))
    bar.set_label(label)
    bar.outline.set_visible(False)
    ax.spines[:].set_visible(False)
    names = [str(name) for name in table.index]
    ax.set_yticks(range(len(names)), names, fontsize=_FONT)  # they take room from the columns
    name_items(ax, "x", [str(name) for name in table.columns])
    name_items(ax, "y", names)
    if text is None:
        return
    room = min(
        pitch(ax, "y", table.shape[0]) / _LINE,
        pitch(ax, "x", table.shape[1]) / (_CHARACTER * (max(map(len, text.ravel())) + 0.7)),
    )
    if room < 6:
        return
    shades = np.asarray(image.cmap(image.norm(table.to_numpy())))
    for (i, j), word in np.ndenumerate(text):
        red, green, blue, _ = shades[i, j]
        dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5
        ax.text(j, i, word, ha="center", va="center", fontsize=min(room, _FONT), color="white" if dark else "black")
