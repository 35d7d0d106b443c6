"""The scSiameseClu model."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from anndata import AnnData

from scclu._checks import check_choice, check_training
from scclu._process import known_warnings_ignored
from scclu._rng import child_seed
from scclu.cluster.head import LinearHead
from scclu.data.components import FeatureProjection, fit_projection, make_projection, project
from scclu.data.counts import Counts
from scclu.data.matrix import Matrix
from scclu.graph.knn import pearson_knn
from scclu.methods._assignment import CentroidHead
from scclu.methods._base import ClusteringModel
from scclu.methods._batches import corrected
from scclu.methods._randomness import SeededInitialisation
from scclu.methods._scvi import init_params, setup_args
from scclu.methods._snapshots import SnapshotRecorder
from scclu.methods._trainer import fit
from scclu.methods.scsiameseclu.batches import EPOCH_STEPS, make_batches
from scclu.methods.scsiameseclu.files import ScSiameseCluFiles
from scclu.methods.scsiameseclu.final import assignment_head, fit_embedding
from scclu.methods.scsiameseclu.graph import GraphOperators, ReferenceGraph
from scclu.methods.scsiameseclu.inputs import read_graph, read_training_counts
from scclu.methods.scsiameseclu.module import MODULE_SETTINGS, ScSiameseCluModule
from scclu.methods.scsiameseclu.phases import run_phases
from scclu.methods.scsiameseclu.refresh import JointRefresh, embed_whole, make_refresh
from scclu.methods.scsiameseclu.settings import PRESETS, ScSiameseCluSettings

logger = logging.getLogger(__name__)

# relative error of the diffusion of Eq. 3
_TOLERANCE = 1e-2


class ScSiameseClu(ScSiameseCluFiles, ClusteringModel):
    """Siamese clustering of expression and of the cells' graph.

    Two augmented views of each cell (Eq. 1-3) are embedded by autoencoders of expression and of the neighbour graph.
    Correlation losses keep the embeddings from collapsing (Eq. 4-5); the embeddings are fused (Eq. 6-7) and clustered
    by optimal transport (Eq. 10-13). Training has three phases: expression, graph and joint (Eq. 14). No labels are
    used, and no dense matrix of cells x cells is allocated.

    Parameters
    ----------
    adata
        AnnData after :meth:`setup_anndata`.
    n_clusters
        Number of clusters K; ``None`` uses the number of clusters that are distinct by tests.
    preset
        Preset that provides defaults for all settings below that are ``None``: ``"default"`` or ``"paper"``.
    n_top_genes
        Number of highly variable genes; all genes are used if there are fewer. Default 2000; paper 2000.
    n_components
        Number of principal components: features of a cell, which are part of the embedding with
        ``cluster_method="tree"``, and space of the neighbour search. Default 30; paper 100. For more than 20,000 cells,
        the default is 50.
    n_neighbors
        Number of neighbours by Pearson correlation, at most a third of the cells. Default 7; paper 15.
    n_latent
        Width d of the fused embedding. Default 15; paper 20.
    gene_hidden, graph_hidden
        Hidden widths of the encoders, first to last. Default (128, 256, 512), (128, 256); paper (128, 256, 512), (128,
        256). The decoders mirror them.
    shared_weights
        Whether both views pass the same autoencoders instead of one of each kind per view. Default True; paper False.
    edge_drop
        Fraction of edges that are removed from the graph of the first view (Eq. 2), in [0, 1). Default 0.1; paper 0.1.
    teleport
        Teleport probability alpha of Eq. 3, in (0, 1]. Default 0.2; paper 0.2.
    noise_scale
        Standard deviation of the noise of Eq. 1, >= 0. Default 0.1; paper 0.1.
    correlation_weight, reconstruction_weight
        Weights of Eq. 4-5 and L_REC; 0 disables a loss, here and below. Default 0.1, 0.0; paper 1.0, 1.0.
    propagation_weight, zinb_weight, ot_weight
        gamma of Eq. 9, rho and sigma of Eq. 14. Default 1.0, 0.1, 0.3; paper 1000.0, 0.1, 100.0.
    sharpness
        lambda of Eq. 11, > 0. Default 5.0; paper 5.0.
    cluster_method
        Final clustering: ``"tree"``, a tree of tested merges (:doc:`/clustering`), or ``"assignment"``, the most
        probable cluster under Q. Default ``"tree"``; paper ``"assignment"``.
    alpha
        Level of the tests that decide which clusters are distinct, in [0, 1]; smaller values give fewer clusters. It
        has an effect if `n_clusters` is ``None``. Default 0.05; paper 0.05.
    min_cluster_size
        If `n_clusters` is ``None``, no cluster has fewer cells. If it is given, a warning names smaller clusters.
        Default 10; paper 10.
    counts_layer
        Key of ``adata.layers`` with raw counts for ZINB; ``None`` uses ``layers["counts"]``, else ``X`` or the
        registered layer if it contains counts.
    neighbors_key
        Key of ``adata.uns``, as written by :func:`scanpy.pp.neighbors`, of a graph to use instead of the Pearson graph.
        Its edges are used as undirected and unweighted.
    random_state
        Random seed; the global random states of numpy and torch are neither used nor changed.

    Raises
    ------
    TypeError, ValueError
        If a setting or the data is not what it must be; the message says what was passed and what is allowed.

    Examples
    --------
    >>> adata = scclu.datasets.pbmc68k_reduced()
    >>> scclu.model.ScSiameseClu.setup_anndata(adata)
    >>> model = scclu.model.ScSiameseClu(adata, n_clusters=10)
    >>> model.train(max_epochs=2)
    >>> model.get_latent_representation().shape
    (700, 45)

    References
    ----------
    Xu et al., scSiameseClu: A Siamese Clustering Framework for Interpreting Single-cell RNA Sequencing Data.
    """

    def __init__(
        self,
        adata: AnnData | None = None,
        n_clusters: int | None = None,
        *,
        preset: Literal["default", "paper"] = "default",
        n_top_genes: int | None = None,
        n_components: int | None = None,
        n_neighbors: int | None = None,
        n_latent: int | None = None,
        gene_hidden: Sequence[int] | None = None,
        graph_hidden: Sequence[int] | None = None,
        shared_weights: bool | None = None,
        edge_drop: float | None = None,
        teleport: float | None = None,
        noise_scale: float | None = None,
        correlation_weight: float | None = None,
        reconstruction_weight: float | None = None,
        propagation_weight: float | None = None,
        zinb_weight: float | None = None,
        ot_weight: float | None = None,
        sharpness: float | None = None,
        cluster_method: Literal["tree", "assignment"] | None = None,
        alpha: float | None = None,
        min_cluster_size: int | None = None,
        counts_layer: str | None = None,
        neighbors_key: str | None = None,
        random_state: int = 0,
        registry: dict | None = None,
    ):
        arguments = locals()
        check_choice("preset", preset, PRESETS)
        values = asdict(PRESETS[preset])
        values |= {name: arguments[name] for name in values if arguments.get(name) is not None}
        self.settings = ScSiameseCluSettings(**values)
        self._counts_layer, self._neighbors_key = counts_layer, neighbors_key
        self._counts: Counts | None = None
        self._n_counts = 0
        super().__init__(
            adata,
            n_clusters,
            recipe={"n_top_genes": self.settings.n_top_genes},
            random_state=random_state,
            registry=registry,
        )
        self._choose_n_components(arguments)
        self.init_params_ = init_params(self, arguments)
        self._landmark_seed = self._seed("landmarks")
        if adata is not None:
            self._prepare()
            self.module = self._new_module()

    def _read_more(self, adata: AnnData, genes: tuple[Matrix, np.ndarray, str] | None) -> None:
        """Read the counts and the graph of the training cells."""
        key = self._neighbors_key
        self._graph = None if key is None else read_graph(adata, key, self._order)
        if self.settings.zinb_weight:
            selected, n_genes = self.recipe.genes, self.settings.n_top_genes
            self._counts = read_training_counts(
                adata, self._counts_layer, self._order, selected, setup_args(self), n_genes, genes
            )
            self._n_counts = self._counts.matrix.shape[1]

    def _prepare(self) -> None:
        """Compute the principal components, and build the graph of the training cells unless it was read."""
        n_cells, n_genes = self._matrix.shape
        self._projection = self._make_projection(max(1, min(self.settings.n_components, n_cells - 1, n_genes)))
        components = fit_projection(self._projection, self._matrix, self._seed("components"))
        self._correction = self._fit_correction(components.numpy())
        components = torch.from_numpy(corrected(components.numpy(), self._batches, self._correction))
        graph, self._graph = self._graph, None
        if graph is None:
            # a complete graph would make all embeddings equal
            n_neighbors = min(self.settings.n_neighbors, (n_cells - 1) // 3)
            graph = pearson_knn(components.numpy(), n_neighbors, random_state=self._seed("neighbors"))
        self._reference = ReferenceGraph(components, graph, graph)

    def _seed(self, consumer: str) -> int:
        """Seed of one consumer of randomness, whose stream no other consumer shares."""
        return child_seed(self.random_state, f"scsiameseclu {consumer}")

    def _make_projection(self, n_features: int) -> FeatureProjection:
        return make_projection(self.recipe, n_features, self.settings.max_value, self.settings.norm_power)

    def _new_module(self) -> ScSiameseCluModule:
        settings = self.settings
        with SeededInitialisation(self._seed("weights")):
            module = ScSiameseCluModule(
                self._projection,
                self.n_clusters,
                n_counts=self._n_counts,
                **{name: getattr(settings, name) for name in MODULE_SETTINGS},
                linear_head=settings.cluster_method == "tree",
                noise_seed=self._seed("noise"),
                landmark_seed=self._landmark_seed,
            )
        if self._counts is not None:
            module.start_counts(torch.from_numpy(self._counts.mean))
        return module

    @known_warnings_ignored.held()
    def train(
        self,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        *,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        precision: str = "auto",
        n_snapshots: int = 0,
        checkpoint_dir: str | Path | None = None,
        **trainer_kwargs: Any,
    ) -> None:
        """Train the three phases, each with a progress bar, then cluster the cells as `cluster_method` says.

        ``history`` contains one value per epoch for each loss, named by phase and loss, such as ``"joint_transport"``.
        Values are NaN in epochs in which a loss was not used yet.

        Parameters
        ----------
        max_epochs
            Number of epochs of each phase, with 5 batches per epoch. ``None`` uses the preset's value, 8 (paper: 20),
            or more if those epochs contain less than one pass over the cells.
        batch_size
            Approximate number of cells per batch; ``None`` uses the preset's value, 1024 (paper: 6000). If all cells
            fit into one batch, training uses the whole graph; otherwise, random unions of parts of the graph.
        accelerator, devices
            As in scvi-tools.
        precision
            Passed to Lightning. Losses and results are always float32.
        n_snapshots
            Number of snapshots of embedding and clusters to store in ``snapshots_``
            (:class:`~scclu.model.Snapshots`): 0, or at least 2 (before training, after it, and at evenly spaced epochs
            of all phases). Snapshots do not change the results and are not saved by :meth:`save`.
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
        KeyboardInterrupt
            If the user interrupts training; the model is left unchanged.
        """
        settings = self.settings
        check_training(self._matrix, batch_size=batch_size, max_epochs=max_epochs, n_snapshots=n_snapshots)
        if batch_size is None:
            batch_size = settings.batch_size
        self._projection.cpu()
        module = self._new_module()  # the old network is kept until training succeeds
        features = self._projection.temper(self._reference.components)
        adjacency, seed = self._reference.adjacency, self._seed("batches")
        batches = make_batches(features, adjacency, self._counts, settings, batch_size, _TOLERANCE, seed)
        n_epochs = max_epochs or max(settings.max_epochs, math.ceil(batches.n_batches / EPOCH_STEPS))
        labels = self._found.labels if settings.cluster_method == "tree" else None
        refresh = make_refresh(module, batches, settings, n_epochs, labels, self._seed("clusters"))
        recorder = SnapshotRecorder(n_snapshots, 3 * n_epochs, partial(refresh.snapshot, self._seed("embedding")))
        numbers = len(features), n_epochs, EPOCH_STEPS, min(batch_size, len(features))
        logger.debug("Training on %d cells: three phases of %d epochs of %d batches of about %d cells.", *numbers)
        checkpoint_of = self._checkpointing(
            checkpoint_dir,
            {"module": module, "batches": batches, "refresh": refresh, "noise": module.noise, "snapshots": recorder},
            max_epochs=n_epochs,
            batch_size=batch_size,
            precision=precision,
            n_snapshots=n_snapshots,
            **trainer_kwargs,
        )
        with checkpoint_of as checkpoint:
            run = partial(
                fit,
                checkpoint=checkpoint,
                callbacks=[recorder, *trainer_kwargs.pop("callbacks", ())],
                max_epochs=n_epochs,
                accelerator=accelerator,
                devices=devices,
                precision="32-true" if precision == "auto" else precision,
                **trainer_kwargs,
            )
            history = run_phases(module, batches, refresh, run, lr=settings.lr, joint_lr=settings.joint_lr)
            fused = embed_whole(module, batches)
            embedding = fit_embedding(module, fused, features, self._seed("embedding"))
            head = self._head(refresh, fused, embedding)
            reference = replace(self._reference, pruned=batches.pruned)
            self._keep(module, history, recorder, embedding, head, _reference=reference)

    def _head(self, refresh: JointRefresh, fused: torch.Tensor, embedding: np.ndarray) -> LinearHead | CentroidHead:
        """Head of the final clusters of the embedding, in the order of training."""
        if self.settings.cluster_method == "tree":
            return self._fit_head(embedding)
        if not self.settings.ot_weight:  # no clusters were learned
            refresh.set_clusters(fused)
        return assignment_head(refresh.module, fused)

    def _training_data(self) -> tuple[Any, ...]:
        data = (self._matrix, self._reference.adjacency)
        return data if self._counts is None else (*data, self._counts.matrix, self._counts.size_factors)

    # -- new cells ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _embed(self, matrix: Matrix, batches: np.ndarray | None, batch_size: int | None = None) -> np.ndarray:
        """Embed new cells, each of which averages over its nearest training cells and does not change them."""
        device, settings, reference = self.module.device, self.settings, self._reference
        new = torch.from_numpy(corrected(project(self._projection, matrix).numpy(), batches, self._correction))
        operators = GraphOperators.from_adjacency(
            reference.adjacency, reference.pruned, teleport=settings.teleport, tolerance=_TOLERANCE
        )
        graph = reference.attach(
            new, settings.n_neighbors, operators, random_state=self._seed("new neighbors"), device=device
        )
        features = self._projection.temper(torch.cat([reference.components, new]).to(device))
        fused = self.module.embed(features, graph).fused
        rows = slice(len(reference.components), None)
        return self.module.clustered(fused[rows], features[rows]).cpu().numpy()
