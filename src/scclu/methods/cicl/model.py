"""The CICL model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from anndata import AnnData

from scclu._checks import check_choice, check_number, check_training
from scclu._process import known_warnings_ignored
from scclu.cluster.head import LinearHead
from scclu.cluster.kmeans import kmeans
from scclu.data.matrix import Matrix, reordered
from scclu.data.tensors import embed_cells
from scclu.methods._assignment import CentroidHead
from scclu.methods._base import EMBEDDING_BATCH, ClusteringModel
from scclu.methods._batches import corrected
from scclu.methods._clusters import assigned, kmeans_head
from scclu.methods._randomness import SeededInitialisation
from scclu.methods._scvi import init_params
from scclu.methods._snapshots import SnapshotRecorder
from scclu.methods._trainer import fit
from scclu.methods.cicl.batches import CellBatches
from scclu.methods.cicl.encoder import Attention
from scclu.methods.cicl.final import fit_components
from scclu.methods.cicl.module import MODULE_SETTINGS, CICLModule
from scclu.methods.cicl.plan import CentroidRefresh, CICLPlan
from scclu.methods.cicl.settings import PRESETS, CICLSettings

logger = logging.getLogger(__name__)

# cells that components and K-means are fitted to, if there are more
_REFERENCE_CELLS = 20_000


class CICL(ClusteringModel):
    """Cluster-aware iterative contrastive learning.

    A transformer encoder is trained so that the embeddings of two augmented views of a cell are similar (Eq. 12), and
    those of cells with the same pseudo-label more similar than others (Eq. 15). Pseudo-labels come from K-means on the
    embedding and are refreshed during training. After training, the embedding is clustered. No labels are used.

    Parameters
    ----------
    adata
        AnnData after :meth:`setup_anndata`.
    n_clusters
        Number of clusters K; ``None`` uses the number of clusters that are distinct by tests.
    preset
        Preset that provides defaults for all settings below that are ``None``: ``"default"`` or ``"paper"``.
    n_top_genes
        Number t of highly variable genes; all genes are used if there are fewer. Default 2000; paper 500.
    n_layers, n_heads, n_hidden
        Numbers of encoder layers and attention heads, and width of the layers. Default 2, 2, 128; paper 4, 2, 1024.
    attention
        ``"cell"`` attends within each cell, so that its embedding does not depend on other cells. ``"batch"`` attends
        across the cells of a minibatch (Eq. 3-4), so that it does. Default ``"cell"``; paper ``"batch"``.
    mask_rate
        Fraction of genes that are masked in an augmented view, in [0, 1). Default 0.8; paper 0.0.
    noise_scale
        Largest noise that is added to z-scored expression, >= 0. Default 0.0; paper 1.0.
    temperature
        T of Eq. 12 and 15, > 0. Default 0.3; paper 0.5.
    cluster_weight
        lambda of Eq. 17, >= 0; 0 disables the cluster-aware loss. Default 1.0; paper 0.1.
    dof
        alpha of Eq. 8, > 0. Default 1.0; paper 1.0.
    pseudo_labels
        Where pseudo-labels come from: ``"tree"``, the distinct clusters of the input, or ``"kmeans"`` on H. Default
        ``"tree"``; paper ``"kmeans"``.
    centroid_refresh
        When K-means recomputes pseudo-labels: ``"epoch"`` uses all cells at each epoch (20,000 of them if there are
        more), ``"minibatch"`` the cells of each minibatch. Default ``"epoch"``; paper ``"minibatch"``.
    n_components
        The embedding consists of this number of principal components of the encoder's output and as many of its input;
        0 uses the encoder's output H itself. Default 30; paper 0. For more than 20,000 cells, the default is 50.
    cluster_method
        Final clustering: ``"tree"``, a tree of tested merges (:doc:`/clustering`), or ``"kmeans"``. Default ``"tree"``;
        paper ``"kmeans"``.
    alpha
        Level of the tests that decide which clusters are distinct, in [0, 1]; smaller values give fewer clusters. It
        has an effect if `n_clusters` is ``None``. Default 0.05; paper 0.05.
    min_cluster_size
        If `n_clusters` is ``None``, no cluster has fewer cells. If it is given, a warning names smaller clusters.
        Default 10; paper 10.
    random_state
        Random seed; the global random states of numpy and torch are neither used nor changed.

    Raises
    ------
    TypeError, ValueError
        If a setting or the data is not what it must be; the message says what was passed and what is allowed.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.model.CICL.setup_anndata(adata)
    >>> model = scclu.model.CICL(adata, n_clusters=10)
    >>> model.train(max_epochs=2)
    >>> model.get_latent_representation().shape
    (700, 60)
    >>> model.predict(soft=True).shape
    (700, 10)

    References
    ----------
    Jiang et al., scRNA-seq Data Clustering by Cluster-aware Iterative Contrastive Learning.
    """

    _centroid_method = "kmeans"

    def __init__(
        self,
        adata: AnnData | None = None,
        n_clusters: int | None = None,
        *,
        preset: Literal["default", "paper"] = "default",
        n_top_genes: int | None = None,
        n_layers: int | None = None,
        n_heads: int | None = None,
        n_hidden: int | None = None,
        attention: Attention | None = None,
        mask_rate: float | None = None,
        noise_scale: float | None = None,
        temperature: float | None = None,
        cluster_weight: float | None = None,
        dof: float | None = None,
        pseudo_labels: Literal["tree", "kmeans"] | None = None,
        centroid_refresh: CentroidRefresh | None = None,
        n_components: int | None = None,
        cluster_method: Literal["tree", "kmeans"] | None = None,
        alpha: float | None = None,
        min_cluster_size: int | None = None,
        random_state: int = 0,
        registry: dict | None = None,
    ):
        arguments = locals()
        check_choice("preset", preset, PRESETS)
        values = asdict(PRESETS[preset])
        values |= {name: arguments[name] for name in values if arguments.get(name) is not None}
        self.settings = CICLSettings(**values)
        super().__init__(
            adata,
            n_clusters,
            recipe={
                name: values[name] for name in ("n_top_genes", "min_cells", "max_library", "max_share", "max_value")
            },
            random_state=random_state,
            registry=registry,
        )
        self._choose_n_components(arguments)
        self.init_params_ = init_params(self, arguments)
        if adata is not None:
            self.module = self._new_module()

    @property
    def dof(self) -> float:
        """Alpha of Eq. 8."""
        return self.settings.dof

    def _new_module(self) -> CICLModule:
        settings = self.settings
        with SeededInitialisation(self._seed("weights")):
            return CICLModule(
                torch.from_numpy(self.recipe.moments),
                self.n_clusters,
                **{name: getattr(settings, name) for name in MODULE_SETTINGS},
                max_value=self.recipe.max_value,
                linear_head=settings.cluster_method == "tree",
                augmentation_seed=self._seed("augmentation"),
            )

    @known_warnings_ignored.held()
    def train(
        self,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        *,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        strategy: str = "auto",
        num_nodes: int = 1,
        precision: str = "auto",
        n_snapshots: int = 0,
        checkpoint_dir: str | Path | None = None,
        **trainer_kwargs: Any,
    ) -> None:
        """Train, then cluster the embedding.

        Parameters
        ----------
        max_epochs
            Number of passes over the cells; a pass of more than 100 minibatches counts as several epochs. ``None`` uses
            the preset's value: the epochs that 150 steps take (60 to 150 steps below 4,000 cells), or 1000 (paper).
        batch_size
            Number of cells in a minibatch, over all devices; ``None`` uses the preset's value, 256 (paper: 6000).
        accelerator, devices
            As in scvi-tools.
        strategy, num_nodes
            Passed to Lightning, for several devices: ``devices=2, strategy="ddp"`` divides each minibatch between two
            devices and gives the result of one device up to rounding. ``docs/scaling.md`` shows how to start it.
        precision
            Passed to Lightning. ``"auto"`` uses bfloat16 autocast where the hardware supports it natively, and float32
            elsewhere. Losses, K-means and results are always float32.
        n_snapshots
            Number of snapshots of embedding and clusters to store in ``snapshots_``
            (:class:`~scclu.model.Snapshots`): 0, or at least 2 (before training, after it, and at evenly spaced
            epochs). Each clusters all cells. Snapshots do not change the results, and :meth:`save` leaves them out.
        checkpoint_dir
            Directory for checkpoints that allow training to resume. The same call on the same cells, also in another
            process, resumes at the last saved epoch and gives the same result. Saving takes at most a twentieth of the
            time. The files are removed when training ends. Runs with other cells, settings or seeds may share the
            directory. The state of user-defined callbacks is not saved.
        **trainer_kwargs
            Passed to :class:`scvi.train.Trainer`, such as ``enable_progress_bar=False``.

        Raises
        ------
        RuntimeError
            If the model was loaded from a file without its training cells.
        ValueError
            If ``attention="batch"`` is combined with several devices.
        KeyboardInterrupt
            If the user interrupts training; the model is left unchanged.
        """
        check_training(self._matrix, batch_size=batch_size, max_epochs=max_epochs, n_snapshots=n_snapshots)
        self.settings.check_devices(devices, strategy, num_nodes)
        batch_size = batch_size or self.settings.batch_size
        labels = self._found.distinct() if self.settings.pseudo_labels == "tree" else None
        data = CellBatches(self._matrix, batch_size, self._seed("batches"), labels)
        steps_per_epoch = len(data.sampler)
        if max_epochs is None:
            max_epochs = self.settings.n_epochs(self._matrix.shape[0], steps_per_epoch)
        module = self._new_module()  # the old network is kept until training succeeds
        plan = self._plan(module, batch_size, max_epochs * steps_per_epoch)
        numbers = *self._matrix.shape, max_epochs, steps_per_epoch, batch_size
        logger.debug("Training on %d cells x %d genes: %d epochs of %d minibatches of up to %d cells.", *numbers)
        recorder = SnapshotRecorder(n_snapshots, max_epochs, partial(self._snapshot, module, batch_size))
        checkpoint_of = self._checkpointing(
            checkpoint_dir,
            {"module": module, "batches": data, "augmentation": module.augmentation, "snapshots": recorder},
            max_epochs=max_epochs,
            batch_size=batch_size,
            precision=precision,
            n_snapshots=n_snapshots,
            **trainer_kwargs,
        )
        with checkpoint_of as checkpoint:
            fit(
                plan,
                data,
                max_epochs=max_epochs,
                accelerator=accelerator,
                devices=devices,
                strategy=strategy,
                num_nodes=num_nodes,
                precision=precision,
                checkpoint=checkpoint,
                callbacks=[recorder, *trainer_kwargs.pop("callbacks", ())],
                **trainer_kwargs,
            )
            with torch.inference_mode():
                self._fit_embedding(module.eval(), batch_size)
            history = {name: np.array(values) for name, values in plan.history.items()}
            embedding = self._embed_with(module, module.embed, self._matrix, batch_size)
            correction = self._fit_correction(embedding)
            embedding = corrected(embedding, self._batches, correction)
            head = self._head(embedding, module)
            self._keep(module, history, recorder, embedding, head, _batch_size=batch_size, _correction=correction)

    def _embed_with(
        self, module: CICLModule, encode: Callable[[torch.Tensor], torch.Tensor], matrix: Matrix, batch_size: int
    ) -> np.ndarray:
        """Embed cells; those that attend to each other in batches of the size that the network was trained with."""
        if self.settings.attention == "batch":
            return embed_cells(encode, matrix, module.device, batch_size, equal_batches=True)
        return embed_cells(encode, matrix, module.device, EMBEDDING_BATCH)

    def _embed(self, matrix: Matrix, batches: np.ndarray | None, batch_size: int | None = None) -> np.ndarray:
        module = self.module.eval()
        if self.settings.attention == "batch":
            embedding = self._embed_with(module, module.embed, matrix, batch_size or self._batch_size)
        else:
            embedding = embed_cells(module.embed, matrix, module.device, batch_size or EMBEDDING_BATCH)
        return corrected(embedding, batches, self._correction)

    def _extra_state(self) -> dict[str, Any]:
        return {"batch_size": self._batch_size}

    def _restore_state(self, state: Mapping[str, Any]) -> None:
        batch_size = state.get("batch_size", self.settings.batch_size)
        self._batch_size = check_number("batch_size", batch_size, integer=True, low=1)

    def _embed_training_cells(self, adata: AnnData, saved_at: np.ndarray) -> np.ndarray:
        matrix, names, source = self._read(adata)
        order = self._training_order(matrix)  # so that cells attend to each other as they did after training
        batches = self._new_batches(adata, None)
        matrix = self.recipe.transform(reordered(matrix, order), names, source)
        embedding = self._embed(matrix, None if batches is None else batches[order])
        return embedding[np.argsort(order)]

    def _fit_embedding(self, module: CICLModule, batch_size: int) -> None:
        if module.joint is not None:
            reference = self._matrix[:_REFERENCE_CELLS]
            hidden = torch.from_numpy(self._embed_with(module, module.encode, reference, batch_size))
            fit_components(module, self._matrix, hidden, self._seed("components"))

    def _head(self, embedding: np.ndarray, module: CICLModule) -> LinearHead | CentroidHead:
        """Head of the final clusters of an embedding, in the order of training."""
        if self.settings.cluster_method == "tree":
            return self._fit_head(embedding)
        logger.debug("Clustering %d cells by K-means.", len(embedding))
        return kmeans_head(embedding, self.n_clusters, dof=module.dof, random_state=self._seed("clusters"))

    def _snapshot(self, module: CICLModule, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        self._fit_embedding(module, batch_size)
        embedding = self._without_batches(self._embed_with(module, module.embed, self._matrix, batch_size))
        return embedding, assigned(self._head(embedding, module), embedding).argmax(axis=1)

    def _plan(self, module: CICLModule, batch_size: int, n_steps: int) -> CICLPlan:
        # the cells are in random order, so the first ones are a random sample
        reference, seed = self._matrix[:_REFERENCE_CELLS], self._seed("pseudo-labels")

        def cluster(hidden: np.ndarray, last: np.ndarray | None) -> np.ndarray:
            return kmeans(hidden, self.n_clusters, random_state=seed, init=last, n_init=3, max_iter=50)[1]

        def refresh(last: np.ndarray | None) -> np.ndarray:
            return cluster(self._embed_with(module, module.encode, reference, batch_size), last)

        return CICLPlan(
            module,
            refresh=refresh,
            cluster=cluster,
            n_steps=n_steps,
            lr=self.settings.lr,
            weight_decay=self.settings.weight_decay,
            one_cycle=self.settings.one_cycle,
            centroid_refresh=self.settings.centroid_refresh if self.settings.pseudo_labels == "kmeans" else None,
        )
