"""Classifiers of cells on an embedding, with calibrated probabilities."""
