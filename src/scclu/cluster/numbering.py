"""Numbering of clusters."""

from __future__ import annotations

import numpy as np


def by_size(labels: np.ndarray) -> np.ndarray:
    """Number clusters by size, the largest first; ties keep their order."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return rank[codes]
