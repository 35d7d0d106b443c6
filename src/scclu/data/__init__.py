"""Reading matrices from AnnData, preprocessing, and principal components."""
