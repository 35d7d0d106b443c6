"""Methods beside each other: what people use today, through public packages."""

from .peers import leiden_clusters, pca_kmeans, scvi_kmeans

__all__ = ["leiden_clusters", "pca_kmeans", "scvi_kmeans"]
