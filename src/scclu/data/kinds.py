"""Detection of what the values of a matrix are: counts, expression, logarithms or scaled values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse

from scclu.data.matrix import Matrix, blocks

Kind = Literal["counts", "expression", "log", "scaled"]
# ln(1 + x) of a measured quantity stays below this: e^50 exceeds every library size by far.
_MAX_LOG = 50.0
# relative deviation from a whole number that rounding of float32 leaves
_ROUNDING = 1e-6
# values of one kind in other units, such as logarithms to another base, differ by less than this factor
_SAME_SCALE = 10.0
# shares of values tell something from this number of values on
_ENOUGH = 10

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


def are_whole(values: np.ndarray) -> np.ndarray:
    """Which values are whole numbers, up to the rounding of float32 (2.9999998), as booleans of the same shape."""
    nearest = np.rint(values)
    whole = values == nearest
    # counts are exact in almost all data
    return whole if whole.all() else np.abs(values - nearest) <= _ROUNDING * np.abs(values)


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
    ``"counts"`` for non-negative whole numbers, up to rounding; ``"log"`` for other non-negative numbers, or
    ``"expression"`` if some are too large to be logarithms; ``"scaled"`` if some are negative.

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
        whole = whole and bool(are_whole(values).all())
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


@dataclass(frozen=True)
class Scale:
    """Rough properties of values, by which values of another kind are noticed.

    Attributes
    ----------
    size
        Median over the cells of the largest absolute value of a cell, over the cells that have non-zero values.
    whole
        Share of whole numbers among the non-zero values.
    negative
        Share of negative numbers among the non-zero values.
    """

    size: float
    whole: float
    negative: float

    def __post_init__(self) -> None:
        """Raise ValueError if the attributes, which may come from a file, are not possible."""
        if not (0 <= self.size < np.inf and 0 <= self.whole <= 1 and 0 <= self.negative <= 1):
            raise ValueError(f"a scale cannot be {self}.")

    @classmethod
    def of(cls, matrix: Matrix) -> Scale:
        """Measure finite values, ``(n_cells, n_genes)``, in memory or on disk."""
        largest, n_whole, n_negative, n_values = [], 0, 0, 0
        for _, block in blocks(matrix):
            values = stored_values(block)
            is_value = values != 0
            n_values += int(is_value.sum())
            n_whole += int((are_whole(values) & is_value).sum())
            n_negative += int((values < 0).sum())
            sizes = abs(block).max(axis=1)
            largest.append((sizes.toarray() if sparse.issparse(sizes) else sizes).ravel())
        sizes = np.concatenate(largest)
        size = float(np.median(sizes[sizes > 0].astype(np.float64))) if n_values else 0.0  # float32 could overflow
        return cls(size, n_whole / max(1, n_values), n_negative / max(1, n_values))

    def difference(self, kind: Kind, matrix: Matrix) -> str | None:
        """What shows that new values, in memory, are of another kind than those that were measured.

        Parameters
        ----------
        kind
            Kind of the values that were measured.
        matrix
            New values of the same genes.

        Returns
        -------
        End of a sentence that begins with the name of `matrix`; ``None`` if nothing does.
        """
        n_values = np.count_nonzero(stored_values(matrix))
        if not n_values or not self.size:
            return None
        new = Scale.of(matrix)
        enough = n_values >= _ENOUGH
        if kind in ("log", "expression") and enough and new.whole == 1 and self.whole < 0.5:
            return "holds whole numbers only, as counts"
        if kind == "scaled" and enough and not new.negative and self.negative > 0.1:
            return "holds no negative values"
        ratio = new.size / self.size
        if kind == "expression":
            # the total of a cell is scaled; only logarithms are in no proportion to it
            looks_logged = float(stored_values(matrix).max()) <= _MAX_LOG and ratio < 1 / _SAME_SCALE
            return f"holds values of at most {_MAX_LOG:g}, as logarithms" if looks_logged else None
        if kind in ("log", "scaled") and not 1 / _SAME_SCALE <= ratio <= _SAME_SCALE:
            return f"holds values of another size (largest value of a cell: {new.size:.3g}, not {self.size:.3g})"
        return None
