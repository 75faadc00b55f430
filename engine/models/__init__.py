"""Item tables (how vectors enter and score) and backbones (vectors in, sequence representations out)."""
