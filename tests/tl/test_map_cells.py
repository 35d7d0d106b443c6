from __future__ import annotations

import warnings

import anndata
import numpy as np
import pytest

import scclu
from conftest import simulated_counts
from shared_checks import snapshot

METHODS = {"cicl": {"max_epochs": 2}, "scsiameseclu": {"max_epochs": 2}}


def halves():
    adata = simulated_counts(300, 150)
    adata.obs["type"] = np.array(["one", "two", "three"])[np.arange(300) % 3]
    return adata[:200].copy(), adata[200:].copy()


@pytest.fixture(scope="module")
def trained():
    old, new = halves()
    model = scclu.tl.cicl(old, 3, max_epochs=2, accelerator="cpu", return_model=True)
    return old, new, model, scclu.tl.fit_classifier(old, "type", use_rep="X_cicl")


@pytest.mark.parametrize("method", list(METHODS))
def test_equals_the_model(method):
    old, new = halves()
    model = getattr(scclu.tl, method)(old, 3, accelerator="cpu", return_model=True, **METHODS[method])
    assert scclu.tl.map_cells(new, model) is None
    np.testing.assert_array_equal(new.obsm[f"X_{method}"], model.get_latent_representation(new))
    np.testing.assert_array_equal(new.obs[method].astype(int), model.predict(new))
    np.testing.assert_allclose(new.obs[f"{method}_confidence"], model.predict(new, soft=True).max(axis=1))
    assert list(new.obs[method].cat.categories) == list(old.obs[method].cat.categories)
    assert new.uns[method]["embedding_id"] == old.uns[method]["embedding_id"] == model.embedding_id


def test_training_cells_are_mapped_to_their_clusters(trained):
    old, _, model, _ = trained
    again = scclu.tl.map_cells(old, model, key_added="again", copy=True)
    assert (again.obs["again"] == old.obs["cicl"]).all() and "again" not in old.obs


def test_classifies_and_survives_a_file(trained, tmp_path):
    _, new, model, classifier = trained
    model.save(tmp_path / "model")
    classifier.save(tmp_path / "classifier")
    model = scclu.model.CICL.load(tmp_path / "model")
    classifier = scclu.model.CellClassifier.load(tmp_path / "classifier")
    assert classifier.embedding_id == model.embedding_id != ""
    mapped = scclu.tl.map_cells(new, model, classifier=classifier, threshold=0.0, copy=True)
    expected = scclu.tl.map_cells(new, trained[2], copy=True)
    np.testing.assert_allclose(mapped.obsm["X_cicl"], expected.obsm["X_cicl"], atol=1e-5)
    mapped.write_h5ad(tmp_path / "new.h5ad")
    read = anndata.read_h5ad(tmp_path / "new.h5ad")
    assert (read.obs["type_predicted"].astype(str) == mapped.obs["type_predicted"].astype(str)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        scclu.tl.classify(read, classifier, key_added="again", threshold=0.0)
    assert (read.obs["again"].astype(str) == mapped.obs["type_predicted"].astype(str)).all()


def test_an_embedding_of_another_model_is_refused(trained):
    _, new, model, classifier = trained
    new = new.copy()
    other = scclu.tl.cicl(new, 3, max_epochs=2, accelerator="cpu", return_model=True)
    before = snapshot(new)
    with pytest.raises(ValueError, match=r"fitted on the embedding of model .*map_cells"):
        scclu.tl.classify(new, classifier)
    with pytest.raises(ValueError, match=r"the model is of model"):
        scclu.tl.map_cells(new, other, classifier=classifier, key_added="mapped")
    assert snapshot(new) == before
    assert other.embedding_id != model.embedding_id


def test_an_embedding_of_unknown_origin_is_not_taken_in_silence(trained):
    _, new, model, classifier = trained
    new = new.copy()
    with pytest.raises(ValueError, match=r"no 'X_cicl'.*map_cells"):
        scclu.tl.classify(new, classifier)
    new.obsm["X_cicl"] = model.get_latent_representation(new)
    with pytest.warns(UserWarning, match="does not say which model") as caught:
        scclu.tl.classify(new, classifier)
    assert caught[0].filename == __file__


def test_bad_input(trained):
    _, new, model, classifier = trained
    before = snapshot(new)
    untrained = new.copy()
    scclu.model.CICL.setup_anndata(untrained)
    for error, match, arguments in [
        (TypeError, "model must be", {"model": "cicl"}),
        (TypeError, "classifier must be", {"classifier": "folder"}),
        (RuntimeError, "not trained", {"model": scclu.model.CICL(untrained, 3)}),
        (TypeError, "AnnData", {"adata": new.X}),
        (ValueError, "lacks", {"adata": new[:, 3:].copy()}),
        (ValueError, "threshold", {"classifier": classifier, "threshold": 2}),
        (TypeError, "batch_size", {"batch_size": "all"}),
    ]:
        with pytest.raises(error, match=match):
            scclu.tl.map_cells(**{"adata": new, "model": model, **arguments})
    assert snapshot(new) == before
