"""Vectors [n x D] to a table [n x k]: PCA, Rec-PCA and the other linear maps."""
