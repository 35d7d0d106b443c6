"""Model files: nothing runs on loading, damage is seen, and a failure while saving loses nothing."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from anndata import AnnData, read_h5ad
from safetensors.torch import load_file, save
from scvi.model.base import BaseModelClass

import scclu
from conftest import simulated_counts
from scclu.methods._files import state_text

# tests/fixtures/write_models.py writes these
WRITTEN = Path(__file__).parents[1] / "fixtures"
CLASSIFIERS = ["CellClassifier-logistic", "CellClassifier-knn", "CellClassifier-mlp"]
CLUSTERING = ["CICL", "ScSiameseClu", "CICL-batches", "ScSiameseClu-batches"]
NAMES = {"models-0.1.0": CLUSTERING[:2] + CLASSIFIERS, "models-0.2.0": CLUSTERING + CLASSIFIERS}
MODELS = [f"{version}/{name}" for version, names in NAMES.items() for name in names]
LATEST = "models-0.2.0"
FILES = ["model.json", "model.safetensors"]


def load(folder, name, **arguments):
    name = name.split("/")[-1]
    cls = getattr(scclu.model, name.split("-")[0])
    return (
        cls.load(folder, **arguments) if name.startswith("Cell") else cls.load(folder, accelerator="cpu", **arguments)
    )


@pytest.fixture
def folder(tmp_path, name):
    """A copy of a model that an earlier version wrote."""
    return Path(shutil.copytree(WRITTEN / name, tmp_path / name))


every_model = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name.startswith(LATEST) else pytest.mark.slow) for name in MODELS]
)


def edit(folder, change_state=lambda state: None, change_tensors=None):
    """Change the state or the tensors, and set the checksums right again, as an attacker would."""
    state = json.loads((folder / "model.json").read_text())
    del state["sha256"]
    if change_tensors is not None:
        tensors = load_file(folder / "model.safetensors")
        change_tensors(tensors)
        (folder / "model.safetensors").write_bytes(save(tensors))
        state["weights_sha256"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    change_state(state)
    (folder / "model.json").write_bytes(state_text(state))


# -- what an earlier version wrote ------------------------------------------------------------------------------------


def stored(version):
    """What the models of a version must give, the cells that they were trained on, and new ones."""
    with np.load(WRITTEN / version / "expected.npz") as arrays:
        expected = dict(arrays)
    counts = expected["counts"]
    adata = AnnData(counts.astype(np.float32), var=simulated_counts(*counts.shape).var)
    adata.obs["batch"] = expected.get("batch", "none")
    adata.obsm["X_rep"] = np.log1p(counts[:, :5]).astype(np.float32)
    n_cells = len(expected["CICL_labels"])
    return expected, adata[:n_cells].copy(), adata[n_cells:].copy()


@pytest.mark.parametrize("name", MODELS)
def test_models_of_earlier_versions(name):
    """Models written by an earlier version that load and give the stored results"""
    version, name = name.split("/")
    folder = WRITTEN / version / name
    expected, adata, new = stored(version)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 100_000
    if name in CLASSIFIERS:
        classifier = load(folder, name)
        if classifier.use_rep == "X_CICL":
            scclu.tl.map_cells(adata, load(folder.parent / "CICL", "CICL"), key_added="CICL")
        found = classifier.predict_proba(adata)
        stem = name if version != "models-0.1.0" else name.split("-")[1]
        np.testing.assert_allclose(found, expected[f"{stem}_proba"], atol=1e-3 if classifier.embedding_id else 1e-5)
        return
    model = load(folder, name, adata=adata)
    np.testing.assert_array_equal(model.predict(), expected[f"{name}_labels"])
    np.testing.assert_allclose(model.get_latent_representation(), expected[f"{name}_embedding"], atol=1e-4)
    np.testing.assert_allclose(model.predict(adata, soft=True), expected[f"{name}_soft"], atol=1e-3)
    if len(new):
        as_b = {"transform_batch": "b"} if name.endswith("batches") else {}
        found = load(folder, name).get_latent_representation(new, **as_b)
        np.testing.assert_allclose(found, expected[f"{name}_new"], atol=1e-4)


@pytest.mark.parametrize("key", CLUSTERING)
def test_results_of_earlier_versions(key):
    """Clustered cells in a file of an earlier version: their tree is cut, plotted and compared as those of this one."""
    adata = read_h5ad(WRITTEN / LATEST / "cells.h5ad")
    expected, _, _ = stored(LATEST)
    assert adata.obs[key].astype(int).tolist() == expected[f"{key}_labels"].tolist()
    scclu.tl.cut_tree(adata, key, n_clusters=2)
    assert adata.obs[f"{key}_2"].astype(int).tolist() == expected[f"{key}_cut"].tolist()
    scclu.tl.compare(adata, [key, f"{key}_2"], "type")
    assert len(scclu.pl.tree(adata, key, show=False).get_yticklabels()) == 3
    if key.endswith("batches"):
        scclu.pl.batches(adata, key, show=False)


# -- damage -----------------------------------------------------------------------------------------------------------


def assert_refused(folder, name, message="is damaged: |has format version "):
    with pytest.raises(ValueError, match=message) as caught:
        load(folder, name)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("n_flips", [10, pytest.param(500, marks=pytest.mark.slow)])
@every_model
def test_flipped_bits(folder, name, n_flips):
    """A flipped bit is noticed: anywhere in each file, and in every byte of the headers if there are many flips."""
    rng = np.random.default_rng(0)
    for file in FILES:
        path = folder / file
        content = path.read_bytes()
        header = 80 if file == "model.json" else 8 + int.from_bytes(content[:8], "little")
        others = rng.integers(header, len(content), size=n_flips)
        for at in [*range(0, header, max(1, 500 // n_flips)), *others.tolist()]:
            changed = bytearray(content)
            changed[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(changed)
            assert_refused(folder, name)
        path.write_bytes(content)
    load(folder, name)


@every_model
@pytest.mark.parametrize("file", FILES)
def test_truncated(folder, name, file):
    """Model files cut off, at 50 places each, or with bytes after their end"""
    content = (folder / file).read_bytes()
    for size in np.linspace(0, len(content) - 1, 50).astype(int):
        (folder / file).write_bytes(content[:size])
        assert_refused(folder, name)
    (folder / file).write_bytes(content + b" ")
    assert_refused(folder, name)
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"{file} is missing"):
        load(folder, name)


WRONG = [None, True, -1, 10**30, "x", [], {"a": 1}]


def _paths(value, at=()):
    """Where each value of a nested state is; of a list its first entry."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*at, key))


