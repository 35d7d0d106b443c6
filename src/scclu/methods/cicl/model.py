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
from scclu.cluster.final import REFERENCE_CELLS, partition
from scclu.cluster.kmeans import kmeans
from scclu.cluster.representations import diffused
from scclu.data.matrix import Matrix
from scclu.data.tensors import batch_tensor, embed_cells
from scclu.methods._base import EMBEDDING_BATCH, ClusteringModel, cluster_means
from scclu.methods._randomness import SeededInitialisation
from scclu.methods._scvi import init_params
from scclu.methods._snapshots import SnapshotRecorder
from scclu.methods._trainer import fit
from scclu.methods.cicl.batches import CellBatches
from scclu.methods.cicl.encoder import Attention
from scclu.methods.cicl.module import CICLModule
from scclu.methods.cicl.plan import CentroidRefresh, CICLPlan
from scclu.methods.cicl.settings import PRESETS, CICLSettings

logger = logging.getLogger(__name__)


class CICL(ClusteringModel):
    """Cluster-aware iterative contrastive learning.

    A transformer encoder is trained so that two random views of a cell are close (Eq. 12), and cells of the same
    pseudo-label closer than others (Eq. 15); pseudo-labels come from K-means on the embedding and are refreshed as it
    improves. At the end the embedding is clustered. No label is used anywhere.

    Parameters
    ----------
    adata
        AnnData after :meth:`setup_anndata`.
    n_clusters
        K; ``None`` finds it from the data, as :func:`scclu.tl.choose_n_clusters` does.
    preset
        ``"default"``, or ``"paper"`` for the paper's settings; each parameter below that is ``None`` is the preset's.
    n_top_genes
        t: highly variable genes that are used. A number above that of the genes uses all.
    n_layers, n_heads, n_hidden
        Encoder layers, attention heads, and width of the layers.
    attention
        ``"cell"``: each cell by itself, so that its embedding never depends on others. ``"batch"``: across the cells of
        a minibatch (Eq. 3-4); then the embedding of a cell depends on the cells that are embedded with it.
    mask_rate
        Share of the genes that a view masks, in [0, 1).
    noise_scale
        Largest noise that is added to z-scored expression, >= 0.
    temperature
        T of Eq. 12 and 15, > 0.
    cluster_weight
        lambda of Eq. 17, >= 0; 0 leaves the cluster-aware loss out.
    dof
        alpha of Eq. 8, > 0.
    centroid_refresh
        ``"epoch"`` finds the centroids anew on all cells at each epoch (on 20,000 of them where there are more);
        ``"minibatch"`` on each minibatch, as in the paper.
    n_components
        The embedding is as many principal components of the encoder's output beside as many of its input; 0 is the
        encoder's output H itself, as in the paper.
    cluster_method
        How the embedding is clustered at the end: ``"consensus"`` of Gaussian mixtures and K-means, or
        ``"kmeans"`` as in the paper.
    random_state
        Seed of everything random; the global state of numpy and torch is neither used nor changed.

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
    (700, 40)
    >>> model.predict(soft=True).shape
    (700, 10)

    References
    ----------
    Jiang et al., scRNA-seq Data Clustering by Cluster-aware Iterative Contrastive Learning.
    """

    reads_blocks = True

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
        centroid_refresh: CentroidRefresh | None = None,
        n_components: int | None = None,
        cluster_method: str | None = None,
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
            with_representations=values["cluster_method"] == "consensus",
            random_state=random_state,
            registry=registry,
        )
        if self._representations:
            # the joint embedding holds the second recipe's components already
            plain, capped = self._representations
            self._representations = (plain, diffused(plain), diffused(capped))
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
                n_layers=settings.n_layers,
                n_heads=settings.n_heads,
                n_hidden=settings.n_hidden,
                attention=settings.attention,
                mask_rate=settings.mask_rate,
                noise_scale=settings.noise_scale,
                temperature=settings.temperature,
                cluster_weight=settings.cluster_weight,
                dof=settings.dof,
                n_components=settings.n_components,
                max_value=self.recipe.max_value,
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
            Passes over the cells; a pass of more than 100 minibatches counts as several epochs. ``None`` is the
            preset's: for the default as many epochs as make 150 steps (60 to 150 below 4,000 cells).
        batch_size
            Cells in a minibatch, over all devices; ``None`` is the preset's.
        accelerator, devices
            As in scvi-tools.
        strategy, num_nodes
            Of Lightning, for several devices: ``devices=2, strategy="ddp"`` divides each minibatch among two, and gives
            the result of one device but for rounding. ``docs/scaling.md`` says how to start such a program.
        precision
            ``"auto"``: bfloat16 autocast where the hardware is fast at it, else float32; or a precision of Lightning's.
            Losses, K-means and results are float32 in any case.
        n_snapshots
            Keep embedding and clusters before training, after it, and at epochs evenly spread between, in
            ``snapshots_`` (:class:`~scclu.model.Snapshots`): as many in all, which is 0 or at least 2. Each costs
            a clustering of all cells.
            Results are the same with any number; :meth:`save` leaves snapshots out.
        checkpoint_dir
            A folder for what a stopped training goes on from: the same call on the same cells, also in another process,
            takes it up at the last epoch that was saved and ends with the same result. Saving takes at most a
            twentieth of the time. The files are removed when training ends; trainings with other cells,
            settings or seeds do not touch them and may share the folder. Callbacks of yours start anew.
        **trainer_kwargs
            For :class:`scvi.train.Trainer`, such as ``enable_progress_bar=False``.

        Raises
        ------
        RuntimeError
            If the model was loaded from a file without its cells.
        ValueError
            If cells that attend to each other are to be divided among devices.
        KeyboardInterrupt
            If the user interrupts; the model is then what it was before.
        """
        check_training(self._matrix, batch_size=batch_size, max_epochs=max_epochs, n_snapshots=n_snapshots)
        single = devices in (1, "1", "auto") or (isinstance(devices, list) and len(devices) == 1)
        if self.settings.attention == "batch" and not (single and strategy == "auto" and num_nodes == 1):
            raise ValueError(
                'attention="batch" lets the cells of a minibatch attend to each other, so they cannot be divided among '
                f"devices, but devices={devices!r}, strategy={strategy!r} and num_nodes={num_nodes} were passed. "
                'Use one device, or attention="cell".'
            )
        if batch_size is None:
            batch_size = self.settings.batch_size
        n_cells, n_genes = self._matrix.shape
        data = CellBatches(self._matrix, batch_size, self._seed("batches"))
        steps_per_epoch = len(data.sampler)
        if max_epochs is None:
            max_epochs = self.settings.n_epochs(n_cells, steps_per_epoch)
        module = self._new_module()  # training again starts again; the old network stays until the new one is ready
        plan = self._plan(module, batch_size, max_epochs * steps_per_epoch)
        logger.info(
            "Training CICL on %d cells x %d genes: %d epochs of %d minibatches of up to %d cells.",
            n_cells,
            n_genes,
            max_epochs,
            steps_per_epoch,
            batch_size,
        )
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
                self._fit_embedding(module.eval())
            history = {name: np.array(values) for name, values in plan.history.items()}
            embedding = self._embed_with(module, module.embed, self._matrix, batch_size)
            labels = self._cluster(embedding, module)
            centroids = cluster_means(embedding, labels)
            self._keep(module, history, recorder, embedding, labels, centroids, _batch_size=batch_size)

    def _embed_with(
        self, module: CICLModule, encode: Callable[[torch.Tensor], torch.Tensor], matrix: Matrix, batch_size: int
    ) -> np.ndarray:
        """Embed cells; those that attend to each other in batches of the size that the network was trained with."""
        if self.settings.attention == "batch":
            return embed_cells(encode, matrix, module.device, batch_size, equal_batches=True)
        return embed_cells(encode, matrix, module.device, EMBEDDING_BATCH)

    def _embed(self, matrix: Matrix, batch_size: int | None = None) -> np.ndarray:
        module = self.module.eval()
        if self.settings.attention == "batch":
            return self._embed_with(module, module.embed, matrix, batch_size or self._batch_size)
        return super()._embed(matrix, batch_size)

    def _extra_state(self) -> dict[str, Any]:
        return {"batch_size": self._batch_size}

    def _restore_state(self, state: Mapping[str, Any]) -> None:
        batch_size = state.get("batch_size", self.settings.batch_size)
        self._batch_size = check_number("batch_size", batch_size, integer=True, low=1)

    def _fit_embedding(self, module: CICLModule) -> None:
        reference = batch_tensor(self._matrix, slice(REFERENCE_CELLS)).to(module.device)
        module.fit_embedding(reference, self._seed("components"))

    def _cluster(self, embedding: np.ndarray, module: CICLModule) -> np.ndarray:
        logger.info("Clustering the embedding of %d cells (%s).", len(embedding), self.settings.cluster_method)
        n_hidden = None if module.joint is None else module.joint.n_components[0]
        return partition(
            embedding,
            self.n_clusters,
            method=self.settings.cluster_method,
            random_state=self._seed("clusters"),
            n_hidden=n_hidden,
            others=self._representations,
        )

    def _snapshot(self, module: CICLModule, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        self._fit_embedding(module)
        embedding = self._embed_with(module, module.embed, self._matrix, batch_size)
        return embedding, self._cluster(embedding, module)

    def _plan(self, module: CICLModule, batch_size: int, n_steps: int) -> CICLPlan:
        # the cells are in random order, so the first ones are a random sample
        reference, seed = self._matrix[:REFERENCE_CELLS], self._seed("pseudo-labels")

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
            centroid_refresh=self.settings.centroid_refresh,
        )
