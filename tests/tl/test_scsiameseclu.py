from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

import scclu
import shared_checks
from conftest import QUICK_SIAMESE, simulated_counts
from scclu.methods.scsiameseclu.model import ScSiameseClu

KEY = "scsiameseclu"
run = partial(scclu.tl.scsiameseclu, **QUICK_SIAMESE)


@pytest.mark.parametrize(
    "check",
    [
        shared_checks.check_contract,
        shared_checks.check_seeds,
        shared_checks.check_no_label_is_read,
        shared_checks.check_shuffled_cells,
        shared_checks.check_storage,
    ],
)
def test_shared(check):
    check(run, KEY)


@pytest.mark.parametrize("check", [shared_checks.check_round_trip, shared_checks.check_copy_view_and_backed])
def test_shared_with_files(check, tmp_path):
    check(run, KEY, tmp_path / "cells.h5ad")


# names that are not unique are what is tested; AnnData warns of them
@pytest.mark.filterwarnings("ignore:.*names are not unique:UserWarning")
@pytest.mark.parametrize("name", shared_checks.BAD_INPUT)
def test_bad_input(name):
    shared_checks.check_bad_input(run, name, pytest.raises)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("edge_drop", 1.0, "edge_drop must be at least 0 and below 1, but 1.0"),
        ("teleport", 0, "teleport must be at most 1 and above 0, but 0"),
        ("teleport", 2, "teleport must be at most 1 and above 0, but 2"),
        ("sharpness", 0, "sharpness must be above 0"),
        ("zinb_weight", -1, "zinb_weight must be at least 0"),
        ("n_neighbors", 0, "n_neighbors must be at least 1"),
        (
            "counts_layer",
            "raw",
            "counts_layer must be a key of adata.layers, but 'raw' was passed. There are: 'counts'",
        ),
        ("neighbors_key", "knn", "neighbors_key must be a key of adata.uns.*but 'knn' was passed. There are: none"),
    ],
)
def test_bad_settings(adata, argument, value, message):
    before = shared_checks.snapshot(adata)
    with pytest.raises(ValueError, match=message):
        run(adata, 3, **{argument: value})
    assert shared_checks.snapshot(adata) == before


def log_normalised():
    adata = simulated_counts()
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    return adata


def test_no_counts():
    """The error says how to give them and how to do without."""
    adata = log_normalised()
    del adata.layers["counts"]
    with pytest.raises(ValueError, match="adata.X holds log values.*counts_layer=.*zinb_weight=0"):
        run(adata, 3)
    run(adata, 3, zinb_weight=0)
    assert "joint_zinb" not in adata.uns[KEY]["history"]
    adata.layers["mine"] = simulated_counts().X
    run(adata, 3, counts_layer="mine")
    assert np.isfinite(adata.uns[KEY]["history"]["joint_zinb"]).all()


def test_use_rep_takes_counts_along():
    for adata in (simulated_counts(), log_normalised()):
        adata.obsm["X_rep"] = np.random.default_rng(0).standard_normal((adata.n_obs, 20)).astype(np.float32)
        run(adata, 3, use_rep="X_rep")
        assert "joint_zinb" in adata.uns[KEY]["history"]
    del adata.layers["counts"]
    with pytest.raises(ValueError, match="zinb_weight=0"):
        run(adata, 3, use_rep="X_rep")


def with_graph(change=lambda graph: graph):
    adata = simulated_counts()
    rng = np.random.default_rng(0)
    graph = sparse.random(120, 120, 0.05, random_state=rng, format="csr")
    adata.obsp["mine"] = change(graph)
    adata.uns["knn"] = {"connectivities_key": "mine"}
    return adata


def binary(graph):
    graph = ((graph + graph.T) > 0).astype(np.float32)
    graph.setdiag(0)
    return graph.tocsr()


def test_graph_of_the_user_is_symmetrised_and_binarised():
    """Asymmetric and weighted gives what the binary union gives; the user's graph is not changed."""
    expected, weighted, dense, own = with_graph(binary), with_graph(), with_graph(lambda g: g.toarray()), with_graph()
    before = weighted.obsp["mine"].copy()
    for adata in (expected, weighted, dense):
        run(adata, 3, neighbors_key="knn")
        shared_checks.assert_equal_results(shared_checks.result(adata, KEY), shared_checks.result(expected, KEY))
    assert (weighted.obsp["mine"] != before).nnz == 0
    run(own, 3)
    assert not np.allclose(own.obsm[f"X_{KEY}"], expected.obsm[f"X_{KEY}"])


