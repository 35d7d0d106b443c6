"""A classifier of cells on an embedding, with calibrated probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from anndata import AnnData
from scipy.special import softmax

from scclu._checks import check_choice, check_number, listed
from scclu._settings import warn
from scclu.classify.scorers import Arrays, check_arrays, fit_arrays, fit_temperature, log_probabilities
from scclu.data.kinds import detect_kind
from scclu.data.matrix import read_matrix
from scclu.methods._files import check_finite, damage, read_model, write_model

Method = Literal["logistic", "knn", "mlp"]
METHODS = ("logistic", "knn", "mlp")
_SAME_MODEL = (
    "Embed these cells with the model that embedded the training cells: scclu.tl.map_cells(adata, model), where the "
    "model is the result of scclu.tl.cicl(..., return_model=True) or of CICL.load(folder)."
)


@dataclass(frozen=True, repr=False, kw_only=True)
class CellClassifier:
    """Classifier of cells with calibrated probabilities, fitted by :func:`scclu.tl.fit_classifier`.

    Attributes
    ----------
    method
        ``"logistic"``, ``"knn"`` or ``"mlp"``.
    classes
        Names of the classes, ``(n_classes,)``.
    labels_key
        Column of ``adata.obs`` with the training labels.
    use_rep
        Key of ``adata.obsm`` with the features, or ``"X"``.
    features
        Names of the features, ``(n_features,)``; gene names for ``"X"``.
    kind
        Kind of the training values of ``"X"`` (``"counts"``, ``"log"``, ...); empty for a key of ``adata.obsm``.
    temperature
        The log-probabilities are divided by this number; it is above 1 if the classifier was overconfident.
    settings
        Settings of the method.
    arrays
        Fitted parameters.
    embedding_id
        Identifier of the model whose embedding the classifier was fitted on; empty if the features are not the
        embedding of a model of scclu, or were written by version 0.1.0.

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
    embedding_id: str = ""

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
        """Fit a classifier.

        Parameters
        ----------
        adata
            Training cells.
        codes
            Class of each cell as a position in `classes`, ``(n_obs,)`` int64.
        classes
            Names of the classes, ``(n_classes,)``; every class has cells.
        method, labels_key, use_rep, settings
            As the attributes of the class.

        Returns
        -------
        The fitted and calibrated classifier.

        Raises
        ------
        ValueError
            If there is only one class, or `use_rep` is missing or has values that are not finite numbers.
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
            embedding_id=embedding_id(adata, use_rep),
        )

    def predict_proba(self, adata: AnnData, *, use_rep: str | None = None) -> np.ndarray:
        """Calibrated probabilities of the classes.

        Parameters
        ----------
        adata
            Annotated data; nothing is written.
        use_rep
            Key of ``adata.obsm`` with the embedding; the key that the classifier was fitted on if None.

        Returns
        -------
        Probabilities, ``(n_obs, n_classes)`` float32; each row sums to one.

        Raises
        ------
        TypeError, ValueError
            If the embedding is missing, is that of another model, or has values that are not finite numbers.

        Warns
        -----
        UserWarning
            If the classifier was fitted on the embedding of a model, and `adata` does not say which model made its
            embedding.
        """
        values = self._read(adata, self.use_rep if use_rep is None else use_rep)
        scores = log_probabilities(self.method, self.arrays, values, len(self.classes), self.settings)
        return softmax(scores / self.temperature, axis=1).astype(np.float32)

    def predict(self, adata: AnnData, *, use_rep: str | None = None) -> np.ndarray:
        """Most probable class of each cell, ``(n_obs,)``; parameters and errors as in :meth:`predict_proba`."""
        return self.classes[self.predict_proba(adata, use_rep=use_rep).argmax(axis=1)]

    def check_embedding(self, other: str, source: str) -> None:
        """Raise ValueError if the classifier was fitted on an embedding with another identifier than `other`."""
        if self.embedding_id and other != self.embedding_id:
            raise ValueError(
                f"The classifier was fitted on the embedding of model {self.embedding_id}, but {source} is of model "
                f"{other}. The dimensions of two models are unrelated. {_SAME_MODEL}"
            )

    def _read(self, adata: AnnData, use_rep: str) -> np.ndarray:
        """Read the features of new cells, ``(n_obs, n_features)``, in the order and units of the training features."""
        if self.embedding_id and use_rep not in getattr(adata, "obsm", {use_rep: None}):
            raise ValueError(f"adata.obsm has no {use_rep!r}, which the classifier needs. {_SAME_MODEL}")
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
                f"{values.shape[1]}. {_SAME_MODEL}"
            )
        found = embedding_id(adata, use_rep)
        if found:
            self.check_embedding(found, source)
        elif self.embedding_id:
            warn(
                f"{source} does not say which model made it. The classifier is right only for the embedding of model "
                f"{self.embedding_id}. {_SAME_MODEL}",
            )
        return _dense(values)

    def save(self, dir_path: str | Path, *, overwrite: bool = False) -> None:
        """Save the arrays as safetensors and everything else as JSON.

        The ``"knn"`` method stores the embedding of its training cells.

        Parameters
        ----------
        dir_path
            Directory; it is created if it does not exist.
        overwrite
            Replace a saved model.

        Raises
        ------
        FileExistsError
            If the directory holds a saved model and `overwrite` is False.
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
            "embedding_id": self.embedding_id,
        }
        tensors = {name: torch.from_numpy(np.array(part)) for name, part in self.arrays.items()}
        write_model(Path(dir_path), state, tensors, overwrite=overwrite)

    @classmethod
    def load(cls, dir_path: str | Path) -> Self:
        """Load a classifier that :meth:`save` wrote. Loading does not execute code from the files.

        Parameters
        ----------
        dir_path
            Directory.

        Returns
        -------
        The classifier, which predicts the same probabilities as the saved one.

        Raises
        ------
        FileNotFoundError, ValueError
            If the directory has no classifier, or its files are damaged.
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
                # version 0.1.0 wrote none
                embedding_id=state.get("embedding_id", ""),
            )
            check_choice("method", classifier.method, METHODS)
            for name in ("labels_key", "use_rep", "kind", "embedding_id"):
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


def embedding_id(adata: AnnData, use_rep: str) -> str:
    """Identifier of the model that made ``adata.obsm[use_rep]``, as the tools write it; empty if there is none."""
    about: Any = adata.uns.get(use_rep.removeprefix("X_")) if use_rep.startswith("X_") else None
    found = about.get("embedding_id") if hasattr(about, "get") else None
    return str(found) if found is not None else ""


def _dense(values: Any) -> np.ndarray:
    """Convert a sparse matrix to a dense array; return a dense array as it is."""
    return values if isinstance(values, np.ndarray) else values.toarray()
