"""Clustering: fine clusters, tests, merge tree, head, partitions, and the number of clusters."""
