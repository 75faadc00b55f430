"""The commands: a room for each group, a module for each command or few. What is heavy is imported inside the
functions, so that help starts at once."""

from tfllmer_tui.cli.app import main

__all__ = ["main"]
