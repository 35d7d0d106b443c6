"""Layout of figures: grids of axes, tick labels that fit, heat maps, and what plotting functions return."""

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

# Normal and smallest font size in points; labels that do not fit at the smallest size are left out.
_FONT, _SMALLEST = 9.0, 5.0
# Height of a line of text, with the gap to the next line, relative to the font size.
_LINE = 1.25
# Width of a digit or capital of the default font relative to the font size, rounded up.
_CHARACTER = 0.68
# Line styles that tell curves apart without colour.
LINE_STYLES = ("-", "--", "-.", ":")


def panels(
    ax: Axes | None, n_rows: int, n_cols: int, *, figsize: tuple[float, float], **grid: Any
) -> tuple[Figure, list[Axes]]:
    """Make a grid of axes, in a new figure or in place of `ax`.

    Parameters
    ----------
    ax
        Axes to draw in; hidden if they are divided. A new figure is made if None.
    n_rows, n_cols
        Shape of the grid.
    figsize
        Width and height of a new figure, in inches.
    **grid
        ``width_ratios`` and ``height_ratios`` of the grid.

    Returns
    -------
    The figure, and its axes row by row.
    """
    if ax is None:
        figure = plt.figure(figsize=figsize, layout="constrained")
        grid_spec: Any = figure.add_gridspec(n_rows, n_cols, **grid)
        return figure, [figure.add_subplot(grid_spec[i, j]) for i in range(n_rows) for j in range(n_cols)]
    figure = root(ax)
    if n_rows == n_cols == 1:
        return figure, [ax]
    owner: Any = ax.get_figure(root=False)
    # a subfigure keeps the text of these axes from overlapping the neighbours of `ax`
    inner = owner.add_subfigure(vacate(ax))
    inner_spec = inner.add_gridspec(n_rows, n_cols, **grid)
    return figure, [inner.add_subplot(inner_spec[i, j]) for i in range(n_rows) for j in range(n_cols)]


def vacate(ax: Axes) -> SubplotSpec:
    """Hide axes and return their position in the figure."""
    ax.set_axis_off()
    place = ax.get_subplotspec()
    if place is not None:
        return place
    box = ax.get_position()
    return GridSpec(1, 1, figure=root(ax), left=box.x0, right=box.x1, bottom=box.y0, top=box.y1)[0]


def root(ax: Axes) -> Figure:
    """Top-level figure that axes belong to; raise TypeError or ValueError if there is none."""
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be matplotlib Axes, but a {type(ax).__name__} was passed.")
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("ax must belong to a figure, but was removed from it.")
    return figure


def finish(figure: Figure, axes: Any, *, show: bool | None, return_fig: bool) -> Any:
    """Return the figure if `return_fig`, None after showing it if `show`, and otherwise the axes, as scanpy does."""
    if return_fig:
        return figure
    if sc.settings.autoshow if show is None else show:
        plt.show()
        return None
    return axes


def whole_ticks(ax: Axes) -> None:
    """Restrict the ticks of the x axis to whole numbers."""
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))


def lay_out(figure: Figure) -> None:
    """Compute the final positions of the axes without drawing the figure."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


def pitch(ax: Axes, axis: Literal["x", "y"], n: int) -> float:
    """Distance between `n` evenly spaced items on an axis in points, for the current layout."""
    figure = root(ax)
    box = ax.get_window_extent()
    return float(box.height if axis == "y" else box.width) * 72 / figure.dpi / max(n, 1)


def name_items(ax: Axes, axis: Literal["x", "y"], names: Sequence[str]) -> None:
    """Label items at 0, 1, ... as large as possible; label every second, third, ... item if small labels overlap."""
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
    """Move increasing positions as little as possible, to be at least `gap` apart and between `low` and `high`."""
    from sklearn.isotonic import isotonic_regression

    steps = gap * np.arange(len(wanted))
    return np.clip(isotonic_regression(wanted - steps), low, max(low, high - steps[-1])) + steps


def heat_map_size(table: pd.DataFrame) -> tuple[float, float]:
    """Width and height of a figure for a heat map with its labels, in inches."""
    n_rows, n_columns = table.shape
    wide, high = (0.08 * min(40, max(len(str(name)) for name in names)) for names in (table.index, table.columns))

    def side(n: int) -> float:
        return max(1.5, n * (0.36 if n <= 15 else 0.2))

    return 1.6 + wide + side(n_columns), 0.6 + high + side(n_rows)


def heat_map(
    ax: Axes, table: pd.DataFrame, *, cmap: str, label: str, high: float, low: float = 0, text: np.ndarray | None = None
) -> None:
    """Draw a table as a heat map with a colour bar.

    Parameters
    ----------
    ax
        Axes to draw in.
    table
        Values; the index and the columns are the tick labels.
    cmap
        Colour map.
    label
        Label of the colour bar.
    high, low
        Values of the last and the first colour.
    text
        Strings to write on the cells if they fit, in the shape of `table`.
    """
    image = ax.imshow(table.to_numpy(dtype=float), cmap=cmap, vmin=low, vmax=high, aspect="auto", interpolation="none")
    bar = root(ax).colorbar(image, ax=ax, fraction=0.05, pad=0.02, shrink=min(1.0, 10 / len(table)))
    bar.set_label(label)
    bar.outline.set_visible(False)
    ax.spines[:].set_visible(False)
    names = [str(name) for name in table.index]
    ax.set_yticks(range(len(names)), names, fontsize=_FONT)  # row labels take width from the columns
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
