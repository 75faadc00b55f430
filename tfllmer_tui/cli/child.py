"""A process of the science wing that a command waits for: started with a request, followed by its spool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import typer

Record: TypeAlias = dict[str, Any]


def run_child(
    kind: str,
    request: dict[str, Any],
    take: Callable[[Record], None],
    *,
    failed: str,
    lost: str | None = None,
    on_ctrl_c: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Have `engine.job --KIND` answer the request; the values of its result.

    `take` gets every record of its spool, `failed` begins the line about an end that is nobody's wrong use, `lost`
    that about a process that ended without a word, as killed ones do (`failed` where it is left out).
    With `on_ctrl_c` the first Ctrl-C calls it and asks the process to keep what it has and leave; otherwise, and the
    second time, it is killed. Raises UserError for wrong use, typer.Exit for any other end.
    """
    import json
    import subprocess
    import sys
    import tempfile

    from engine.spool import RunFolder

    with tempfile.TemporaryDirectory(prefix=f"tfllmer-{kind}-") as place:
        folder = RunFolder(Path(place))
        folder.spec.write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "engine.job", f"--{kind}", str(folder.spec), str(folder.root)]
        with open(folder.log, "wb") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            last = _follow(child, folder, take, on_ctrl_c)
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
        return _result(last, folder.log, child.returncode, failed, failed if lost is None else lost)


def _follow(
    child: Any, folder: Any, take: Callable[[Record], None], on_ctrl_c: Callable[[], None] | None
) -> dict[str, Record]:
    """Hand out the records of the process until it ends; returns the last record of each kind."""
    import time

    from engine.spool import read_records

    last: dict[str, Record] = {}
    offset = 0
    while True:
        try:
            ended = child.poll() is not None
            records, offset = read_records(folder.spool, offset)
            for record in records:
                last[record["r"]] = record
                take(record)
            if ended and not records:
                return last
            if not ended:
                time.sleep(0.1)
        except KeyboardInterrupt:
            if on_ctrl_c is None:
                raise
            on_ctrl_c()
            on_ctrl_c = None
            child.terminate()


def _result(last: dict[str, Record], log: Path, code: int, failed: str, lost: str) -> dict[str, Any]:
    """The result, or the error that the end of the process stands for."""
    from engine.errors import UserError
    from tfllmer_tui.cli.output import say

    end = last.get("end", {"status": "lost", "reason": f"its process ended with exit code {code} and no word"})
    if end["status"] == "finished":
        result: dict[str, Any] = last["result"]["values"]
        return result
    if end["status"] == "cancelled":
        say("tfllmer: stopped; the same command goes on from here")
        raise typer.Exit(130)
    if end["reason"].startswith("user error: "):
        raise UserError(end["reason"].removeprefix("user error: "))
    tail = [line for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()][-8:]
    say(f"tfllmer: {lost if end['status'] == 'lost' else failed}: {end['reason']}")
    say("".join(f"  | {line}\n" for line in tail))
    raise typer.Exit(1)
