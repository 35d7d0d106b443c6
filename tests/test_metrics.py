from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scclu import metrics

# the table of (a, a, a, b, b, b) against (0, 0, 1, 1, 2, 2) is [[2, 1, 0], [0, 1, 2]]
TRUE, PRED = list("aaabbb"), [0, 0, 1, 1, 2, 2]


def test_ari_by_hand():
    # pairs together in both: 1 + 1 = 2; in TRUE: 3 + 3 = 6; in PRED: 3; of all 15
    expected = 6 * 3 / 15
    assert metrics.ari(TRUE, PRED) == pytest.approx((2 - expected) / ((6 + 3) / 2 - expected))


def test_nmi_by_hand():
    # I = 2 * (2/6) log 2 (cells of the pure clusters; the mixed cluster adds nothing)
    information, h_true, h_pred = 2 / 3 * np.log(2), np.log(2), np.log(3)
    assert metrics.nmi(TRUE, PRED) == pytest.approx(information / ((h_true + h_pred) / 2))
    assert metrics.nmi(TRUE, PRED, average="max") == pytest.approx(information / h_pred)


def test_accuracy_by_hand():
    assert metrics.accuracy(TRUE, PRED) == pytest.approx(4 / 6)
    # a greedy match takes 0-a (3) and is left with 1-b (0); the best is 0-b, 1-a
    assert metrics.accuracy(list("aaabb") + ["a", "a"], [0, 0, 0, 0, 0, 1, 1]) == pytest.approx(4 / 7)
    assert metrics.accuracy(["x"] * 4, [0, 1, 2, 3]) == 0.25


@pytest.mark.parametrize("metric", [metrics.ari, metrics.nmi, metrics.accuracy])
def test_equal_partitions_under_other_names(metric):
    labels = pd.Series(pd.Categorical(["b", "a", "a", "c"]))
    assert metric(labels, [5, 7, 7, 1]) == pytest.approx(1)


@pytest.mark.parametrize("metric", [metrics.ari, metrics.nmi, metrics.accuracy, metrics.classification_report])
@pytest.mark.parametrize(
    ("true", "pred", "message"),
    [
        ([1, 2], [1, 2, 3], "same length, but have 2 and 3"),
        ([], [], "empty"),
        (["a", None], [0, 1], "labels_true has 1 missing"),
        ([0, 1], [0.0, np.nan], "labels_pred has 1 missing"),
        ([[0, 1]], [0, 1], "shape"),
    ],
)
def test_bad_labels(metric, true, pred, message):
    with pytest.raises(ValueError, match=message):
        metric(true, pred)


def test_nmi_average_is_checked():
    with pytest.raises(ValueError, match="'geometric' was passed"):
        metrics.nmi([0], [0], average="geometric")


def test_classification_report_by_hand():
    # B: 2 of 3 found, 1 T called B; T: 1 of 2 found, none called T; one B is rejected
    report = metrics.classification_report(list("BBBTT"), ["B", "B", "Unknown", "B", "T"])
    assert report.accuracy == pytest.approx(3 / 5)
    assert report.per_class["precision"].tolist() == pytest.approx([2 / 3, 1])
    assert report.per_class["recall"].tolist() == pytest.approx([2 / 3, 1 / 2])
    assert report.f1 == pytest.approx((2 / 3 + 2 / 3) / 2) and report.recall == pytest.approx(7 / 12)
    assert report.precision == pytest.approx((2 / 3 + 1) / 2)
    assert report.per_class["n_cells"].tolist() == [3, 2]
    assert report.confusion.to_numpy().tolist() == [[2, 0, 1], [1, 1, 0]]
    assert report.confusion.columns.tolist() == ["B", "T", "Unknown"]
    assert report.confusion.index.tolist() == report.per_class.index.tolist() == ["B", "T"]


def test_classification_report_of_other_names():
    """A name that sorts before the classes comes after them; a class that is never predicted has a precision of 0."""
    report = metrics.classification_report(["B", "B", "T"], ["A", "B", "A"])
    assert report.confusion.columns.tolist() == ["B", "T", "A"]
    assert report.confusion.to_numpy().tolist() == [[1, 0, 1], [0, 0, 1]]
    assert report.per_class["precision"].tolist() == [1, 0]


def test_classification_report_compares_as_written():
    assert metrics.classification_report([1, "B", 2.5], ["1", "B", "2.5"]).accuracy == 1


def test_classification_report_equals_scikit_learn():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    true, pred = rng.integers(4, size=(2, 50))
    report = metrics.classification_report(true, pd.Categorical(pred.astype(str)))
    assert report.f1 == pytest.approx(f1_score(true, pred, average="macro"))
