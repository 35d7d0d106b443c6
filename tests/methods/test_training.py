"""Training: losses fall, and it improves what is clustered."""

from __future__ import annotations

import numpy as np
import pytest

import scclu
from conftest import simulated_counts
from scclu.cluster.kmeans import kmeans
from scclu.methods.cicl.model import CICL
from scclu.methods.scsiameseclu.model import ScSiameseClu


@pytest.fixture(scope="module", params=[CICL, ScSiameseClu], ids=lambda cls: cls.__name__)
def trained(request):
    """A model trained as by default, and its cells."""
    adata = simulated_counts(300, 200)
    request.param.setup_anndata(adata)
    model = request.param(adata, 3)
    model.train(accelerator="cpu", enable_progress_bar=False)
    return model, adata


def losses(model):
    return {name: np.asarray(values, dtype=float).ravel() for name, values in model.history.items()}


# the loss, and its lowest fall as a share of the first value
FALLING = {
    "CICL": {"loss": 0.1, "instance_loss": 0.1},
    "ScSiameseClu": {
        "expression_loss": 0.4,
        "graph_loss": 0.1,
        "graph_propagated_features": 0.4,
        "joint_loss": 0.02,
        "joint_cell_correlation": 0.1,
        "joint_zinb": 0.02,
    },
}


def test_losses_fall(trained):
    history = losses(trained[0])
    for name, share in FALLING[type(trained[0]).__name__].items():
        values = history[name]
        assert np.median(values[-5:]) < (1 - share) * values[0], name


def test_training_cells_as_new_ones_keep_their_clusters(trained):
    """New cells get the nearest centroid, which is not the cluster of every training cell: 3 % may differ."""
    model, adata = trained
    assert (model.predict(adata) == model.predict()).mean() >= 0.97


def sparse_counts(seed):
    """Counts of which a few in a hundred were captured, so that types overlap."""
    adata = simulated_counts(300, 200, 4, seed)
    counts = np.random.default_rng(seed).binomial(adata.X.toarray().astype(int), 0.03).astype(np.float32)
    counts[counts.sum(axis=1) == 0, 0] = 1
    adata.X = counts
    adata.layers["counts"] = counts
    return adata


def agreement(cls, seed, **arguments):
    """Adjusted Rand index of the types and of K-means on the embedding."""
    adata = sparse_counts(seed)
    cls.setup_anndata(adata)
    model = cls(adata, 4, **arguments)
    model.train(accelerator="cpu", enable_progress_bar=False)
    labels, _ = kmeans(model.get_latent_representation(), 4, random_state=0)
    return scclu.metrics.ari(adata.obs["type"], labels)


# with components of the input in CICL's embedding (n_components > 0), there is no gain on these cells
@pytest.mark.filterwarnings("ignore:.*clusters are empty")
@pytest.mark.parametrize(
    ("cls", "arguments", "gain"),
    [
        (CICL, {"n_components": 0, "n_hidden": 64, "cluster_method": "kmeans"}, 0.3),
        # where the embedding is the fused one alone, it must keep what the reconstruction keeps
        pytest.param(
            ScSiameseClu,
            {"cluster_method": "assignment", "n_components": 15, "reconstruction_weight": 1.0},
            0.01,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_trained_networks_cluster_better_than_untrained_ones(cls, arguments, gain, request):
    """The same clustering of the embedding, averaged over three datasets."""
    trained = [agreement(cls, seed, **arguments) for seed in range(3)]
    request.getfixturevalue("no_training")
    untrained = [agreement(cls, seed, **arguments) for seed in range(3)]
    assert np.mean(trained) > np.mean(untrained) + gain, (trained, untrained)
