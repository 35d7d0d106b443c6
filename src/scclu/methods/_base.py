"""Base class of the clustering models: input validation, results, saving and loading."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anndata import AnnData

from scclu import __version__
from scclu._checks import check_number
from scclu._rng import child_seed
from scclu.cluster.core import tree_clusters
from scclu.cluster.head import LinearHead, head_of_cut
from scclu.cluster.representations import input_representations
from scclu.cluster.tree import MergeTree
from scclu.data.components import default_components
from scclu.data.matrix import Matrix, canonical_order, read_matrix, reordered, select_matrix
from scclu.data.recipe import Recipe
from scclu.methods._assignment import CentroidHead
from scclu.methods._batches import BatchMixin, read_batches
from scclu.methods._cells import CellDigests
from scclu.methods._checkpoints import Checkpoint, Stateful, checkpointing, data_digest
from scclu.methods._clusters import assigned, check_n_clusters, described, warn_about_sizes
from scclu.methods._description import DescriptionMixin
from scclu.methods._persistence import SaveMixin
from scclu.methods._scvi import BaseModelClass, register, registered_matrix
from scclu.methods._snapshots import SnapshotRecorder, Snapshots

logger = logging.getLogger(__name__)
# cells that are embedded at a time
EMBEDDING_BATCH = 1024


class ClusteringModel(BatchMixin, DescriptionMixin, SaveMixin, BaseModelClass):
    """Base of the clustering models.

    A subclass sets ``settings`` and ``module``, a network with a method ``embed`` and a ``head``, and calls
    :meth:`_keep` at the end of ``train``. The training cells are kept in an order that depends on their values alone,
    shuffled by the seed, so that a model does not depend on the order of the cells in `adata`.
    """

    settings: Any

    def __init__(
        self,
        adata: AnnData | None,
        n_clusters: int | None,
        *,
        recipe: Mapping[str, Any],
        random_state: int,
        registry: dict | None,
    ):
        super().__init__(adata, registry)
        self.history_: dict[str, np.ndarray] = {}
        self.snapshots_: Snapshots | None = None
        self.random_state = check_number("random_state", random_state, integer=True, low=0, below=2**32)
        self.labels_: np.ndarray | None = None
        self._matrix: Matrix = None
        # clusters, their tree and the fine clusters that it merges
        self.tree_: MergeTree | None = None
        self.fine_: np.ndarray | None = None
        # clusters of the input and their tree, in the order of training
        self._found: Any = None
        # in the order of `labels_`; None for a model of version 0.1.0
        self._cells: CellDigests | None = None
        self._embedding: np.ndarray | None = None
        if adata is None:
            return
        matrix, names, source = read = self._read(adata)
        check_n_clusters(n_clusters, matrix.shape[0], source)
        self._order = self._training_order(matrix)
        matrix = reordered(matrix, self._order)
        self._set_batches(adata, self._order)
        is_representation = registered_matrix(self)["use_rep"] is not None
        self.recipe, self._matrix = Recipe.fit(matrix, names, source, **recipe, is_representation=is_representation)
        self._cells = self._digests(adata, read)
        self._read_more(adata, None if is_representation else read)
        how: dict[str, Any] = {
            "kind": self.recipe.kind,
            "is_representation": is_representation,
            "random_state": self._seed("representations"),
        }
        if self.settings.uses_tree or n_clusters is None:
            logger.debug("Clustering %d cells by a tree of tested merges.", matrix.shape[0])
            self._found = tree_clusters(
                [self._without_batches(values) for values in input_representations(matrix, names, source, **how)],
                n_clusters,
                alpha=self.settings.alpha,
                min_cluster_size=self.settings.min_cluster_size,
                batches=self._batches,
                random_state=self._seed("tree"),
            )
        self.n_clusters_source = "tree" if n_clusters is None else "user"
        if n_clusters is None:
            n_clusters = int(self._found.labels.max()) + 1
            logger.info("%s (alpha=%g).", described(n_clusters), self.settings.alpha)
        self.n_clusters = int(n_clusters)

    def _choose_n_components(self, arguments: dict[str, Any]) -> None:
        """Set what the default preset has for this number of cells, in the arguments of the constructor as well."""
        if self._matrix is not None and arguments["preset"] == "default" and arguments["n_components"] is None:
            arguments["n_components"] = default_components(self._matrix.shape[0])
            self.settings = replace(self.settings, n_components=arguments["n_components"])

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        layer: str | None = None,
        use_rep: str | None = None,
        batch_key: str | None = None,
        **register_kwargs: Any,
    ) -> None:
        """Register the matrix of `adata` that the model reads.

        The values are read and checked when the model is created.

        Parameters
        ----------
        adata
            Cells x genes. Like all scvi-tools models, this writes identifiers to ``adata.uns``; nothing else changes.
        layer
            Key of ``adata.layers``; ``None`` (default) uses ``adata.X``. Non-negative whole numbers are treated as
            counts, other non-negative numbers as log-normalised (as expression without logarithm if some are above 50),
            and values of both signs as scaled.
        use_rep
            Key of ``adata.obsm`` with an embedding to use instead of genes (``"X_pca"``, ``"X_scVI"``); ``None``
            (default) uses genes.
        batch_key
            Column of ``adata.obs`` with the batch of each cell (sample, donor, protocol), whose effect is removed from
            the embedding and the clusters; ``None`` (default) corrects for nothing.
        **register_kwargs
            Arguments that scvi-tools passes internally (``source_registry``).

        Raises
        ------
        TypeError, ValueError
            If the matrix is missing, empty, or does not contain numbers, or if gene names are duplicated.
        """
        layer, use_rep = (None if name == "X" else name for name in (layer, use_rep))
        select_matrix(adata, layer=layer, use_rep=use_rep)
        if batch_key is not None:
            read_batches(adata, batch_key)
        register(cls, adata, layer=layer, use_rep=use_rep, batch_key=batch_key, **register_kwargs)

    def _seed(self, name: str) -> int:
        """Random seed of one step of the model, whose stream no other step uses."""
        return child_seed(self.random_state, name)

    def _read(self, adata: AnnData) -> tuple[Matrix, np.ndarray, str]:
        """Read and check the registered matrix of `adata` (:func:`read_matrix`); cells on disk stay there."""
        return read_matrix(adata, **registered_matrix(self), by_block=True)

    def _read_more(self, adata: AnnData, genes: tuple[Matrix, np.ndarray, str] | None) -> None:
        """Read and check what a subclass needs besides the matrix, before anything slow is computed.

        `genes` is what :meth:`_read` returned, unless the model reads an embedding.
        """

    def _digests(self, adata: AnnData, read: tuple[Matrix, np.ndarray, str]) -> CellDigests:
        """Digests of cells that were read from `adata`, by the genes that a new cell must have."""
        return CellDigests.of(*read[:2], self.recipe.required_genes, adata.obs_names)

    def _training_order(self, matrix: Matrix) -> np.ndarray:
        """Positions of the cells in `adata`, in the order of training, ``(n_cells,)``."""
        shuffled = np.random.default_rng(self._seed("order")).permutation(matrix.shape[0])
        return canonical_order(matrix)[shuffled]

    # -- training -----------------------------------------------------------------------------------------------------

    def _fit_head(self, embedding: np.ndarray) -> LinearHead:
        """Fit the head that assigns cells to the clusters of the tree by their embedding, in the order of training."""
        logger.debug("Assigning %d cells to %d clusters by their embedding.", len(embedding), self.n_clusters)
        return head_of_cut(embedding, self._found.tree, self._found.fine, self.n_clusters)

    def _keep(
        self,
        module: Any,
        history: dict[str, np.ndarray],
        recorder: SnapshotRecorder,
        embedding: np.ndarray,
        head: LinearHead | CentroidHead,
        **attributes: Any,
    ) -> None:
        """Store the results of training, which are in the order of training, in the order of `adata`."""
        labels = assigned(head, embedding).argmax(axis=1)
        if self.n_clusters_source == "user":
            warn_about_sizes(labels, self.n_clusters, self.settings.min_cluster_size)
        found = self._found if isinstance(head, LinearHead) else None
        module.head = head.to(module.device)
        back = np.argsort(self._order)
        embedding, labels = embedding[back], labels[back]
        # a single step, so that an interrupt leaves either all old results or all new ones
        self.__dict__.update(
            module=module,
            history_=history,
            snapshots_=recorder.finish(self._order, embedding, labels),
            tree_=None if found is None else found.tree,
            fine_=None if found is None else found.fine[back],
            _embedding=embedding,
            labels_=labels,
            is_trained_=True,
            **attributes,
        )

    def _checkpointing(
        self, checkpoint_dir: str | Path | None, parts: Mapping[str, Stateful], **training: Any
    ) -> AbstractContextManager[Checkpoint | None]:
        """Checkpoint of a training with these arguments (:func:`checkpointing`)."""
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
        """Arrays and matrices that determine the result of training."""
        return (self._matrix,) if self._batches is None else (self._matrix, self._batches)

    def _new_module(self) -> torch.nn.Module:
        """Create the network with initial weights."""
        raise NotImplementedError

    # -- results ------------------------------------------------------------------------------------------------------

    @property
    def embedding_id(self) -> str:
        """Identifier of the embedding (a digest of weights and genes), which differs between two trainings."""
        self._check_trained()
        weights = {name: tensor for name, tensor in self.module.state_dict().items() if not name.startswith("head.")}
        genes = "\n".join([type(self).__name__, *map(str, self.recipe.genes), *sorted(weights)])
        arrays = [weights[name].detach().cpu().numpy() for name in sorted(weights)]
        return data_digest(np.frombuffer(genes.encode(), dtype=np.uint8), *arrays)[:16]

    def _check_trained(self) -> None:
        if not self.is_trained:
            raise RuntimeError(f"This {type(self).__name__} is not trained yet. Call .train() first.")

    def _embed(self, matrix: Matrix, batches: np.ndarray | None, batch_size: int | None = None) -> np.ndarray:
        """Embed cells of known batches that :attr:`recipe` has transformed."""
        raise NotImplementedError

    def _embed_training_cells(self, adata: AnnData, saved_at: np.ndarray) -> np.ndarray:
        """Embed the training cells of a loaded model, which are at the positions `saved_at` of its file."""
        return self.get_latent_representation(adata)

    def get_latent_representation(
        self,
        adata: AnnData | None = None,
        indices: Sequence[int] | None = None,
        batch_size: int | None = None,
        transform_batch: str | None = None,
    ) -> np.ndarray:
        """Embedding of cells, as used for clustering.

        Parameters
        ----------
        adata
            New cells with the genes of the training cells, matched by name; ``None`` (default) uses the training cells.
        indices
            Positions of the cells to return, or a boolean mask, for training cells and for `adata`; ``None`` (default)
            returns all cells.
        batch_size
            Number of new cells that are embedded at a time, which limits the memory; ``None`` (default) is 1,024, or
            the batch size of training for ``attention="batch"``.
        transform_batch
            Batch of the training cells as whose cells new cells are corrected; ``None`` (default) reads the batch of
            each new cell in ``adata.obs``. For a model that was set up with `batch_key`.

        Returns
        -------
        ``(n_cells, n_dims)`` float32, in the order of the cells.

        Raises
        ------
        RuntimeError
            If the model is not trained, or was loaded without its cells and `adata` is ``None``.
        ValueError
            If genes are missing, the values are of another kind than the training values, or cells are of a batch that
            the training cells do not have.
        """
        self._check_trained()
        if batch_size is not None:
            check_number("batch_size", batch_size, integer=True, low=1)
        if adata is None:
            if self._embedding is None:
                raise RuntimeError(
                    "This model was loaded without its training cells. "
                    "Pass cells (adata=), or load with load(dir, adata)."
                )
            return self._embedding.copy() if indices is None else self._embedding[np.asarray(indices)]
        matrix, names, source = self._read(adata)
        batches = self._new_batches(adata, transform_batch)
        if indices is not None:
            rows = np.arange(matrix.shape[0])[np.asarray(indices)]
            matrix, batches = matrix[rows], None if batches is None else batches[rows]
        return self._embed(self.recipe.transform(matrix, names, source), batches, batch_size)

    def predict(self, adata: AnnData | None = None, soft: bool = False) -> np.ndarray:
        """Clusters of cells, or similarities of cells to clusters.

        One rule assigns training cells and new cells: a linear classifier of the embedding (Student-t similarity to
        centroids, Eq. 8-9 of the CICL paper, in the presets of the papers).

        Parameters
        ----------
        adata
            New cells with the genes of the training cells, matched by name; ``None`` (default) uses the training cells.
        soft
            Return probabilities of the clusters instead; the largest of a row is that of the cell's cluster. Default
            ``False``.

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
        probability = assigned(self.module.head, self.get_latent_representation(adata))
        return probability if soft else probability.argmax(axis=1)
