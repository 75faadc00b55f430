"""What runs are made of: presets, data sets, item vectors, and their diagnosis before training."""
