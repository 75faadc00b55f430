"""Series of a run: exactly-once ingest, roll-ups, windows, traces."""
