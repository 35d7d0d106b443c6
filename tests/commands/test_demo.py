from __future__ import annotations

import anndata as ad
import pytest

import scclu
from scclu.__main__ import main


@pytest.mark.filterwarnings("ignore::UserWarning")  # of umap and matplotlib
def test_demo(tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out)]) == 0
    assert scclu.settings.verbosity == "info"
    printed = capsys.readouterr().out
    adata = ad.read_h5ad(out / "pbmc68k_reduced.h5ad")
    assert adata.obs["cicl_10"].nunique() == 10 and adata.obsm["X_cicl"].shape[0] == 700
    found = adata.obs["cicl"].nunique()
    for words in ("CICL, K found", "PCA + K-means", "PCA + Leiden", f"tree.png: {found} clusters", "half mapped"):
        assert words in printed
    *report, files = printed.splitlines()
    assert files.startswith(f"Wrote into {out}") and max(map(len, report)) <= 100
    # tests undo what a high resolution has divided, and merged clusters are found again more often
    assert scclu.metrics.ari(adata.obs["cell_type"], adata.obs["leiden_merged"]) > 0.4
    assert adata.obs["leiden"].nunique() > 15 and adata.obs["leiden_merged"].nunique() < 10
    jaccard = {key: adata.uns[f"{key}_stability"]["table"]["jaccard"].mean() for key in ("leiden", "leiden_merged")}
    assert jaccard["leiden"] + 0.1 < jaccard["leiden_merged"]
    for name in ("cicl", "tree", "merge", "stability", "mapped"):
        assert (out / f"{name}.png").stat().st_size > 20_000 and f"{name}.png" in printed
