"""Which cells are plotted, and the order of the rows and columns of tables."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment


def sample_cells(n_obs: int, n_cells: int, random_state: int) -> tuple[np.ndarray, str]:
    """Positions of at most `n_cells` random cells, in increasing order, and a description of the sample."""
    if n_obs <= n_cells:
        return np.arange(n_obs), f"{n_obs:,} cells"
    rows = np.sort(np.random.default_rng(random_state).choice(n_obs, n_cells, replace=False))
    return rows, f"{n_cells:,} of {n_obs:,} cells (random sample)"


def match_order(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order of rows and columns that puts their best one-to-one match on the diagonal.

    Parameters
    ----------
    table
        Values, ``(n_rows, n_columns)``; the Hungarian method finds the match with the largest sum.

    Returns
    -------
    Positions of all rows, ``(n_rows,)``, and of all columns, ``(n_columns,)``. Matched rows and columns come first, in
    the order of the rows; then the others, in the order of the columns and rows in which they have their largest value.
    """
    rows, columns = linear_sum_assignment(table, maximize=True)
    rank = {int(column): i for i, column in enumerate(columns)}
    more_rows = sorted(set(range(table.shape[0])) - set(rows.tolist()), key=lambda i: rank[int(table[i].argmax())])
    place = {int(row): i for i, row in enumerate(rows)}
    more_columns = sorted(
        set(range(table.shape[1])) - set(columns.tolist()), key=lambda j: place[int(table[:, j].argmax())]
    )
    return np.array([*rows, *more_rows], dtype=int), np.array([*columns, *more_columns], dtype=int)
