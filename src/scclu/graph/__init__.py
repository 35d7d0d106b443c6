"""Neighbour graphs, normalised operators and diffusion, without dense matrices of cells x cells."""
