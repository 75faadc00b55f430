"""Runs as processes: started, followed, resumed, and settled when they are gone.

Who answers for a running run is told by (pid, start time) in its row and by the lock that its own
process holds; neither depends on the process that started it.
"""

from engine.queue.foreground import supervise
from engine.queue.process import Process, is_alive, start
from engine.queue.recovery import resume, settle

__all__ = ["Process", "is_alive", "resume", "settle", "start", "supervise"]