def _parent(state, path):
    for key in path[:-1]:
        state = state[key]
    return state


# texts that nothing depends on, and dicts that may lack entries
FREE = {"n_clusters_source", "setup_args", "history", "settings", "labels_key", "use_rep", "kind", "embedding_id"}
# what version 0.1.0 did not write, and that models without batches do not need
ABSENT = {"batch_size", "landmark_seed", "batches"}


@pytest.mark.parametrize("depth", [1, pytest.param(9, marks=pytest.mark.slow)])
@every_model
def test_wrong_state(folder, name, depth):
    """Values of a model's JSON are taken out or replaced, with correct checksums.

    The error names the file. A model is loaded only if the value is a detail, or can be read as the original one.
    """
    text = (folder / "model.json").read_bytes()
    paths = [path for path in _paths(json.loads(text)) if path and path[0] not in ("sha256", "weights_sha256")]
    for path in (path for path in paths if len(path) <= depth):
        for wrong in [..., *WRONG]:

            def change(state, path=path, wrong=wrong):
                parent = _parent(state, path)
                if wrong is ...:
                    del parent[path[-1]]
                else:
                    parent[path[-1]] = wrong

            edit(folder, change)
            try:
                load(folder, name)
            except ValueError as error:
                assert str(folder) in str(error), error
            else:
                absent = path[0] in ABSENT - ({"batches"} if name.endswith("batches") else set()) and wrong in (..., [])
                assert len(path) > 1 or path[0] in FREE or absent or wrong in (True, 10**30), (path, wrong)
            (folder / "model.json").write_bytes(text)


@every_model
def test_wrong_tensors(folder, name):
    """Tensors of a model taken out, reshaped, of another type or NaN, with checksums set right"""
    files = {file: (folder / file).read_bytes() for file in FILES}
    changes = {
        "missing": lambda tensors, key: tensors.pop(key),
        "longer": lambda tensors, key: tensors.update({key: torch.cat([tensors[key].reshape(-1)] * 2)}),
        "float64": lambda tensors, key: tensors.update({key: tensors[key].double()[None]}),
        "bytes": lambda tensors, key: tensors.update({key: torch.frombuffer(bytearray(PAYLOAD), dtype=torch.uint8)}),
        "NaN": lambda tensors, key: tensors.update({key: tensors[key].float() * torch.nan}),
        "fewer": lambda tensors, key: tensors.update({key: torch.atleast_1d(tensors[key])[..., :-1].contiguous()}),
        "huge": lambda tensors, key: tensors.update({key: (tensors[key].double() + 2**40).to(torch.int64)}),
    }
    for key in load_file(folder / "model.safetensors"):
        for what, change in changes.items():
            if (name, key) == ("models-0.1.0/CICL", "labels") and what in ("longer", "fewer"):
                continue  # nothing else in the file says how many cells there were
            if key.startswith("cells.") and what == "huge":
                continue  # digests of other cells
            edit(folder, change_tensors=lambda tensors, change=change, key=key: change(tensors, key))
            assert_refused(folder, name)
            for file, content in files.items():
                (folder / file).write_bytes(content)


