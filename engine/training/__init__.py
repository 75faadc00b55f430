"""Training and evaluation: loss, loop, checkpoints, full ranking."""
