"""The item graph: co-occurrence, its Laplacian, null graphs and the content graph."""
