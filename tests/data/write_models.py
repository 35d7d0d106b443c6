"""Writes the small models of this version that later versions must load: ``python tests/data/write_models.py``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import scclu
from conftest import simulated_counts

SETTINGS = {
    "CICL": {"n_top_genes": 20, "n_hidden": 8, "n_layers": 1, "n_components": 3},
    "ScSiameseClu": {
        "n_top_genes": 20,
        "n_components": 5,
        "n_latent": 3,
        "gene_hidden": (8,),
        "graph_hidden": (8,),
        "zinb_weight": 0.0,
    },
}


def main() -> None:
    """Train, save, and keep what the loaded models must give."""
    folder = Path(__file__).parent / f"models-{re.match(r'[0-9.]+[0-9]', scclu.__version__)[0]}"
    adata = simulated_counts(60, 30)
    expected = {"counts": adata.X.toarray().astype(np.uint16)}
    for name, settings in SETTINGS.items():
        cls = getattr(scclu.model, name)
        cls.setup_anndata(adata)
        model = cls(adata, 3, **settings)
        model.train(max_epochs=5, accelerator="cpu", enable_progress_bar=False)
        model.save(folder / name, overwrite=True)
        expected |= {
            f"{name}_labels": model.predict(),
            f"{name}_embedding": model.get_latent_representation(),
            f"{name}_soft": model.predict(adata, soft=True),
        }
    adata.obsm["X_rep"] = np.log1p(expected["counts"][:, :5]).astype(np.float32)
    for method in ("logistic", "knn", "mlp"):
        classifier = scclu.tl.fit_classifier(adata, "type", use_rep="X_rep", method=method)
        classifier.save(folder / f"CellClassifier-{method}", overwrite=True)
        expected[f"{method}_proba"] = classifier.predict_proba(adata)
    np.savez_compressed(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main()
