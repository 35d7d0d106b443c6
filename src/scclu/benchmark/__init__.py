"""Comparison of clustering methods: standard pipelines, and runs of all methods on labelled datasets."""

from scclu.benchmark.cross_validation import cross_validate
from scclu.benchmark.peers import leiden_clusters, pca_kmeans, scvi_kmeans, scvi_latent
from scclu.benchmark.runs import run

__all__ = ["cross_validate", "leiden_clusters", "pca_kmeans", "run", "scvi_kmeans", "scvi_latent"]


def __dir__() -> list[str]:
    return __all__
