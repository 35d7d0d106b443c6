"""What the models share: data at the door, results, files.

Every private name of scvi-tools is used in this file alone, but for the parsing of devices.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
import torch
from anndata import AnnData
from scvi.data import AnnDataManager
from scvi.data.fields import LayerField, ObsmField
from scvi.model._utils import parse_device_args
from scvi.model.base import BaseModelClass

from scclu import __version__
from scclu._checks import check_number
from scclu.cluster.final import REFERENCE_CELLS
from scclu.cluster.n_clusters import find_n_clusters
from scclu.cluster.representations import common_components, input_views
from scclu.data.matrix import Matrix, canonical_order, read_matrix, reordered
from scclu.data.recipe import Recipe
from scclu.data.tensors import embed_cells
from scclu.methods._assignment import student_t
from scclu.methods._checkpoints import Checkpoint, Stateful, checkpointing, data_digest
from scclu.methods._files import check_finite, damage, read_model, write_model
from scclu.methods._randomness import one_at_a_time
from scclu.methods._snapshots import SnapshotRecorder, Snapshots

logger = logging.getLogger(__name__)
_X = "X"


class ClusteringModel(BaseModelClass):
    """Base of the clustering models.

    A subclass sets ``module`` with a method ``embed`` and a buffer ``centroids``, and calls :meth:`_keep` at the end
    of ``train``. The training cells are kept in an order that depends on their values alone (then shuffled by the
    seed), so that a model does not depend on the order of the cells in `adata`.
    """

    settings: Any

    # whether cells on disk are read block by block, and never all at once
    reads_blocks = False

    def __init__(
        self,
        adata: AnnData | None,
        n_clusters: int | None,
        *,
        recipe: Mapping[str, Any],
        with_views: bool,
        random_state: int,
        registry: dict | None,
    ):
        super().__init__(adata, registry)
        self.history_: dict[str, np.ndarray] = {}
        self.snapshots_: Snapshots | None = None
        self.random_state = check_number("random_state", random_state, integer=True, low=0, below=2**32)
        self.labels_: np.ndarray | None = None
        self._matrix: Matrix = None
        # what votes in the final clustering beside the embedding
        self._views: tuple[np.ndarray, ...] = ()
        self._embedding: np.ndarray | None = None
        if adata is None:
            return
        matrix, names, source = self._read(adata)
        n_cells = matrix.shape[0]
        if n_cells < 2:
            raise ValueError(f"{source} has {n_cells} cell; clustering needs at least 2.")
        if n_clusters is not None:
            check_number("n_clusters", n_clusters, integer=True, low=2)
            if n_clusters > n_cells:
                raise ValueError(
                    f"n_clusters must be at most the number of cells ({n_cells}), but {n_clusters} was passed."
                )
        self._order = canonical_order(matrix)[np.random.default_rng(self.random_state).permutation(n_cells)]
        matrix = reordered(matrix, self._order)
        is_representation = self._setup_args()["use_rep"] is not None
        self.recipe, self._matrix = Recipe.fit(matrix, names, source, **recipe, is_representation=is_representation)
        how: dict[str, Any] = {
            "kind": self.recipe.kind,
            "is_representation": is_representation,
            "random_state": self.random_state,
        }
        if with_views:
            self._views = input_views(matrix[:REFERENCE_CELLS], names, source, **how)
        if n_clusters is None:
            components = common_components(matrix[:REFERENCE_CELLS], names, source, **how)
            self.n_clusters, self.n_clusters_source = self._find_n_clusters(components), "stability"
        else:
            self.n_clusters, self.n_clusters_source = int(n_clusters), "user"

    @classmethod
    def setup_anndata(
        cls, adata: AnnData, layer: str | None = None, use_rep: str | None = None, **register_kwargs: Any
    ) -> None:
        """Say which matrix of `adata` the model reads.

        Parameters
        ----------
        adata
            Cells x genes. As with every scvi-tools model, identifiers are put into ``adata.uns``; nothing else changes.
        layer
            A key of ``adata.layers``; ``None`` is ``adata.X``. Non-negative whole numbers are taken as counts,
            non-negative reals as log-normalised (above 50: as expression not yet logged), other reals as scaled.
        use_rep
            A key of ``adata.obsm``, in place of genes: an embedding made before (``"X_pca"``, ``"X_scVI"``).
        **register_kwargs
            For scvi-tools itself, which passes ``source_registry``.

        Raises
        ------
        TypeError, ValueError
            If the matrix is missing, empty, or holds anything but finite numbers, or if gene names are duplicated.
        """
        read_matrix(adata, layer=layer, use_rep=use_rep, by_block=cls.reads_blocks)
        setup_args = cls._get_setup_method_args(cls=cls, adata=adata, layer=layer, use_rep=use_rep)
        field = (
            ObsmField(_X, use_rep, is_count_data=False, correct_data_format=False)
            if use_rep is not None
            else LayerField(_X, layer, is_count_data=False, correct_data_format=False)
        )
        manager = AnnDataManager(fields=[field], setup_method_args=setup_args)
        manager.register_fields(adata, **register_kwargs)
        cls.register_manager(manager)

    def _setup_args(self) -> dict[str, str | None]:
        return self.registry_["setup_args"]

    def _read(self, adata: AnnData) -> tuple[Matrix, np.ndarray, str]:
        return read_matrix(adata, **self._setup_args(), by_block=self.reads_blocks)

    @one_at_a_time
    def _find_n_clusters(self, components: np.ndarray) -> int:
        found = find_n_clusters(components, random_state=self.random_state)
        logger.info(
            "n_clusters: %d, the most stable and best separated number between the %d and %d communities that Leiden "
            "finds on %d cells. scclu.tl.choose_n_clusters shows the evidence.",
            found.k,
            *found.leiden_range,
            found.n_cells,
        )
        return found.k

    # -- results ------------------------------------------------------------------------------------------------------

    def _embed(self, matrix: Any, batch_size: int = 1024) -> np.ndarray:
        self.module.eval()
        return embed_cells(self.module.embed, matrix, self.module.device, batch_size)

    def _keep(
        self,
        module: Any,
        history: dict[str, np.ndarray],
        recorder: SnapshotRecorder,
        embedding: np.ndarray,
        labels: np.ndarray,
        centroids: np.ndarray,
        **attributes: Any,
    ) -> None:
        """Keep the results of training, given in its order, in the order of `adata`: all of them or none."""
        if len(centroids) < self.n_clusters:
            warnings.warn(
                f"{self.n_clusters - len(centroids)} of {self.n_clusters} clusters are empty: the data does not "
                "support that many. Pass a smaller n_clusters.",
                UserWarning,
                stacklevel=4,
            )
        module.centroids = torch.from_numpy(centroids).to(module.device)
        back = np.argsort(self._order)
        embedding, labels = embedding[back], labels[back]
        # one step, which no interrupt can divide
        self.__dict__.update(
            module=module,
            history_=history,
            snapshots_=recorder.finish(self._order, embedding, labels),
            _embedding=embedding,
            labels_=labels,
            is_trained_=True,
            **attributes,
        )

    def _checkpointing(
        self, checkpoint_dir: str | Path | None, parts: Mapping[str, Stateful], **training: Any
    ) -> AbstractContextManager[Checkpoint | None]:
        """A checkpoint of a training with these arguments (:func:`checkpointing`)."""
        run = {
            "model": type(self).__name__,
            "scclu": __version__,
            "data": "" if checkpoint_dir is None else data_digest(*self._training_data()),
            "settings": asdict(self.settings),
            "n_clusters": self.n_clusters,
            "random_state": int(self.random_state),
            # objects, such as callbacks, have no name that is the same in another process
            "training": {
                name: value
                for name, value in training.items()
                if isinstance(value, (str, int, float, type(None))) and not name.startswith("enable_")
            },
        }
        return checkpointing(checkpoint_dir, run, parts)

    def _training_data(self) -> tuple[Any, ...]:
        """Arrays and matrices that training follows from."""
        return (self._matrix,)

    def _extra_tensors(self) -> dict[str, torch.Tensor]:
        """What a model needs for new cells beside its module."""
        return {}

    def _restore(self, tensors: dict[str, torch.Tensor], n_cells: int) -> None:
        """Take back what :meth:`_extra_tensors` gave for so many training cells, before the module is built."""

    def _embed_training_cells(self, adata: AnnData) -> np.ndarray:
        """The embedding of the training cells of a loaded model."""
        return self.get_latent_representation(adata)

    def _check_trained(self) -> None:
        if not self.is_trained_:
            raise RuntimeError(f"This {type(self).__name__} is not trained yet. Call .train() first.")

    def get_latent_representation(self, adata: AnnData | None = None) -> np.ndarray:
        """The embedding that is clustered.

        Parameters
        ----------
        adata
            New cells, with the genes of the training cells (matched by name); ``None`` is the training cells.

        Returns
        -------
        ``(n_cells, n_dims)`` float32, in the order of the cells.

        Raises
        ------
        RuntimeError
            If the model is not trained, or was loaded without its cells and `adata` is ``None``.
        ValueError
            If genes are missing, or the values are of another kind than the training values.
        """
        self._check_trained()
        if adata is None:
            if self._embedding is None:
                raise RuntimeError(
                    "This model was loaded without its training cells. "
                    "Pass cells (adata=), or load with load(dir, adata)."
                )
            return self._embedding.copy()
        matrix, names, source = self._read(adata)
        return self._embed(self.recipe.transform(matrix, names, source))

    def predict(self, adata: AnnData | None = None, soft: bool = False) -> np.ndarray:
        """Clusters, or how much each cell belongs to each cluster.

        Training cells keep the clusters that training ended with; a new cell gets the cluster of its nearest centroid.

        Parameters
        ----------
        adata
            New cells, with the genes of the training cells (matched by name); ``None`` is the training cells.
        soft
            Return Student-t similarities to the centroids (Eq. 8 of the CICL paper) in place of clusters.

        Returns
        -------
        Integers ``(n_cells,)``, 0 the largest cluster; or ``(n_cells, n_clusters)`` float32 whose rows sum to one.

        Raises
        ------
        RuntimeError, ValueError
            As :meth:`get_latent_representation`.
        """
        self._check_trained()
        if adata is None and not soft and self.labels_ is not None:
            return self.labels_.copy()
        embedding = torch.from_numpy(self.get_latent_representation(adata)).to(self.module.device)
        similarity = student_t(embedding, self.module.centroids, self.module.dof)
        return (similarity if soft else similarity.argmax(1)).cpu().numpy()

    # -- files --------------------------------------------------------------------------------------------------------

    def save(self, dir_path: str | Path, *, overwrite: bool = False) -> None:
        """Save the trained model: weights as safetensors, the rest as JSON. The cells are not saved.

        Parameters
        ----------
        dir_path
            A folder; it is made if it is missing.
        overwrite
            Replace a model that is there.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        FileExistsError
            If there is a model and `overwrite` is ``False``.
        """
        self._check_trained()
        state = {
            "class": type(self).__name__,
            "init_params": self.init_params_["non_kwargs"] | {"n_clusters": self.n_clusters},
            "n_clusters_source": self.n_clusters_source,
            "setup_args": self._setup_args(),
            "recipe": {
                "kind": self.recipe.kind,
                "input_genes": self.recipe.input_genes.tolist(),
                "genes": self.recipe.genes.tolist(),
                "excluded": self.recipe.excluded.tolist(),
                "target_sum": self.recipe.target_sum,
                "max_value": self.recipe.max_value,
            },
            "history": self.history_,
        }
        tensors = {f"module.{name}": tensor for name, tensor in self.module.state_dict().items()}
        tensors |= {f"extra.{name}": tensor for name, tensor in self._extra_tensors().items()}
        tensors["moments"] = torch.tensor(self.recipe.moments)  # a copy: the module may share its memory
        tensors["labels"] = torch.from_numpy(self.labels_)
        write_model(Path(dir_path), state, tensors, overwrite=overwrite)

    @classmethod
    def load(
        cls,
        dir_path: str | Path,
        adata: AnnData | None = None,
        *,
        accelerator: str = "auto",
        device: int | str = "auto",
    ) -> Self:
        """Load a model that :meth:`save` wrote. No code in the files is run.

        Parameters
        ----------
        dir_path
            The folder.
        adata
            The training cells, for :meth:`predict` and :meth:`get_latent_representation` without arguments; ``None``
            loads a model for new cells.
        accelerator, device
            Where to put it, as in scvi-tools.

        Returns
        -------
        The trained model.

        Raises
        ------
        FileNotFoundError, ValueError
            If the folder holds no model, one of another class, or damaged files, or if `adata` has another number of
            cells than the model was trained on.
        """
        folder = Path(dir_path)
        state, tensors = read_model(folder, cls.__name__)
        with damage(folder):
            model, labels = cls._from_file(state, tensors)
        _, _, target = parse_device_args(
            accelerator=accelerator, devices=device, return_device="torch", validate_single_device=True
        )
        model.module.to(target)
        if adata is not None:
            if adata.n_obs != len(labels):
                raise ValueError(
                    f"The model was trained on {len(labels)} cells, but adata has {adata.n_obs}. "
                    "Load without adata, and pass new cells to predict(adata) or get_latent_representation(adata)."
                )
            model._embedding = model._embed_training_cells(adata)
            model.labels_ = labels
            model._adata = adata
        return model

    @classmethod
    def _from_file(cls, state: dict[str, Any], tensors: dict[str, torch.Tensor]) -> tuple[Self, np.ndarray]:
        """A trained model without cells, and the clusters of its training cells."""
        check_finite(tensors)
        labels = tensors.pop("labels").numpy()
        if labels.ndim != 1 or labels.dtype != np.int64:
            raise ValueError("labels are not one whole number a cell")
        weights = {name[len("module.") :]: value for name, value in tensors.items() if name.startswith("module.")}
        extra = {name[len("extra.") :]: value for name, value in tensors.items() if name.startswith("extra.")}
        recipe = state["recipe"]
        model = cls(None, registry={"setup_args": state["setup_args"], "field_registries": {}}, **state["init_params"])
        names = {name: np.array(recipe[name], dtype=object) for name in ("input_genes", "genes", "excluded")}
        model.recipe = Recipe(
            kind=recipe["kind"],
            target_sum=recipe["target_sum"],
            max_value=recipe["max_value"],
            moments=tensors.pop("moments").numpy(),
            **names,
        )
        model.n_clusters = check_number("n_clusters", state["init_params"]["n_clusters"], integer=True, low=2)
        model.n_clusters_source = state["n_clusters_source"]
        n_found = len(weights["centroids"])  # empty clusters have none
        if not 1 <= n_found <= model.n_clusters or not np.array_equal(np.unique(labels), np.arange(n_found)):
            raise ValueError(f"labels and {n_found} centroids do not fit {model.n_clusters} clusters")
        model._restore(extra, len(labels))
        # without memory of its own: the weights are those of the file, or it is refused
        with torch.device("meta"):
            model.module = model._new_module()
        model.module.centroids = model.module.centroids[:n_found]
        for name, tensor in model.module.state_dict().items():
            # torch 2.6 takes the first of several values for a scalar
            found = weights.get(name, tensor)
            if (found.dtype, found.shape) != (tensor.dtype, tensor.shape):
                raise ValueError(f"{name} is {found.dtype}, {found.shape}, not {tensor.dtype}, {tensor.shape}")
        model.module.load_state_dict(weights, assign=True)
        model.module.eval()
        model.history_ = {name: np.array(values) for name, values in state["history"].items()}
        model.is_trained_ = True
        return model, labels

    def _new_module(self) -> torch.nn.Module:
        """The network, with fresh weights."""
        raise NotImplementedError

    @classmethod
    def convert_legacy_save(cls, *_: Any, **__: Any) -> NoReturn:
        """Not for these models: it reads pickles, which can run any code."""
        raise NotImplementedError(f"{cls.__name__} reads no pickles. {cls.__name__}.load reads what save wrote.")

    load_registry = view_setup_args = convert_legacy_save


def cluster_means(embedding: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean of each cluster's cells, ``(n_clusters, n_dims)``."""
    return np.stack([embedding[labels == k].mean(axis=0) for k in range(int(labels.max()) + 1)])
