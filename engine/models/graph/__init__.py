"""Graph models: user and item nodes, propagated over the interactions of training. One file per propagation."""
