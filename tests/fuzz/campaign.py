"""The long form: `python -m tests.fuzz.campaign 200000 [FIRST]` reads so many damaged inputs and prints a table.

A worker reads them one after another; whoever watches it ends it where one takes longer than `HANG_S`, notes that, and
has another go on behind it. Exit code 1 where anything ended in a traceback, hung, or took more than `MEMORY` bytes.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.text import printable, single_line

HANG_S = 5.0
START_S = 120.0
"""Importing torch on a busy machine."""
MEMORY = 1 << 30


def outcome(reader: Any, folder: Path, data: bytes) -> str:
    """`refused`, `accepted`, or what was wrong with the way it was refused."""
    try:
        reader.read(folder, data)
    except reader.errors as error:
        words = single_line(error)
        return "refused" if words and printable(words) == words else f"no words: {words!r}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        place = traceback.extract_tb(error.__traceback__)
        ours = [
            f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
            for frame in place
            if "site-pack" not in frame.filename
        ]
        return f"{type(error).__name__}: {str(error)[:160]!r} at {' '.join(ours[-3:])}"
    return "accepted"


def inputs(first: int, last: int) -> Iterator[tuple[int, Any, bytes]]:
    """Number, reader and bytes of every input; the same number is the same input."""
    from tests.fuzz.mutations import mutated
    from tests.fuzz.readers import READERS

    order = [reader for turn in range(max(r.weight for r in READERS)) for reader in READERS if turn < reader.weight]
    for number in range(first, last):
        reader = order[number % len(order)]
        yield number, reader, mutated(number, reader.samples)


def work(first: int, last: int, progress: Path) -> None:
    """Read the inputs; a line of JSON for what is wrong, and one with the counts at the end."""
    os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_STATE_HOME"] = str(progress.parent)
    counts: Counter[str] = Counter()
    slowest: dict[str, float] = {}
    with open(progress, "r+b") as file, mmap.mmap(file.fileno(), 8) as place, tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        for number, reader, data in inputs(first, last):
            place[:] = (number + 1).to_bytes(8, "little")
            began = time.monotonic()
            how = outcome(reader, here, data)
            slowest[reader.name] = max(slowest.get(reader.name, 0.0), time.monotonic() - began)
            kind = how if how in ("refused", "accepted") else "wrong"
            counts[f"{reader.name}\t{kind}"] += 1
            if kind == "wrong":
                sys.stdout.write(json.dumps({"wrong": how, "reader": reader.name, "number": number}) + "\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(json.dumps({"counts": counts, "slowest": slowest, "peak": peak}) + "\n")


def campaign(first: int, last: int, batch: int = 5000) -> dict[str, Any]:
    """What came of the inputs: counts by reader, hangs, tracebacks, and the most memory that a worker took."""
    total: dict[str, Any] = {"counts": Counter(), "wrong": [], "hangs": [], "peak": 0, "slowest": {}}
    while first < last:
        end = min(first + batch, last)
        first = _supervised(first, end, total)
    return total


def _supervised(first: int, last: int, total: dict[str, Any]) -> int:
    """Have a worker read the inputs; the number of the next one."""
    with tempfile.TemporaryDirectory() as folder:
        progress, out = Path(folder) / "progress", Path(folder) / "out"
        progress.write_bytes(bytes(8))
        with open(out, "wb") as stdout:
            command = [sys.executable, "-m", "tests.fuzz.campaign", "--worker", str(first), str(last), str(progress)]
            child = subprocess.Popen(
                command, stdout=stdout, env=os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
            )
        at, since = 0, time.monotonic()
        while child.poll() is None:
            time.sleep(0.1)
            now = int.from_bytes(progress.read_bytes(), "little")
            if now != at:
                at, since = now, time.monotonic()
            elif time.monotonic() - since > (HANG_S if at else START_S):
                child.kill()
        child.wait()
        for line in out.read_text("utf-8").splitlines():
            said = json.loads(line)
            if "wrong" in said:
                total["wrong"].append(said)
            else:
                total["counts"].update(said["counts"])
                total["peak"] = max(total["peak"], said["peak"])
                for name, seconds in said["slowest"].items():
                    total["slowest"][name] = max(total["slowest"].get(name, 0.0), seconds)
                return last
    total["hangs"].append({"number": at - 1, "code": child.returncode})
    return at or last


def table(total: dict[str, Any]) -> str:
    """A line for each reader, then what was wrong, each once."""
    names = dict.fromkeys(key.partition("\t")[0] for key in total["counts"])
    lines = [f"{'reader':36}{'inputs':>9}{'refused':>9}{'accepted':>9}{'wrong':>7}{'slowest, s':>12}"]
    for name in names:
        row = [total["counts"][f"{name}\t{kind}"] for kind in ("refused", "accepted", "wrong")]
        lines.append(f"{name:36}{sum(row):9}{row[0]:9}{row[1]:9}{row[2]:7}{total['slowest'][name]:12.2f}")
    inputs_, wrong = sum(total["counts"].values()), len(total["wrong"])
    lines.append(
        f"{inputs_} inputs, {wrong} wrong, {len(total['hangs'])} hangs, at most {total['peak'] / 2**20:.0f} MiB"
    )
    seen: set[str] = set()
    for each in total["wrong"]:
        what = f"{each['reader']}: {each['wrong'].partition(' at ')[2] or each['wrong']}"
        if what not in seen:
            seen.add(what)
            lines.append(f"  {each['number']} {each['reader']}: {each['wrong']}")
    return "\n".join([*lines, *(f"  hang at {hang['number']} (exit code {hang['code']})" for hang in total["hangs"])])


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--worker"]:
        work(int(arguments[1]), int(arguments[2]), Path(arguments[3]))
        return 0
    first = int(arguments[1]) if len(arguments) > 1 else 0
    total = campaign(first, first + int(arguments[0]))
    sys.stdout.write(table(total) + "\n")
    return int(bool(total["wrong"] or total["hangs"] or total["peak"] > MEMORY))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
