"""scSiameseClu: siamese autoencoders of expression and cell graph with optimal-transport clustering."""
