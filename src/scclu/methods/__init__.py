"""The clustering methods, one folder each, and what they share."""
