"""Runs as jobs of a Ray cluster, submitted to its head over HTTP."""
