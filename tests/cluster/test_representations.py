from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from conftest import simulated_counts
from scclu.cluster.representations import diffused
from scclu.data.components import principal_axes
from scclu.methods.cicl.model import CICL
from scclu.methods.scsiameseclu.model import ScSiameseClu


@pytest.mark.parametrize("n_blocks", [1, 3])
def test_principal_axes_equal_the_svd(n_blocks):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(200, 40)) * np.linspace(5, 0.1, 40) + 3).astype(np.float32)
    mean, axes = principal_axes(lambda: np.array_split(x, n_blocks), 40, 6)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-4)
    exact = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:6].T
    np.testing.assert_allclose(np.abs((axes * exact).sum(0)), 1, atol=1e-3)


def test_diffusion_of_a_graph_without_edges_changes_nothing():
    features = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    np.testing.assert_allclose(diffused(features, sparse.csr_matrix((6, 6), dtype=np.float32)), features, rtol=0.02)


def test_diffusion_brings_neighbours_together():
    features = np.array([[0.0], [4.0], [10.0]], dtype=np.float32)
    graph = sparse.csr_matrix(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=np.float32))
    first, second, alone = diffused(features, graph)[:, 0]
    assert 0 < first < second < 4
    assert alone == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize(("cls", "n_views"), [(CICL, 3), (ScSiameseClu, 4)])
@pytest.mark.parametrize("kind", ["counts", "scaled", "use_rep"])
def test_representations_vote_for_every_kind_of_input(cls, n_views, kind):
    adata, use_rep = simulated_counts(), None
    if kind == "scaled":
        adata.X = adata.X.toarray() - 1.5
    elif kind == "use_rep":
        adata.obsm["rep"], use_rep = np.random.default_rng(0).standard_normal((adata.n_obs, 5)), "rep"
    cls.setup_anndata(adata, use_rep=use_rep)
    model = cls(adata, 3)
    assert len(model._representations) == n_views
    assert all(len(view) == adata.n_obs and np.isfinite(view).all() for view in model._representations)


def test_the_user_graph_is_the_one_that_diffuses():
    adata = simulated_counts()
    pair = (np.ones(2), ([0, 1], [1, 0]))
    adata.obsp["connectivities"] = sparse.csr_matrix(pair, shape=(adata.n_obs, adata.n_obs))
    adata.uns["neighbors"] = {"connectivities_key": "connectivities"}
    ScSiameseClu.setup_anndata(adata)
    views = ScSiameseClu(adata, 3, neighbors_key="neighbors")._representations
    for plain, smooth in zip(views[:2], views[2:], strict=True):
        changed = ~np.isclose(plain, smooth, rtol=0.05).all(axis=1)
        assert changed.sum() <= 2


@pytest.mark.parametrize(("cls", "method"), [(CICL, "kmeans"), (ScSiameseClu, "assignment")])
def test_without_a_consensus_nothing_is_made(cls, method):
    adata = simulated_counts()
    cls.setup_anndata(adata)
    assert cls(adata, 3, cluster_method=method)._representations == ()
