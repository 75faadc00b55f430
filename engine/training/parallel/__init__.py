"""One run on several devices: a process each, which share every batch (docs/performance.md)."""
