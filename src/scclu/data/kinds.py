"""Detection of what the values of a matrix are: counts, expression, logarithms or scaled values."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy import sparse

from scclu.data.matrix import Matrix, blocks

Kind = Literal["counts", "expression", "log", "scaled"]
# ln(1 + x) of a measured quantity stays below this: e^50 exceeds every library size by far.
_MAX_LOG = 50.0

# How values of each kind are treated, for log messages.
TREATMENT: dict[str, str] = {
    "counts": "non-negative whole numbers, taken as counts: normalised to the median library size and log-transformed",
    "expression": "non-negative real numbers too large for logarithms, taken as normalised expression (TPM, RPKM): "
    "scaled to the median total and log-transformed",
    "log": "non-negative real numbers, taken as log-normalised",
    "scaled": "real numbers of both signs, taken as scaled",
}


def stored_values(block: Any) -> np.ndarray:
    """Values of a dense block, or stored (non-zero) values of a sparse one."""
    return block.data if sparse.issparse(block) else block


def detect_kind(matrix: Matrix, source: str) -> Kind:
    """Detect what the values of a matrix are.

    Parameters
    ----------
    matrix
        Finite values, ``(n_cells, n_genes)``, in memory or on disk.
    source
        Name of the matrix in messages.

    Returns
    -------
    ``"counts"`` for non-negative whole numbers; ``"log"`` for other non-negative numbers, or ``"expression"`` if some
    are too large to be logarithms; ``"scaled"`` if some are negative.

    Raises
    ------
    ValueError
        If all values are zero, or if all are whole numbers and some are negative.
    """
    low = high = 0.0
    n_negative, whole = 0, True
    for _, block in blocks(matrix):
        values = stored_values(block)
        low, high = min(low, float(values.min(initial=0.0))), max(high, float(values.max(initial=0.0)))
        n_negative += int((values < 0).sum()) if low < 0 else 0
        whole = whole and np.array_equal(values, np.floor(values))
    if low == high == 0:
        raise ValueError(f"{source} holds only zeros: there is nothing to cluster.")
    if low < 0:
        if whole:
            raise ValueError(
                f"{source} holds whole numbers, as counts do, but {n_negative} of them are negative "
                f"(the smallest is {low:g}). Pass counts, log-normalised values or scaled values "
                "(layer= names another matrix)."
            )
        return "scaled"
    if whole:
        return "counts"
    return "expression" if high > _MAX_LOG else "log"
