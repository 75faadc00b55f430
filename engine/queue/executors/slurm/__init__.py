"""Runs as jobs of SLURM, submitted with submitit."""
