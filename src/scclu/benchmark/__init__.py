"""Methods beside each other: what people use today, through public packages."""

from .embeddings import cross_validate
from .peers import leiden_clusters, pca_kmeans, scvi_kmeans, scvi_latent
from .runs import run

__all__ = ["cross_validate", "leiden_clusters", "pca_kmeans", "run", "scvi_kmeans", "scvi_latent"]
