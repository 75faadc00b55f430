"""The commands. One module per group; what is heavy is imported inside the functions, so that help starts at once."""

from tfllmer_tui.cli.app import main

__all__ = ["main"]
