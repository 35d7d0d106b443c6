"""A classifier of cells on an embedding, with calibrated probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from anndata import AnnData
from scipy.special import softmax

from scclu._checks import check_choice, check_number
from scclu.classify.scorers import Arrays, check_arrays, fit_arrays, fit_temperature, log_probabilities
from scclu.data.matrix import listed, read_matrix
from scclu.data.recipe import detect_kind
from scclu.methods._files import check_finite, damage, read_model, write_model

Method = Literal["logistic", "knn", "mlp"]
METHODS = ("logistic", "knn", "mlp")


@dataclass(frozen=True, repr=False, kw_only=True)
class CellClassifier:
    """What :func:`scclu.tl.fit_classifier` returns and :func:`scclu.tl.classify` uses.

    Attributes
    ----------
    method
        ``"logistic"``, ``"knn"`` or ``"mlp"``.
    classes
        Names of the classes, ``(n_classes,)``.
    labels_key
        The column of ``adata.obs`` that they come from.
    use_rep
        The key of ``adata.obsm`` that is read, or ``"X"``.
    features
        Names of its columns: those of genes for ``"X"``.
    kind
        What the values of ``"X"`` were (``"counts"``, ``"log"``, ...); empty for a key of ``adata.obsm``.
    temperature
        Divides the logarithms of the probabilities; above 1 where the classifier was too sure of itself.
    settings
        Of the method.
    arrays
        What was fitted.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> classifier = scclu.tl.fit_classifier(adata, "cell_type", use_rep="X_pca")
    >>> classifier
    CellClassifier('logistic', 10 classes of 'cell_type' on 'X_pca' (50 features))
    >>> classifier.predict_proba(adata).shape
    (700, 10)
    """

    method: Method
    classes: np.ndarray
    labels_key: str
    use_rep: str
    features: np.ndarray
    kind: str
    temperature: float
    settings: dict[str, Any]
    arrays: Arrays

    @classmethod
    def fit(
        cls,
        adata: AnnData,
        codes: np.ndarray,
        classes: np.ndarray,
        *,
        method: Method,
        labels_key: str,
        use_rep: str,
        settings: dict[str, Any],
    ) -> Self:
        """Fit on the cells of `adata`, whose classes are ``classes[codes]``.

        Raises
        ------
        ValueError
            If there is one class only, or `use_rep` is missing or holds anything but finite numbers.
        """
        values, features, source = read_matrix(adata, use_rep=use_rep)
        if len(classes) < 2:
            raise ValueError(f"adata.obs[{labels_key!r}] has {len(classes)} class; a classifier needs two or more.")
        values = _dense(values)
        return cls(
            method=method,
            classes=classes,
            labels_key=labels_key,
            use_rep=use_rep,
            features=features,
            kind=detect_kind(values, source) if use_rep == "X" else "",
            temperature=fit_temperature(method, values, codes, len(classes), settings),
            settings=settings,
            arrays=fit_arrays(method, values, codes, settings),
        )

    def predict_proba(self, adata: AnnData, *, use_rep: str | None = None) -> np.ndarray:
        """Calibrated probabilities of the classes.

        Parameters
        ----------
        adata
            Cells; nothing is written.
        use_rep
            Where their embedding is, if not under the key that the classifier was fitted on.

        Returns
        -------
        ``(n_obs, n_classes)`` float32, rows sum to one.

        Raises
        ------
        TypeError, ValueError
            If the embedding is missing, has other dimensions or genes, or holds anything but finite numbers.
        """
        values = self._read(adata, self.use_rep if use_rep is None else use_rep)
        scores = log_probabilities(self.method, self.arrays, values, len(self.classes), self.settings)
        return softmax(scores / self.temperature, axis=1).astype(np.float32)

    def predict(self, adata: AnnData, *, use_rep: str | None = None) -> np.ndarray:
        """The most probable class of each cell, ``(n_obs,)``; arguments and errors as :meth:`predict_proba`."""
        return self.classes[self.predict_proba(adata, use_rep=use_rep).argmax(axis=1)]

    def _read(self, adata: AnnData, use_rep: str) -> np.ndarray:
        values, names, source = read_matrix(adata, use_rep=use_rep)
        if (self.use_rep == "X") != (use_rep == "X"):
            raise ValueError(f"The classifier was fitted on {self.use_rep!r}, but use_rep={use_rep!r} was passed.")
        if use_rep == "X":
            columns = {name: i for i, name in enumerate(names)}
            missing = [name for name in self.features if name not in columns]
            if missing:
                raise ValueError(
                    f"{source} lacks {len(missing)} of the {len(self.features)} genes that the classifier was fitted "
                    f"on: {listed(missing)}."
                )
            kind = detect_kind(values, source)
            if kind != self.kind:
                raise ValueError(f"The classifier was fitted on {self.kind} values, but {source} holds {kind} values.")
            values = values[:, [columns[name] for name in self.features]]
        elif values.shape[1] != len(self.features):
            raise ValueError(
                f"The classifier was fitted on {len(self.features)} dimensions of {self.use_rep!r}, but {source} has "
                f"{values.shape[1]}. Embed the new cells with the model that embedded the training cells."
            )
        return _dense(values)

    def save(self, dir_path: str | Path, *, overwrite: bool = False) -> None:
        """Save: arrays as safetensors, the rest as JSON. ``"knn"`` keeps the embedding of its training cells.

        Parameters
        ----------
        dir_path
            A folder; it is made if it is missing.
        overwrite
            Replace a model that is there.

        Raises
        ------
        FileExistsError
            If there is a model and `overwrite` is ``False``.
        """
        state = {
            "class": type(self).__name__,
            "method": self.method,
            "classes": self.classes.tolist(),
            "labels_key": self.labels_key,
            "use_rep": self.use_rep,
            "features": self.features.tolist(),
            "kind": self.kind,
            "temperature": self.temperature,
            "settings": self.settings,
        }
        tensors = {name: torch.from_numpy(np.array(part)) for name, part in self.arrays.items()}
        write_model(Path(dir_path), state, tensors, overwrite=overwrite)

    @classmethod
    def load(cls, dir_path: str | Path) -> Self:
        """Load a classifier that :meth:`save` wrote. No code in the files is run.

        Parameters
        ----------
        dir_path
            The folder.

        Returns
        -------
        The classifier; its probabilities are those of the saved one.

        Raises
        ------
        FileNotFoundError, ValueError
            If the folder holds no classifier, or damaged files.
        """
        folder = Path(dir_path)
        state, tensors = read_model(folder, cls.__name__)
        with damage(folder):
            check_finite(tensors)
            classifier = cls(
                method=state["method"],
                classes=np.array(state["classes"], dtype=object),
                labels_key=state["labels_key"],
                use_rep=state["use_rep"],
                features=np.array(state["features"], dtype=object),
                kind=state["kind"],
                temperature=check_number("temperature", state["temperature"], above=0),
                settings=state["settings"],
                arrays={name: tensor.numpy() for name, tensor in tensors.items()},
            )
            check_choice("method", classifier.method, METHODS)
            for name in ("labels_key", "use_rep", "kind"):
                if not isinstance(getattr(classifier, name), str):
                    raise TypeError(f"{name} must be a text")
            n_features, n_classes = len(classifier.features), len(classifier.classes)
            check_arrays(classifier.method, classifier.arrays, n_features, n_classes)
            probe = np.zeros((1, n_features), dtype=np.float32)
            scores = log_probabilities(classifier.method, classifier.arrays, probe, n_classes, classifier.settings)
            if not np.isfinite(scores).all():
                raise ValueError("it gives no probabilities")
        return classifier

    def __repr__(self) -> str:
        return (
            f"CellClassifier({self.method!r}, {len(self.classes)} classes of {self.labels_key!r} on "
            f"{self.use_rep!r} ({len(self.features)} features))"
        )


def _dense(values: Any) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else values.toarray()
