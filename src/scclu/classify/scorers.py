"""scikit-learn's classifiers as arrays: fitted by scikit-learn, stored and evaluated without its objects."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

Arrays = dict[str, np.ndarray]

_N_FOLDS = 5


def fit_arrays(method: str, values: np.ndarray, codes: np.ndarray, settings: dict[str, Any]) -> Arrays:
    """Fit one classifier.

    Parameters
    ----------
    method
        ``"logistic"``, ``"mlp"`` or ``"knn"``.
    values
        ``(n_cells, n_features)``.
    codes
        Classes as integers, ``(n_cells,)``; all of 0, 1, ... occur.
    settings
        ``C``, ``n_hidden``, ``n_neighbors`` and ``random_state``.

    Returns
    -------
    Weights ``w0``, ``b0``, ... of layers with ReLU between them, the standardisation of the features folded into the
    first; or, for ``"knn"``, the training cells.
    """
    if method == "knn":
        return {"values": values.astype(np.float32), "codes": codes.astype(np.int64)}
    scaler = StandardScaler().fit(values.astype(np.float64))
    if method == "logistic":
        fitted = LogisticRegression(C=settings["C"], max_iter=1000)
        fitted.fit(scaler.transform(values), codes)
        weights, biases = [fitted.coef_.T], [fitted.intercept_]
    else:
        # training to convergence made it surer and no better: held-out loss 0.52 at 314 passes, 0.36 at 100
        fitted = MLPClassifier((settings["n_hidden"],), max_iter=100, random_state=settings["random_state"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted.fit(scaler.transform(values), codes)
        weights, biases = list(fitted.coefs_), list(fitted.intercepts_)
    if weights[-1].shape[1] == 1:  # of two classes scikit-learn keeps the second's score only
        weights[-1] = np.concatenate((np.zeros_like(weights[-1]), weights[-1]), axis=1)
        biases[-1] = np.concatenate((np.zeros(1), biases[-1]))
    weights[0] = weights[0] / scaler.scale_[:, None]
    biases[0] = biases[0] - scaler.mean_ @ weights[0]
    layers = enumerate(zip(weights, biases, strict=True))
    return {f"{name}{i}": part for i, layer in layers for name, part in zip("wb", layer, strict=True)}


def check_arrays(method: str, arrays: Arrays, n_features: int, n_classes: int) -> None:
    """Raise ValueError unless the arrays, which may come from a file, are what :func:`fit_arrays` makes."""
    if method == "knn":
        values, codes = arrays["values"], arrays["codes"]
        fits = values.dtype == np.float32 and codes.dtype == np.int64 and values.shape == (len(codes), n_features)
        fits = fits and codes.ndim == 1 and bool(np.isin(codes, np.arange(n_classes)).all())
    else:
        layers = [(arrays[f"w{i}"], arrays[f"b{i}"]) for i in range(len(arrays) // 2)]
        widths = [n_features, *(len(bias) for _, bias in layers)]
        fits = widths[-1] == n_classes and all(
            weight.shape == (n_in, n_out) and bias.ndim == 1 and weight.dtype.kind == bias.dtype.kind == "f"
            for (weight, bias), n_in, n_out in zip(layers, widths[:-1], widths[1:], strict=True)
        )
    if not fits:
        raise ValueError("its arrays do not fit its features and classes")


def log_probabilities(
    method: str, arrays: Arrays, values: np.ndarray, n_classes: int, settings: dict[str, Any]
) -> np.ndarray:
    """Logarithms of the class probabilities before calibration, ``(n_cells, n_classes)`` float64.

    Those of ``"knn"`` are the shares among the neighbours, with one further neighbour that is shared out as the classes
    are in the training cells, so that no class is impossible.
    """
    if method == "knn":
        codes = arrays["codes"]
        n_neighbors = min(settings["n_neighbors"], len(codes))
        nearest = NearestNeighbors(n_neighbors=n_neighbors).fit(arrays["values"])
        votes = codes[nearest.kneighbors(values.astype(np.float32), return_distance=False)]
        shares = np.stack([(votes == k).sum(axis=1) for k in range(n_classes)], axis=1)
        prior = np.bincount(codes, minlength=n_classes) / len(codes)
        return np.log((shares + prior) / (n_neighbors + 1))
    scores, n_layers = values.astype(np.float64), len(arrays) // 2
    for i in range(n_layers):
        scores = scores @ arrays[f"w{i}"] + arrays[f"b{i}"]
        if i + 1 < n_layers:
            scores = np.maximum(scores, 0)
    return log_softmax(scores, axis=1)


def fit_temperature(
    method: str, values: np.ndarray, codes: np.ndarray, n_classes: int, settings: dict[str, Any]
) -> float:
    """The temperature that makes held-out probabilities most likely (Guo et al. 2017).

    One number for all classes, so a class of a few cells needs no folds of its own; it leaves the order of the classes
    as it is. Each cell is scored by a classifier that was fitted without its fold. Cells whose class the other folds
    lack say nothing and are left out; without any, the temperature is 1.
    """
    n_folds = min(_N_FOLDS, int(np.bincount(codes).max()))
    if n_folds < 2:
        return 1.0
    held_out = []
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=settings["random_state"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer cells than folds
        splits = list(folds.split(values, codes))
    for train, test in splits:
        present, train_codes = np.unique(codes[train], return_inverse=True)
        known = test[np.isin(codes[test], present)]
        if len(present) < 2 or len(known) == 0:
            continue
        arrays = fit_arrays(method, values[train], train_codes, settings)
        scores = log_probabilities(method, arrays, values[known], len(present), settings)
        held_out.append((scores, np.searchsorted(present, codes[known])))
    if not held_out:
        return 1.0

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        picked = [log_softmax(scores * scale, axis=1)[np.arange(len(truth)), truth] for scores, truth in held_out]
        return -float(np.concatenate(picked).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded").x))
