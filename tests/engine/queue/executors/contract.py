"""The programs that every executor is asked to run, and what is waited for."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from engine.queue.executors.base import Ending, Executor, Task
from engine.spool import RunFolder
from tests.engine.queue.workers import until

Make: TypeAlias = Callable[[Path, list[str]], Executor]
"""An executor for runs beneath the folder, whose work is that program."""


def shell(text: str) -> list[str]:
    return ["sh", "-c", text]


PATIENT = shell("trap 'echo saved > $0.saved; exit 0' TERM; echo > $0.there; while :; do sleep 0.05; done")
DEAF = shell("trap '' TERM; echo > $0.there; while :; do sleep 0.05; done")


class Work:
    """One task with an executor, followed as a worker does."""

    def __init__(self, make: Make, folder: Path, program: list[str]) -> None:
        run = RunFolder(folder / "run")
        run.root.mkdir(parents=True)
        self.mark = folder / "mark"
        self.log = run.log
        program = [*program, str(self.mark)] if program[:2] == ["sh", "-c"] else program
        self.executor = make(folder, program)
        (self.handle,) = self.executor.start([Task(run, 1)])

    def there(self, what: str) -> bool:
        return self.mark.with_suffix(f".{what}").exists()

    def until_there(self) -> None:
        until(lambda: self.there("there"), "the program runs")

    def end(self) -> Ending:
        def ended() -> bool:
            self.executor.wait(0.02)
            return self.executor.ending(self.handle) is not None

        until(ended, f"it has ended; log {self.log}")
        ending = self.executor.ending(self.handle)
        assert ending is not None
        until(lambda: self.executor.clear(self.handle), "nothing is left of it")
        assert not self.executor.alive(self.handle)
        return ending
