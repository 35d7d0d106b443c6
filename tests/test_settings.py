"""What a user is told: messages by default, their level, and the line that a warning points at."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import scanpy as sc

import scclu
from conftest import QUICK, simulated_counts
from scclu._settings import _LastResort, settings, warn


@pytest.fixture
def alone(monkeypatch):
    """A context without the handlers of pytest, as in a new process."""

    @contextmanager
    def without_handlers():
        with monkeypatch.context() as patch:
            patch.setattr(logging.getLogger("scclu"), "propagate", False)
            yield
        settings.verbosity = "info"

    return without_handlers


def test_one_line_each_by_default(alone, capsys):
    adata = simulated_counts()
    with alone():
        scclu.tl.cicl(adata, progress_bar=False, **QUICK | {"cluster_method": "tree", "max_epochs": 1})
    said = capsys.readouterr()
    kind, found, wrote = said.err.splitlines()
    assert kind.startswith("adata.X: ") and "counts" in kind
    assert found == f"{adata.uns['cicl']['n_clusters']} clusters are distinct (alpha=0.05)."
    assert wrote.startswith("Wrote obs['cicl']") and not said.out


def test_messages_are_printed_in_notebook_cells(alone, capsys, monkeypatch):
    monkeypatch.setattr("builtins.__IPYTHON__", True, raising=False)
    with alone():
        logging.getLogger("scclu.tl").info("%d cells", 3)
        logging.getLogger("scclu.tl").warning("few cells")
    assert capsys.readouterr().out.splitlines() == ["3 cells", "WARNING: few cells"]


def test_verbosity(alone, capsys):
    logger = logging.getLogger("scclu.tl")
    with alone():
        for level, printed in (("error", 0), ("warning", 1), ("info", 2), ("debug", 3)):
            scclu.settings.verbosity = level
            assert scclu.settings.verbosity == level and repr(scclu.settings) == f"Settings(verbosity={level!r})"
            for say in (logger.debug, logger.info, logger.warning):
                say("text")
            assert len(capsys.readouterr().err.splitlines()) == printed
    with pytest.raises(ValueError, match="'error', 'warning', 'info', 'debug', but 3 was passed"):
        scclu.settings.verbosity = 3


def test_handlers_of_the_user_replace_ours(alone, capsys):
    taken: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: taken.append(record.getMessage())
    for name in ("scclu", "scclu.tl"):
        with alone():
            logging.getLogger(name).addHandler(handler)
            logging.getLogger("scclu.tl").info("text")
            logging.getLogger(name).removeHandler(handler)
    assert taken == ["text", "text"] and capsys.readouterr().err == ""


def test_closed_stream_stops_nothing(alone, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    with alone():
        logging.getLogger("scclu.tl").warning("text")
    assert sum(isinstance(each, _LastResort) for each in logging.getLogger("scclu").handlers) == 1


def test_a_level_set_before_the_import_is_kept():
    code = "import logging; logging.getLogger('scclu').setLevel(40); import scclu; print(scclu.settings.verbosity)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "error\n"


@pytest.mark.parametrize("method", ["cicl", "scsiameseclu"])
def test_other_packages_say_nothing(method, capsys, caplog):
    scvi_level = logging.getLogger("scvi").level
    sc.settings.verbosity = 4
    logging.getLogger("scvi").setLevel(logging.DEBUG)
    try:
        adata = simulated_counts()
        getattr(scclu.tl, method)(adata, max_epochs=1, accelerator="cpu", progress_bar=False)
        scclu.tl.annotate(adata, "type", markers={"a": ["gene1"], "b": ["gene2"]})
        scclu.tl.annotate(adata, "type", reference=adata, reference_key="type", key_added="other")
        assert int(sc.settings.verbosity) == 4
    finally:
        sc.settings.verbosity = 1
        logging.getLogger("scvi").setLevel(scvi_level)
    said = capsys.readouterr()
    assert said.out == said.err == ""
    assert {record.name.split(".")[0] for record in caplog.records} == {"scclu"}


def _empty_cells(adata):
    adata.X = adata.X.toarray() * (np.arange(adata.n_obs) > 2)[:, None]
    scclu.tl.cicl(adata, 3, **QUICK)


def _empty_cells_of_a_model(adata):
    adata.X = adata.X.toarray() * (np.arange(adata.n_obs) > 2)[:, None]
    scclu.model.CICL.setup_anndata(adata)
    scclu.model.CICL(adata, 3)


def _empty_clusters(adata):
    adata.X = np.repeat(adata.X[:2].toarray(), 60, axis=0)
    scclu.model.CICL.setup_anndata(adata)
    scclu.model.CICL(adata, 3, n_hidden=16, cluster_method="kmeans").train(max_epochs=1, accelerator="cpu")


def _missing_markers(adata):
    scclu.tl.annotate(adata, "type", markers={"a": ["gene1", "gene"], "b": ["gene2"]})


def _single_cells(adata):
    adata.obs["type"] = ["9"] + adata.obs["type"].astype(str).tolist()[1:]
    scclu.tl.annotate(adata, "type", markers={"a": ["gene1"], "b": ["gene2"]})


@pytest.mark.parametrize(
    "call", [_empty_cells, _empty_cells_of_a_model, _empty_clusters, _missing_markers, _single_cells]
)
def test_warnings_point_at_the_line_of_the_user(call):
    adata = simulated_counts()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        call(adata)
    ours = [each for each in caught if issubclass(each.category, UserWarning)]
    assert ours
    lines = range(call.__code__.co_firstlineno, call.__code__.co_firstlineno + 5)
    assert all(each.filename == __file__ and each.lineno in lines for each in ours), list(map(str, ours))


def test_warning_outside_of_the_package():
    with pytest.warns(RuntimeWarning, match="text"):
        warn("text", RuntimeWarning)
