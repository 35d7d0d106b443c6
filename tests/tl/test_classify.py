from __future__ import annotations

import dataclasses
import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import scclu
from scclu.classify.classifier import CellClassifier
from scclu.classify.scorers import fit_arrays, log_probabilities
from shared_checks import assert_nested_equal, global_random_state, snapshot

METHODS = ("logistic", "knn", "mlp")
SETTINGS = {"C": 1.0, "n_neighbors": 15, "n_hidden": 64, "random_state": 0}


def embedded(n_cells=150, n_types=3, seed=0, spread=1.0):
    """Gaussian types in five dimensions of different scales."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 2, (n_types, 5))
    types = rng.integers(n_types, size=n_cells)
    values = (centres[types] + spread * rng.normal(size=(n_cells, 5))) * [1, 10, 0.1, 3, 1] + 5
    adata = AnnData(
        np.abs(rng.poisson(2, (n_cells, 4))).astype(np.float32),
        obs=pd.DataFrame({"type": [f"t{k}" for k in types]}, index=[f"c{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=list("wxyz")),
    )
    adata.obsm["X_emb"] = values.astype(np.float32)
    return adata


def fit(adata, **kwargs):
    return scclu.tl.fit_classifier(adata, "type", use_rep="X_emb", **kwargs)


@pytest.mark.parametrize("n_types", [2, 4])
@pytest.mark.parametrize("method", METHODS)
def test_equals_scikit_learn(method, n_types):
    adata, new = embedded(n_types=n_types), embedded(n_types=n_types, seed=1)
    x, y, x_new = adata.obsm["X_emb"].astype(float), adata.obs["type"].to_numpy(), new.obsm["X_emb"].astype(float)
    estimator = {
        "logistic": lambda: LogisticRegression(max_iter=1000),
        "mlp": lambda: MLPClassifier((64,), max_iter=100, random_state=0),
        "knn": lambda: KNeighborsClassifier(15),
    }[method]()
    if method == "knn":
        expected = KNeighborsClassifier(15).fit(x, y).predict_proba(x_new)
        share = pd.Series(y).value_counts(normalize=True).sort_index().to_numpy()
        expected = (15 * expected + share) / 16
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *args, **kwargs: None)
            expected = make_pipeline(StandardScaler(), estimator).fit(x, y).predict_proba(x_new)
    plain = dataclasses.replace(fit(adata, method=method), temperature=1.0)
    np.testing.assert_allclose(plain.predict_proba(new), expected, atol=2e-4)


def test_temperature_equals_scikit_learns():
    adata = embedded(300, 4, spread=3.0)
    x, y = adata.obsm["X_emb"].astype(float), adata.obs["type"].to_numpy()
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=100, max_iter=1000))
    try:
        calibrated = CalibratedClassifierCV(pipeline, method="temperature", cv=folds, ensemble=False).fit(x, y)
    except ValueError:
        pytest.skip("this scikit-learn has no temperature scaling")
    classifier = fit(adata, C=100.0)
    np.testing.assert_allclose(classifier.predict_proba(adata), calibrated.predict_proba(x), atol=2e-3)


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_are_calibrated(method):
    """Cells named with probability p are right in a share p of cases."""
    adata, new = embedded(800, 4, spread=2.0), embedded(4000, 4, seed=1, spread=2.0)
    probabilities = fit(adata, method=method).predict_proba(new)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    right = np.array([f"t{k}" for k in probabilities.argmax(axis=1)]) == new.obs["type"].to_numpy()
    assert abs(probabilities.max(axis=1).mean() - right.mean()) < 0.05


@pytest.mark.parametrize("method", METHODS)
def test_rare_classes_work(method):
    adata = embedded()
    adata.obs["type"] = np.where(np.arange(150) == 3, "one", np.where(np.arange(150) < 3, "three", adata.obs["type"]))
    classifier = fit(adata, method=method)
    assert {"one", "three"} < set(classifier.classes)
    probabilities = classifier.predict_proba(adata)
    assert np.isfinite(probabilities).all() and (probabilities > 0).all()
    few = adata[[0, 3, 60, 61]].copy()
    few.obs["type"] = list("aabc")
    assert np.isfinite(fit(few, method=method).predict_proba(adata)).all()
    few.obs["type"] = list("abcd")
    assert fit(few, method=method).temperature == 1


@pytest.mark.parametrize("method", METHODS)
def test_seeds_and_global_state(method):
    adata = embedded()
    state, before = global_random_state(), snapshot(adata)
    first, again = (fit(adata, method=method, random_state=1).predict_proba(adata) for _ in range(2))
    assert global_random_state() == state and snapshot(adata) == before
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("method", METHODS)
def test_save_and_load(method, tmp_path):
    adata = embedded()
    classifier = fit(adata, method=method)
    classifier.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "model.safetensors"]
    loaded = CellClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(adata), classifier.predict_proba(adata))
    assert repr(loaded) == repr(classifier)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        classifier.save(tmp_path / "model")
    classifier.save(tmp_path / "model", overwrite=True)


def test_damaged_files(tmp_path):
    fit(embedded()).save(tmp_path)
    with pytest.raises(ValueError, match="is a CellClassifier, but CICL.load"):
        scclu.model.CICL.load(tmp_path)
    text = (tmp_path / "model.json").read_text()
    for change in ({"classes": ["a", "b"]}, {"method": "pickle"}, {"features": ["a"]}, {"temperature": None}):
        (tmp_path / "model.json").write_text(json.dumps(json.loads(text) | change))
        with pytest.raises(ValueError, match="damaged"):
            CellClassifier.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="model.json is missing"):
        CellClassifier.load(tmp_path / "nothing")


def test_classify_writes_what_it_says(tmp_path):
    adata, new = embedded(), embedded(seed=1)
    classifier = fit(adata)
    before = snapshot(new)
    assert scclu.tl.classify(new, classifier, threshold=0) is None
    assert (new.obs["type_predicted"].to_numpy() == classifier.predict(new)).all()
    assert new.obsm["type_predicted_proba"].shape == (150, 3)
    assert new.uns["type_predicted"]["classes"].tolist() == ["t0", "t1", "t2"]
    report = scclu.metrics.classification_report(new.obs["type"], new.obs["type_predicted"])
    assert report.accuracy > 0.9
    # writing makes categories of texts
    new.copy().write_h5ad(tmp_path / "cells.h5ad")
    back = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert_nested_equal(back.uns["type_predicted"], new.uns["type_predicted"])
    assert back.obs["type_predicted"].tolist() == new.obs["type_predicted"].tolist()
    del new.obs["type_predicted"], new.obsm["type_predicted_proba"], new.uns["type_predicted"]
    assert snapshot(new) == before
    copied = scclu.tl.classify(new, classifier, key_added="named", copy=True)
    assert "named" in copied.obs and snapshot(new) == before
    view = new[:50]
    scclu.tl.classify(view, classifier)
    assert view.n_obs == 50 and "type_predicted" in view.obs


def test_threshold_rejects_the_unsure():
    adata = embedded(300, spread=2.0)
    classifier = fit(adata)
    best = classifier.predict_proba(adata).max(axis=1)
    scclu.tl.classify(adata, classifier, threshold=0.8, unassigned="?")
    assert ((adata.obs["type_predicted"] == "?").to_numpy() == (best < 0.8)).all()
    assert adata.obs["type_predicted"].cat.categories[-1] == "?"


def test_genes_are_matched_by_name():
    adata = embedded()
    rng = np.random.default_rng(0)
    adata.X = (
        np.asarray(adata.X) + 20 * rng.random((150, 4)) * (adata.obs["type"] == "t0").to_numpy()[:, None]
    ).round()
    classifier = scclu.tl.fit_classifier(adata, "type", use_rep="X")
    shuffled = adata[:, list("zxwy")].copy()
    np.testing.assert_array_equal(classifier.predict_proba(shuffled), classifier.predict_proba(adata))
    with pytest.raises(ValueError, match="lacks 1 of the 4 genes.*'w'"):
        scclu.tl.classify(adata[:, 1:].copy(), classifier)
    adata.X = np.log1p(np.asarray(adata.X))
    with pytest.raises(ValueError, match="fitted on counts values, but adata.X holds log values"):
        scclu.tl.classify(adata, classifier)
    with pytest.raises(ValueError, match="fitted on 'X', but use_rep='X_emb'"):
        scclu.tl.classify(adata, classifier, use_rep="X_emb")


def test_classify_bad_input():
    adata = embedded()
    classifier = fit(adata)
    adata.obsm["narrow"] = adata.obsm["X_emb"][:, :3]
    bad = embedded()
    bad.obsm["X_emb"][0, 0] = np.nan
    for cells, arguments, error, message in (
        (adata, {"use_rep": "narrow"}, ValueError, "fitted on 5 dimensions of 'X_emb'.*has 3"),
        (adata, {"use_rep": "X_umap"}, ValueError, "'X_umap' was passed. There are: 'X_emb', 'narrow'"),
        (adata, {"threshold": 1.5}, ValueError, "threshold must be at least 0 and at most 1, but 1.5"),
        (adata, {"threshold": "high"}, TypeError, "threshold must be a number"),
        (adata, {"key_added": "type"}, ValueError, "would be overwritten"),
        (adata, {"key_added": ""}, TypeError, "key_added"),
        (adata, {"unassigned": None}, TypeError, "unassigned"),
        (bad, {}, ValueError, "1 values that are NaN"),
    ):
        before = snapshot(cells)
        with pytest.raises(error, match=message):
            scclu.tl.classify(cells, classifier, **arguments)
        assert snapshot(cells) == before
    with pytest.raises(TypeError, match="CellClassifier.load"):
        scclu.tl.classify(adata, "folder")


@pytest.mark.parametrize(
    ("change", "arguments", "error", "message"),
    [
        (lambda a: a.obs.__setitem__("type", None), {}, ValueError, "150 missing values"),
        (lambda a: a.obs.__setitem__("type", "x"), {}, ValueError, "1 class; a classifier needs two"),
        (lambda a: a.obs.drop(columns="type", inplace=True), {}, ValueError, "'type' was passed. There are: none"),
        (None, {"use_rep": "X_pca"}, ValueError, "'X_pca' was passed"),
        (None, {"method": "svm"}, ValueError, "'logistic', 'knn', 'mlp', but 'svm'"),
        (None, {"C": 0}, ValueError, "C must be above 0"),
        (None, {"n_neighbors": 0}, ValueError, "n_neighbors must be at least 1"),
        (None, {"random_state": -1}, ValueError, "random_state must be at least 0"),
    ],
)
def test_fit_bad_input(change, arguments, error, message):
    adata = embedded()
    if change is not None:
        change(adata)
    with pytest.raises(error, match=message):
        scclu.tl.fit_classifier(adata, "type", **{"use_rep": "X_emb", **arguments})


def test_knn_probabilities_by_hand():
    # the new cell's two neighbours are of class 0; classes are 2/3 and 1/3 of the cells
    values = np.array([[0.0], [1.0], [9.0]])
    arrays = fit_arrays("knn", values, np.array([0, 0, 1]), SETTINGS | {"n_neighbors": 2})
    scores = log_probabilities("knn", arrays, np.array([[0.4]]), 2, SETTINGS | {"n_neighbors": 2})
    np.testing.assert_allclose(np.exp(scores), [[(2 + 2 / 3) / 3, (1 / 3) / 3]])
