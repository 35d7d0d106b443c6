"""Estimation of the number of clusters, without labels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score, pairwise_distances, silhouette_score

from scclu._process import known_warnings_ignored, one_thread
from scclu._rng import child_seed, spawn_seeds
from scclu.cluster.leiden import leiden_scan
from scclu.cluster.mixture import tied_mixture
from scclu.data.components import fit_pca

# Leiden finds more communities in more cells; with samples of one size, its counts are comparable
SAMPLE_CELLS = 1_500
_RESOLUTIONS = (0.15, 0.6, 1.0)
_DRAWS = 8
_DRAW_SHARE = 0.8
_N_DIMS = 15


@dataclass(frozen=True)
class NClustersEvidence:
    """The estimated number of clusters and the evidence for it.

    Parameters
    ----------
    k
        Estimated number of clusters.
    leiden_k
        Leiden communities at resolution 1.
    leiden_range
        Leiden communities at resolutions 0.15 and 0.6, between which `k` was sought.
    table
        One row per number of clusters that was tried: ``"k"``, ``"stability"``, ``"stability_sd"``, ``"silhouette"``.
    n_cells
        Number of cells that were used.
    """

    k: int
    leiden_k: int
    leiden_range: tuple[int, int]
    table: pd.DataFrame
    n_cells: int


def most_clusters(n_cells: int) -> int:
    """Largest number of clusters that :func:`find_n_clusters` can try with this number of cells."""
    return max(2, int(_DRAW_SHARE * min(n_cells, SAMPLE_CELLS)))


def find_n_clusters(
    embedding: np.ndarray, *, random_state: int, k_range: tuple[int, int] | None = None
) -> NClustersEvidence:
    """Estimate the number of clusters by stability and separation, within bounds that Leiden gives.

    The numbers of Leiden communities at a coarse (0.15) and a fine resolution (0.6) bound the search. For each k
    between them, Gaussian mixtures with a shared covariance are fitted to eight random samples of 80 % of the cells and
    assign all cells. The score of k is the stability (mean adjusted Rand index of pairs of fits) times the mean
    silhouette. The highest score is chosen, and the smaller k on a tie. Without the bounds, stability and silhouette
    are often highest at two or three clusters.

    Only the first 1,500 cells are used, so that time does not depend on the number of cells. A cell type with one cell
    in a thousand cannot be found.

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``; cells in random order.
    random_state
        Seed.
    k_range
        Try all of these (ends included, at least 2, at most :func:`most_clusters`), and choose in their bounds;
        ``None`` tries only what lies between the two Leiden numbers.

    Returns
    -------
    The number, and what speaks for it.
    """
    values = _coordinates(embedding[:SAMPLE_CELLS])
    low, high = (2, most_clusters(len(values))) if k_range is None else k_range
    coarse, fine, leiden_k = _leiden_counts(values, child_seed(random_state, "leiden"))
    start, stop = (int(np.clip(k, low, high)) for k in sorted((coarse, fine)))
    tried = range(start, stop + 1) if k_range is None else range(low, high + 1)
    table = pd.DataFrame(_score(values, tried, random_state))
    candidates = table[table["k"].between(start, stop)]
    score = candidates["stability"].clip(lower=0) * candidates["silhouette"].clip(lower=0)
    chosen = int(candidates["k"].to_numpy()[score.to_numpy().argmax()])
    return NClustersEvidence(chosen, leiden_k, (min(coarse, fine), max(coarse, fine)), table, len(values))


def _coordinates(values: np.ndarray) -> np.ndarray:
    """Leading principal components after scaling the rows, whose norm depends on the number of molecules of a cell."""
    centered = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    scaled = _scale_rows(centered, 0.5)
    return fit_pca(scaled, _N_DIMS, random_state=0).transform(scaled)


def _scale_rows(block: np.ndarray, power: float) -> np.ndarray:
    """Divide rows by their norm to a power, keeping the mean squared norm."""
    norm = np.linalg.norm(block, axis=1, keepdims=True)
    scaled = block / np.maximum(norm, 1e-9) ** power
    ratio = np.sqrt((block**2).sum() / max(float((scaled**2).sum()), 1e-30))
    return scaled * ratio


def _leiden_counts(values: np.ndarray, seed: int) -> list[int]:
    if len(values) < 3:
        return [2] * len(_RESOLUTIONS)
    return [int(labels.max()) + 1 for labels in leiden_scan(values, _RESOLUTIONS, random_state=seed)]


def _score(values: np.ndarray, tried: range, seed: int) -> list[dict[str, float]]:
    """Stability and silhouette of the mixtures at each k."""
    rng = np.random.default_rng(child_seed(seed, "draws"))
    draws = [rng.permutation(len(values))[: max(2, int(_DRAW_SHARE * len(values)))] for _ in range(_DRAWS)]
    distance = pairwise_distances(values)
    np.fill_diagonal(distance, 0)  # not exactly so by rounding
    seeds = spawn_seeds(child_seed(seed, "mixtures"), _DRAWS)
    rows = []
    with one_thread(), np.errstate(invalid="ignore"), known_warnings_ignored.held():
        for k in tried:
            found = [tied_mixture(values[draw], values, k, each) for draw, each in zip(draws, seeds, strict=True)]
            agreement = [adjusted_rand_score(a, b) for a, b in itertools.combinations(found, 2)]
            rows.append(
                {
                    "k": k,
                    "stability": float(np.mean(agreement)),
                    "stability_sd": float(np.std(agreement)),
                    "silhouette": float(np.mean([_silhouette(distance, labels) for labels in found])),
                }
            )
    return rows


def _silhouette(distance: np.ndarray, labels: np.ndarray) -> float:
    n_labels = len(np.unique(labels))
    return float(silhouette_score(distance, labels, metric="precomputed")) if 1 < n_labels < len(labels) else 0.0
