"""The store itself, and whether everything is here that a run needs."""
