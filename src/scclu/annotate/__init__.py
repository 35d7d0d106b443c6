"""Scores of clusters for cell types, from a labelled reference or from lists of marker genes."""
