"""Runs in one file, without their checkpoints: a paper's supplement, and how results move between machines.

`format` reads and writes the file, `packing` puts runs of a store into one, `unpacking` brings them into another.
"""