@every_model
def test_other_versions(folder, name):
    """Format versions that this scclu does not read, and models of another class"""
    for version in (None, 0, 2, 99, "1", [1]):
        edit(folder, lambda state, version=version: state.update(format_version=version))
        assert_refused(folder, name, "has format version .*; this scclu reads version 1")
    edit(folder, lambda state: state.update(format_version=1, **{"class": "SCVI"}))
    assert_refused(folder, name, "is a SCVI, but .*Call SCVI.load")


@pytest.mark.parametrize("name", CLUSTERING)
def test_other_genes(name):
    """Models loaded with, or given, cells of other genes, of fewer genes, or of another kind"""
    _, adata, _ = stored(LATEST)
    renamed, fewer, scaled = adata.copy(), adata[:, 1:].copy(), adata.copy()
    renamed.var_names = [f"other{i}" for i in range(adata.n_vars)]
    scaled.X = scaled.X - 1.5
    for other, message in ((renamed, "lacks 30 of the 30 genes"), (fewer, "lacks 1 of"), (scaled, "not negative")):
        with pytest.raises(ValueError, match=message):
            load(WRITTEN / LATEST / name, name, adata=other)
        with pytest.raises(ValueError, match=message):
            load(WRITTEN / LATEST / name, name).predict(other)


# -- code -------------------------------------------------------------------------------------------------------------


class _Payload:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


PAYLOAD = pickle.dumps(_Payload())


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path("unpickled").exists(), "code ran"
    pickle.loads(PAYLOAD)
    assert Path("unpickled").exists(), "the payload is harmless, so the test shows nothing"


@every_model
def test_hostile_pickles(folder, name, hostile, tmp_path):
    """Pickles that would run code, in the place of each file, in each text of the JSON and each tensor"""
    files = {file: (folder / file).read_bytes() for file in FILES}
    torch.save(_Payload(), tmp_path / "zip.pt")
    torch.save(_Payload(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    payloads = [PAYLOAD, (tmp_path / "zip.pt").read_bytes(), (tmp_path / "old.pt").read_bytes()]
    for payload in payloads:
        for file in FILES:
            (folder / file).write_bytes(payload)
            assert_refused(folder, name)
            (folder / file).write_bytes(files[file])
        # beside a whole model they are never opened
        for other in ("model.pt", "attr.pkl", "adata.h5ad", ".model.json.partial", ".model.safetensors.partial"):
            (folder / other).write_bytes(payload)
            load(folder, name)
            (folder / other).unlink()
        alone = tmp_path / "alone"
        alone.mkdir()
        (alone / "model.pt").write_bytes(payload)
        with pytest.raises(FileNotFoundError, match="model.pt is a pickle.* scclu does not"):
            load(alone, name)
        shutil.rmtree(alone)
    hostile_text = PAYLOAD.decode("latin-1")
    for path in _paths(json.loads(files["model.json"])):
        if not path or path[0] in ("sha256", "weights_sha256"):
            continue
        for value in (hostile_text, {"py/reduce": ["os.mkdir", "unpickled"]}, {"__reduce__": hostile_text}):
            edit(folder, lambda state, path=path, value=value: _parent(state, path).__setitem__(path[-1], value))
            try:
                load(folder, name)
            except ValueError as error:
                assert str(folder) in str(error)
            (folder / "model.json").write_bytes(files["model.json"])


@pytest.mark.parametrize("name", ["CICL", "ScSiameseClu"])
def test_readers_of_pickles(name, hostile, tmp_path):
    """scvi-tools' readers of pickles, on these models"""
    cls = getattr(scclu.model, name)
    (tmp_path / "model.pt").write_bytes(PAYLOAD)
    for reader in (cls.load_registry, cls.view_setup_args, cls.convert_legacy_save):
        with pytest.raises(NotImplementedError, match="reads no pickles"):
            reader(tmp_path)


def test_load_of_scvi_tools(tmp_path):
    """Whoever names scvi-tools' loader gets it."""
    adata = simulated_counts(60, 30)
    scclu.model.CICL.setup_anndata(adata)
    model = scclu.model.CICL(adata, 3, n_hidden=8, cluster_method="kmeans")
    model.train(max_epochs=1, accelerator="cpu", enable_progress_bar=False)
    BaseModelClass.save(model, tmp_path / "scvi")
    with pytest.raises(FileNotFoundError, match="model.pt is a pickle"):
        scclu.model.CICL.load(tmp_path / "scvi")
    loaded = BaseModelClass.load.__func__(scclu.model.CICL, tmp_path / "scvi", adata, accelerator="cpu")
    np.testing.assert_array_equal(loaded.predict(), model.predict())
