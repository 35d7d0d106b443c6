from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from scclu.data.matrix import read_matrix
from scclu.data.recipe import Recipe, detect_kind


def fit(adata, n_top_genes=None, settings=None, **kwargs):
    matrix, names, source = read_matrix(adata, **kwargs)
    return Recipe.fit(
        matrix, names, source, n_top_genes=n_top_genes, **(settings or {}), is_representation="use_rep" in kwargs
    )


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def test_equals_scanpy(adata):
    recipe, logged = fit(adata, n_top_genes=20)
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=20, subset=True)
    assert recipe.genes.tolist() == adata.var_names.tolist()
    np.testing.assert_allclose(dense(logged), adata.X.toarray(), rtol=1e-5)
    scaled = (dense(logged) - recipe.moments[0]) / recipe.moments[1]
    np.testing.assert_allclose(scaled, sc.pp.scale(adata.X.toarray()), atol=1e-4)


def test_transform_of_the_training_cells_is_the_same(adata):
    recipe, logged = fit(adata, n_top_genes=20)
    again = recipe.transform(*read_matrix(adata))
    np.testing.assert_array_equal(dense(again), dense(logged))


def test_genes_are_matched_by_name(adata):
    recipe, logged = fit(adata, n_top_genes=20)
    shuffled = adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()
    np.testing.assert_allclose(dense(recipe.transform(*read_matrix(shuffled))), dense(logged), rtol=1e-6)
    with pytest.raises(ValueError, match=r"lacks 1 of the 60 genes.*'gene3'"):
        recipe.transform(*read_matrix(adata[:, adata.var_names != "gene3"].copy()))


@pytest.mark.parametrize(
    ("change", "message"), [(lambda x: x - 1, "holds -1"), (lambda x: x + 0.5, "not whole numbers")]
)
def test_transform_checks_the_units(adata, change, message):
    recipe, _ = fit(adata)
    new = AnnData(change(adata.X.toarray()), var=adata.var)
    with pytest.raises(ValueError, match=message):
        recipe.transform(*read_matrix(new))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[0, 1], [2, 3]], "counts"),
        ([[0, 1.5], [2, 3]], "log"),
        ([[0, 1.5], [2, 300]], "expression"),
        ([[0, 1.5], [-2, 3]], "scaled"),
    ],
)
def test_kind_is_judged_by_the_values(values, kind):
    values = np.array(values, dtype=np.float32)
    assert detect_kind(values, "X") == kind
    assert detect_kind(sparse.csr_matrix(values), "X") == kind


@pytest.mark.parametrize(
    ("values", "message"), [([[0, 0]], "only zeros"), ([[1, -2]], "1 of them are negative .the smallest is -2")]
)
def test_values_that_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        detect_kind(np.array(values, dtype=np.float32), "X")


def test_log_and_scaled_values_are_not_changed(adata):
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    recipe, logged = fit(adata)
    assert recipe.kind == "log"
    np.testing.assert_array_equal(dense(logged), adata.X.toarray())
    scaled = AnnData(sc.pp.scale(adata.X.toarray()), var=adata.var)
    recipe, values = fit(scaled, n_top_genes=5)
    assert recipe.kind == "scaled" and values.shape == scaled.shape


def test_representation_keeps_the_ratio_of_its_variances(adata):
    adata.obsm["X_rep"] = np.random.default_rng(0).standard_normal((adata.n_obs, 3)) * [10, 1, 0.1]
    recipe, _ = fit(adata, use_rep="X_rep")
    assert np.ptp(recipe.moments[1]) == 0


def test_empty_cells_warn_and_stay_finite(adata):
    adata.X = adata.X.toarray()
    adata.X[5] = 0
    with pytest.warns(UserWarning, match="1 cells of adata.X have no counts"):
        recipe, logged = fit(adata)
    assert dense(logged)[5].sum() == 0 and np.isfinite(dense(logged)).all()
    assert recipe.target_sum == np.median(np.delete(adata.X.sum(1), 5))


def test_constant_genes_have_scale_one(adata):
    adata.X = adata.X.toarray()
    adata.X[:, 0] = 0
    recipe, _ = fit(adata)
    assert recipe.moments[1, 0] == 1 and (recipe.moments[1] > 0).all()


def test_clipped_z_scores_are_z_scores(adata):
    recipe, logged = fit(adata, settings={"max_value": 1.0})
    mean, scale, clipped_mean, clipped_scale = recipe.moments
    clipped = (np.clip((dense(logged) - mean) / scale, -1, 1) - clipped_mean) / clipped_scale
    np.testing.assert_allclose(clipped.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(clipped.std(0, ddof=1), 1, atol=1e-5)


def test_genes_that_dominate_single_cells_are_left_out_of_the_library():
    counts = np.ones((50, 100), dtype=np.float32)
    counts[0, 0] = 1000
    for storage in (np.asarray, sparse.csr_matrix):
        recipe, logged = fit(AnnData(storage(counts)), settings={"max_share": 0.05})
        assert recipe.excluded.tolist() == ["0"]
        np.testing.assert_allclose(dense(logged)[:, 1:], dense(logged)[0, 1])  # the other genes of cell 0 as elsewhere
        np.testing.assert_array_equal(dense(recipe.transform(*read_matrix(AnnData(storage(counts))))), dense(logged))


def test_genes_that_hold_most_of_every_cell_stay_in_the_library():
    counts = np.ones((50, 100), dtype=np.float32)
    counts[:, 0] = 1000
    recipe, _ = fit(AnnData(counts), settings={"max_share": 0.05})
    assert recipe.excluded.tolist() == []


def test_large_libraries_are_brought_down():
    recipe, _ = fit(AnnData(np.full((20, 30), 1000.0)), settings={"max_library": 1e4})
    assert recipe.target_sum == 1e4


def test_rare_genes_are_not_chosen():
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (100, 50)).astype(np.float32)
    counts[:, 0] = 0
    counts[3, 0] = 200
    assert "0" in fit(AnnData(counts), n_top_genes=10)[0].genes
    assert "0" not in fit(AnnData(counts), n_top_genes=10, settings={"min_cells": 10})[0].genes
