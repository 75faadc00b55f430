"""Stored runs: list, show, tag, note, remove."""
