"""The conventions of scvi-tools: what a user of its models expects of these."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scvi.model.base import BaseModelClass

import scclu
from conftest import QUICK, simulated_counts
from scclu.data.matrix import read_matrix
from scclu.methods.cicl import settings as cicl_settings
from scclu.methods.cicl.model import CICL
from scclu.methods.scsiameseclu import settings as scsiameseclu_settings
from scclu.methods.scsiameseclu.model import ScSiameseClu

SOURCE = Path(scclu.__file__).parent
PRESETS = {CICL: cicl_settings.PRESETS, ScSiameseClu: scsiameseclu_settings.PRESETS}
ARGUMENTS = {
    CICL: {"n_hidden": 16, "cluster_method": "kmeans"},
    ScSiameseClu: {"gene_hidden": (16,), "graph_hidden": (16,), "cluster_method": "assignment"},
}


def trained_on(adata: AnnData, cls: type, **setup: str):
    cls.setup_anndata(adata, **setup)
    model = cls(adata, 3, **ARGUMENTS[cls])
    model.train(max_epochs=1, accelerator="cpu", enable_progress_bar=False)
    return model


@pytest.fixture(scope="module", params=ARGUMENTS, ids=lambda cls: cls.__name__)
def trained(request):
    return trained_on(simulated_counts(), request.param)


@pytest.fixture
def saved(trained, tmp_path):
    trained.save(tmp_path, save_anndata=True)
    return tmp_path


def test_only_one_file_uses_private_names_of_scvi():
    private = {name for name in dir(BaseModelClass) if name.startswith("_") and not name.startswith("__")}
    private |= {"_adata", "_adata_manager", "_registry"}
    found = []
    for path in SOURCE.rglob("*.py"):
        if path.name == "_scvi.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in private:
                found.append(f"{path}: .{node.attr}")
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            if names and names[0].split(".")[0] == "scvi" and any("._" in f".{name}" for name in names):
                found.append(f"{path}: import {names}")
    assert found == []


@pytest.mark.parametrize(
    ("setup", "location"), [({}, "X"), ({"layer": "counts"}, "layers"), ({"use_rep": "r"}, "obsm")]
)
def test_the_registered_field_is_what_is_read(setup, location, monkeypatch):
    adata = simulated_counts(60, 20)
    adata.obsm["r"] = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
    CICL.setup_anndata(adata, **setup)
    model = CICL(adata, 3, **ARGUMENTS[CICL])
    field = model.adata_manager.data_registry["X"]
    assert (field["attr_name"], field["attr_key"]) == (location, next(iter(setup.values()), None))
    registered = model.adata_manager.get_from_registry("X")
    matrix = model._read(adata)[0]
    assert matrix.shape == registered.shape
    np.testing.assert_array_equal(np.asarray(matrix.sum(1)).ravel(), np.asarray(registered.sum(1)).ravel())


@pytest.mark.parametrize("cls", ARGUMENTS)
def test_docstrings_state_the_values_of_both_presets(cls):
    presets = [asdict(PRESETS[cls][name]) for name in ("default", "paper")]

    def listed(values, names):
        shown = (
            f'``"{value}"``' if isinstance(value, str) else str(value) for value in (values[name] for name in names)
        )
        return ", ".join(shown)

    documented = set()
    for line, text in re.findall(r"^(\w[\w, ]*)\n((?:    .*\n)+)", inspect.getdoc(cls), re.MULTILINE):
        names = line.split(", ")
        if set(names) <= set(presets[0]):
            default, paper = (listed(values, names) for values in presets)
            assert f"Default {default}; paper {paper}." in " ".join(text.split())
            documented |= set(names)
    arguments = set(inspect.signature(cls).parameters)
    assert documented == arguments & set(presets[0])
    text = " ".join(inspect.getdoc(cls.train).split())
    assert f"value, {presets[0]['batch_size']} (paper: {presets[1]['batch_size']})" in text


@pytest.mark.parametrize("arguments", [{}, {"layer": "counts"}, {"use_rep": "r"}, {"n_clusters": None}], ids=str)
def test_a_call_reads_its_matrix_once(arguments, monkeypatch):
    """Of all functions of the package, one call reads the values of the training matrix from AnnData."""
    reads = []

    def counted(*args, **kwargs):
        reads.append(args)
        return read_matrix(*args, **kwargs)

    for name, module in list(sys.modules.items()):
        if name.startswith("scclu.") and getattr(module, "read_matrix", None) is read_matrix:
            monkeypatch.setattr(module, "read_matrix", counted)
    adata = simulated_counts()
    adata.obsm["r"] = np.random.default_rng(0).standard_normal((adata.n_obs, 5)).astype(np.float32)
    scclu.tl.cicl(adata, **{"n_clusters": 3} | arguments, **QUICK)
    assert len(reads) == 1


def test_not_set_up():
    with pytest.raises(ValueError, match="CICL.setup_anndata first"):
        CICL(simulated_counts(), 3)


def test_history_is_a_dict_of_data_frames(trained):
    assert trained.history.keys() == trained.history_.keys() and "loss" in "".join(trained.history)
    for name, values in trained.history.items():
        assert isinstance(values, pd.DataFrame) and values.columns.tolist() == [name]
        assert values.index.name == "epoch" and values.index.tolist() == list(range(len(values)))
        np.testing.assert_array_equal(values[name], trained.history_[name])


def test_repr(trained, capsys):
    text = repr(trained)
    assert text.startswith(
        f"{type(trained).__name__} model with the following parameters:\nn_clusters: 3, preset: 'default'"
    )
    assert "n_top_genes: 2000" in text and "random_state: 0" in text and text.endswith("Training status: Trained")
    assert "\x1b" not in text and capsys.readouterr().out == ""
    fresh = type(trained)(trained.adata, 4, preset="paper", random_state=7)
    text = repr(fresh)
    assert "n_clusters: 4, preset: 'paper'" in text and "random_state: 7" in text and text.endswith("Not Trained")


def test_latent_representation_of_some_cells(trained):
    whole = trained.get_latent_representation()
    rows = [5, 0, 7]
    mask = np.zeros(len(whole), bool)
    mask[::3] = True
    np.testing.assert_array_equal(trained.get_latent_representation(indices=rows), whole[rows])
    np.testing.assert_array_equal(trained.get_latent_representation(indices=mask), whole[mask])
    trained.get_latent_representation(indices=rows)[:] = 0
    np.testing.assert_array_equal(trained.get_latent_representation(), whole)
    new = simulated_counts(seed=1)
    whole = trained.get_latent_representation(new)
    for indices in (rows, mask):
        some = trained.get_latent_representation(new, indices=indices, batch_size=2)
        np.testing.assert_allclose(some, whole[indices], atol=1e-5)
    with pytest.raises(ValueError, match="batch_size must be at least 1, but 0"):
        trained.get_latent_representation(batch_size=0)


def test_managers(trained, saved, capsys):
    """Setup of a trained model, and of one that was loaded with its cells."""
    adata = simulated_counts()
    for model, cells in ((trained, trained.adata), (type(trained).load(saved, adata, accelerator="cpu"), adata)):
        assert model.adata is cells and model.adata_manager.adata is cells
        assert model.summary_stats["n_cells"] == 120
        assert (model.adata_manager.get_from_registry("X") != cells.X).nnz == 0
        assert model.get_anndata_manager(cells, required=True) is model.adata_manager
        model.view_anndata_setup()
        assert "adata.X" in capsys.readouterr().out
        other = simulated_counts(seed=2)
        type(model).setup_anndata(other)
        model.deregister_manager(other)
        with pytest.raises(ValueError, match="setup_anndata first"):
            type(model)(other, 3)
        model.deregister_manager()
        assert model.adata_manager.adata is cells


def test_cells_are_saved_with_the_model(trained, saved):
    assert sorted(path.name for path in saved.iterdir()) == ["adata.h5ad", "model.json", "model.safetensors"]
    model = type(trained).load(saved, accelerator="cpu")
    assert model.adata.obs["type"].equals(trained.adata.obs["type"])
    np.testing.assert_array_equal(model.predict(), trained.predict())
    np.testing.assert_allclose(model.get_latent_representation(), trained.get_latent_representation(), atol=1e-6)
    assert type(trained).load(saved, adata=False, accelerator="cpu").adata is None
    model.save(saved, overwrite=True)
    assert type(trained).load(saved, accelerator="cpu").adata is None


def test_saved_cells_of_an_interrupted_save(trained, saved):
    """Between writing the model and moving the cells into place."""
    (saved / "adata.h5ad").rename(saved / ".adata.h5ad.partial")
    assert type(trained).load(saved, accelerator="cpu").adata.n_obs == 120


def test_damaged_saved_cells(trained, saved):
    content = bytearray((saved / "adata.h5ad").read_bytes())
    content[len(content) // 2] ^= 1
    (saved / "adata.h5ad").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged: adata.h5ad is missing, or has another checksum.*adata=False"):
        type(trained).load(saved, accelerator="cpu")
    assert type(trained).load(saved, simulated_counts(), accelerator="cpu").adata.n_obs == 120


def test_saving_without_cells(trained, saved, tmp_path, adata):
    """A loaded model can be saved again, and the copy is as good as the original."""
    for cells in (False, adata.copy()):
        model = type(trained).load(saved, adata=cells, accelerator="cpu")
        model.save(tmp_path / "new", overwrite=True)
        again = type(trained).load(tmp_path / "new", adata.copy(), accelerator="cpu")
        np.testing.assert_array_equal(again.predict(), trained.predict())
        np.testing.assert_array_equal(again.predict(adata), trained.predict(adata))


def test_loading_with_other_genes_registers_nothing(trained, saved):
    adata = simulated_counts()
    adata.var_names = [f"other{i}" for i in range(adata.n_vars)]
    with pytest.raises(ValueError, match="lacks 60 of the 60 genes"):
        type(trained).load(saved, adata, accelerator="cpu")
    assert dict(adata.uns) == {}


def test_loading_with_a_view_leaves_it_a_view(trained, saved):
    view = simulated_counts()[:]
    model = type(trained).load(saved, view, accelerator="cpu")
    assert view.is_view and not model.adata.is_view
    np.testing.assert_array_equal(model.predict(), trained.predict())


def test_backed_cells(tmp_path):
    simulated_counts().write_h5ad(tmp_path / "cells.h5ad")
    import anndata as ad

    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    model = trained_on(backed, CICL)
    rows = np.array([3, 1, 100])
    found = model.get_latent_representation(backed, indices=rows)
    np.testing.assert_allclose(found, model.get_latent_representation()[rows], atol=1e-5)
    model.save(tmp_path / "model", save_anndata=True)
    loaded = CICL.load(tmp_path / "model", accelerator="cpu")
    np.testing.assert_array_equal(loaded.predict(), model.predict())
    backed.file.close()
