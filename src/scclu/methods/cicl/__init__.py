"""CICL: cluster-aware iterative contrastive learning."""
