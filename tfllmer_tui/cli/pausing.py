"""Pauses between looks at a store that is watched."""

from __future__ import annotations

import time

_SHARE = 0.02
"""Watching takes no more of a core than this: it stands beside the runs that it watches."""
_LONGEST_S = 10.0


class Pause:
    """Sleeps between two looks: `every_s` seconds, longer (up to ten) where the look before took much CPU time."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._since = time.process_time()

    def __call__(self) -> None:
        time.sleep(pause_s(self._every_s, time.process_time() - self._since))
        self._since = time.process_time()


def pause_s(every_s: float, look_s: float) -> float:
    """Seconds to wait after a look that took `look_s` CPU seconds."""
    return max(every_s, min(look_s / _SHARE, _LONGEST_S))
