"""Clustering of embeddings: representations, partitions, consensus, and the number of clusters."""
