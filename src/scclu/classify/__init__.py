"""Cell type classifiers on embeddings."""
