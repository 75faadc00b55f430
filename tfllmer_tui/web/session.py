"""The app behind one page: a process that talks to the server through pipes (`python -m tfllmer_tui.web.session`)."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time

from engine.errors import UserError
from tfllmer_tui.tui.app import TfllmerApp
from tfllmer_tui.view.printing import say

LOOK_S = 2.0
"""How often it looks whether its server still lives."""


def main() -> None:
    """Run the app over the driver that the server has set in the environment."""
    parser = argparse.ArgumentParser(prog="tfllmer_tui.web.session")
    parser.add_argument("--db")
    parser.add_argument("--read-only", action="store_true")
    given = parser.parse_args()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        app = TfllmerApp(given.db, read_only=given.read_only, view="web")
    except UserError as error:
        say(error)
        sys.exit(2)
    app.run()


def _end_with(server: int) -> None:
    """End with the server, even where that was killed and could not say so."""
    while os.getppid() == server:
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
