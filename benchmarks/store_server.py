"""The same questions to a store in a file and on a PostgreSQL server: prints JSON with seconds and ratios.

    python benchmarks/make_store.py /tmp/large.db
    TFLLMER_FILES=/tmp/lab.files tfllmer db copy /tmp/large.db postgresql+psycopg://me@/lab
    python benchmarks/store_server.py /tmp/large.db postgresql+psycopg://me@/lab [ROUNDS]

One process asks both in turn, so that they see the same noise; a ratio is that of the medians. `cpu` counts this
process and, where the server runs on this machine, its backends; `wall` is what a person waits. Aim: at most 2 each.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from engine.store import Store, info, list_records, list_values, open_store, window
from engine.store.annotations import add_tag, remove_tag
from engine.store.curves.traces import trace
from engine.store.queries.feed import Feed
from engine.store.queries.filters import order_by, parse
from engine.views.boards import BoardQuery, read_boards

FILTER = "status=finished ndcg@10>0.1 train.lr<1 -tag:old arm~norm"
AIM = 2.0


def questions(store: Store, run_id: str) -> dict[str, Callable[[], object]]:
    """What lists, boards, charts and screens ask."""
    remove_tag(store, [run_id], "seen")  # an earlier call may have ended in between
    feed, looks = Feed(store), count()
    while feed.read().more:
        pass

    def look() -> object:
        """What a screen reads after somebody has written."""
        (remove_tag if next(looks) % 2 else add_tag)(store, [run_id], "seen")
        while not feed.changed():
            time.sleep(0.001)
        return feed.read()

    opened: list[Feed] = []

    def first_look() -> int:
        """Its connection stays until the next call, so that what it has spent is still there to be read."""
        for other in opened:
            other.close()
        opened[:] = [Feed(store)]
        return len(opened[0].read().rows)

    def filtered(text: str, **given: Any) -> object:
        return list_records(store, parse(text).clause(), **given)

    return {
        "list": lambda: list_records(store, limit=50),
        "filter": lambda: filtered(FILTER, limit=50),
        "filter, all runs": lambda: filtered(FILTER),
        "sort by metric": lambda: filtered("status=finished", order=order_by("-ndcg@10"), limit=50),
        "boards": lambda: read_boards(store, BoardQuery()),
        "boards, train_ce": lambda: read_boards(store, BoardQuery(("train_ce", "test.mrr"))),
        "curve window": lambda: window(store, run_id, "loss", None, None, 200),
        "part of a curve": lambda: window(store, run_id, "loss", 500, 1500, 100),
        "trace": lambda: trace(store, run_id, "loss"),
        "screen, first look": first_look,
        "screen, a change": look,
        "info": lambda: info(store),
    }


class Clock:
    """Seconds of CPU of this process, without those of looking at the clock, and of the server's backends."""

    def __init__(self, store: Store) -> None:
        self._server: psutil.Process | None = None
        self._looking = 0.0
        self._spent: dict[int, float] = {}
        with suppress(Exception), store.rows() as rows:  # a file has none; that of another machine is not seen
            (pid,) = rows.execute("SELECT pg_backend_pid()").fetchone()
            self._server = psutil.Process(pid).parent()

    def __call__(self) -> float:
        own = time.process_time()
        for process in self._server.children() if self._server else []:
            with suppress(OSError):
                self._spent[process.pid] = int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9
        spent = own - self._looking + sum(self._spent.values())
        self._looking += time.process_time() - own
        return spent


def main() -> None:
    file, server = open_store(sys.argv[1]), open_store(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    run_id = str(list_values(file, (), parse("status=finished").clause(), limit=1)[0][0])
    asked = [(questions(store, run_id), Clock(store)) for store in (file, server)]
    report: dict[str, Any] = {"runs": info(file)["runs"], "points": info(file)["points"], "rounds": rounds, "aim": AIM}
    for name in asked[0][0]:
        taken: list[list[tuple[float, float]]] = [[], []]
        for each in range(rounds + 1):
            for side, (ask, clock) in enumerate(asked):
                cpu, wall = clock(), time.perf_counter()
                ask[name]()
                if each:  # the first fills the caches
                    taken[side].append((time.perf_counter() - wall, clock() - cpu))
        wall_file, wall_server, cpu_file, cpu_server = (
            statistics.median(one[kind] for one in taken[side]) for kind in (0, 1) for side in (0, 1)
        )
        report[name] = {
            "file_ms": {"cpu": round(1000 * cpu_file, 1), "wall": round(1000 * wall_file, 1)},
            "server_ms": {"cpu": round(1000 * cpu_server, 1), "wall": round(1000 * wall_server, 1)},
            "ratio": {"cpu": round(cpu_server / cpu_file, 2), "wall": round(wall_server / wall_file, 2)},
        }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