def test_graph_is_shuffled_with_the_cells():
    reference, order = with_graph(), np.random.default_rng(1).permutation(120)
    shuffled = reference[order].copy()
    run(reference, 3, neighbors_key="knn")
    run(shuffled, 3, neighbors_key="knn")
    shared_checks.assert_equal_results(
        shared_checks.result(shuffled, KEY), [part[order] for part in shared_checks.result(reference, KEY)]
    )


def test_graph_of_scanpy():
    adata = log_normalised()
    sc.pp.pca(adata, n_comps=10)
    sc.pp.neighbors(adata)
    run(adata, 3, neighbors_key="neighbors")
    assert np.isfinite(adata.obsm[f"X_{KEY}"]).all()


def test_isolated_cells():
    def isolate(graph):
        graph = graph.tolil()
        graph[:30] = 0
        graph[:, :30] = 0
        return graph.tocsr()

    adata = with_graph(isolate)
    run(adata, 3, neighbors_key="knn")
    assert np.isfinite(adata.obsm[f"X_{KEY}"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.obsp.pop("mine"), r"adata.obsp\['mine'\], which is missing. There are: none"),
        (lambda a: a.obsp.__setitem__("mine", -a.obsp["mine"]), "negative or not finite"),
        (lambda a: a.obsp.__setitem__("mine", sparse.csr_matrix((120, 120))), "joins no two cells"),
    ],
)
def test_bad_graph(change, message):
    adata = with_graph()
    change(adata)
    with pytest.raises(ValueError, match=message):
        run(adata, 3, neighbors_key="knn")
    assert KEY not in adata.obs


def test_equals_the_lines_a_user_would_write(adata):
    ScSiameseClu.setup_anndata(adata)
    model = ScSiameseClu(adata, 3, gene_hidden=(16,), graph_hidden=(16,), cluster_method="assignment", random_state=5)
    model.train(max_epochs=2, accelerator="cpu")
    other = simulated_counts()
    run(other, 3, random_state=5)
    np.testing.assert_array_equal(other.obs[KEY].astype(int), model.predict())
    np.testing.assert_array_equal(other.obsm[f"X_{KEY}"], model.get_latent_representation())


def test_finds_separated_types():
    adata = simulated_counts(300, 200)
    scclu.tl.scsiameseclu(adata, 3, accelerator="cpu")
    assert scclu.metrics.ari(adata.obs["type"], adata.obs[KEY]) > 0.9


def test_unknown_number_of_clusters(adata):
    run(adata)
    assert adata.uns[KEY]["n_clusters_source"] == "tree"
    assert adata.uns[KEY]["n_clusters"] == adata.obs[KEY].nunique() >= 1


@pytest.mark.parametrize("n_cells", [2, 3, 4, 10])
def test_few_cells(n_cells):
    adata = simulated_counts(n_cells)
    run(adata, 2)
    assert adata.obs[KEY].nunique() == 2


@pytest.mark.parametrize("batch_size", [1, 50])
def test_minibatches(adata, batch_size):
    run(adata, 3, batch_size=batch_size)
    assert np.isfinite(adata.obsm[f"X_{KEY}"]).all()


def test_identical_cells_warn_of_empty_clusters(adata):
    adata.X = np.tile(adata.X[:1].toarray(), (adata.n_obs, 1))
    with pytest.warns(UserWarning, match="2 of 3 clusters are empty"):
        run(adata, 3)
    assert adata.uns[KEY]["n_clusters"] == 1


@pytest.mark.parametrize("real", ["pollen", pytest.param("mouse_bladder_top2000", marks=pytest.mark.slow)])
def test_real_data(data_dir, real):
    import anndata as ad

    adata = ad.read_h5ad(data_dir / f"{real}.h5ad")
    scclu.tl.scsiameseclu(adata, adata.obs["cell_type"].nunique(), accelerator="cpu", zinb_weight=0)
    assert scclu.metrics.ari(adata.obs["cell_type"], adata.obs[KEY]) > 0.5
