"""Classifiers that are fitted by scikit-learn and stored as arrays, which need no pickle."""

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
    """Fit a classifier and convert it to arrays.

    Parameters
    ----------
    method
        ``"logistic"``, ``"mlp"`` or ``"knn"``.
    values
        Features, ``(n_cells, n_features)``.
    codes
        Classes as integers, ``(n_cells,)``; each of 0, 1, ... occurs.
    settings
        Values of ``C``, ``n_hidden``, ``n_neighbors`` and ``random_state``.

    Returns
    -------
    Weights and biases ``w0``, ``b0``, ... of linear layers with ReLU between them, where the first layer includes the
    standardisation of the features. For ``"knn"`` the training cells, ``values`` and ``codes``.
    """
    if method == "knn":
        return {"values": values.astype(np.float32), "codes": codes.astype(np.int64)}
    scaler = StandardScaler().fit(values.astype(np.float64))
    if method == "logistic":
        fitted = LogisticRegression(C=settings["C"], max_iter=1000)
        fitted.fit(scaler.transform(values), codes)
        weights, biases = [fitted.coef_.T], [fitted.intercept_]
    else:
        # training to convergence overfits: the held-out loss was 0.52 after 314 epochs and 0.36 after 100
        fitted = MLPClassifier((settings["n_hidden"],), max_iter=100, random_state=settings["random_state"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted.fit(scaler.transform(values), codes)
        weights, biases = list(fitted.coefs_), list(fitted.intercepts_)
    if weights[-1].shape[1] == 1:  # for two classes scikit-learn stores only the score of the second
        weights[-1] = np.concatenate((np.zeros_like(weights[-1]), weights[-1]), axis=1)
        biases[-1] = np.concatenate((np.zeros(1), biases[-1]))
    weights[0] = weights[0] / scaler.scale_[:, None]
    biases[0] = biases[0] - scaler.mean_ @ weights[0]
    layers = enumerate(zip(weights, biases, strict=True))
    return {f"{name}{i}": part for i, layer in layers for name, part in zip("wb", layer, strict=True)}


def check_arrays(method: str, arrays: Arrays, n_features: int, n_classes: int) -> None:
    """Raise ValueError unless the arrays, which may come from a file, have the shapes and types of fitted ones."""
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
    """Log-probabilities of the classes before calibration.

    The probabilities of ``"knn"`` are the shares of the classes among the neighbours. One pseudo-neighbour with the
    class frequencies of the training cells is added, so that no probability is zero.

    Parameters
    ----------
    method, arrays, settings
        Method, fitted arrays and settings of :func:`fit_arrays`.
    values
        Features, ``(n_cells, n_features)``.
    n_classes
        Number of classes.

    Returns
    -------
    Natural logarithms, ``(n_cells, n_classes)`` float64.
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
    """Temperature that maximises the likelihood of held-out cells (Guo et al. 2017).

    One temperature for all classes keeps the order of the class probabilities and does not require that every class has
    enough cells for all folds. Each cell is scored by a classifier that was fitted without its fold; cells whose class
    is missing in the other folds are left out.

    Parameters
    ----------
    method, values, codes, settings
        As in :func:`fit_arrays`.
    n_classes
        Number of classes.

    Returns
    -------
    The temperature; 1 if no cell can be scored.
    """
    n_folds = min(_N_FOLDS, int(np.bincount(codes).max()))
    if n_folds < 2:
        return 1.0
    held_out = []
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=settings["random_state"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # scikit-learn warns about classes with fewer cells than folds
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
