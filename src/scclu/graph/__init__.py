"""Neighbour graphs, normalised operators and diffusion; nothing of size cells x cells is dense."""
