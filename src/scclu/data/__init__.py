"""Reading and checking of matrices, counts and graphs in AnnData; preprocessing; principal components."""
