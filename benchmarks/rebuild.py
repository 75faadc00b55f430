"""Time to make the database of a large store anew from the folders of its runs, and whether it is the same.

    python benchmarks/rebuild.py FOLDER [--runs 5000] [--points 10000000]

The runs are made as folders, with spools of the length that is asked for; the first rebuild makes their database. Then
some get tags and notes, the database is deleted, and the second rebuild is compared with what was there, row by row.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from make_store import experiments
from ulid import ULID

from engine import spec
from engine.store import Store, open_store
from engine.store.annotations import add_note, add_tag, trash
from engine.store.core.places import run_folders
from engine.store.rebuild import rebuild

ROWS = {
    "runs": "SELECT id, spec_hash, status, reason, result, facts, attempt, priority, position, created, started, ended,"
    " spool_offset, overrides, command, trashed FROM run ORDER BY id",
    "points": "SELECT run_id, name, step, value, wall, attempt FROM series JOIN point ON series_id = series.id"
    " ORDER BY run_id, name, step",
    "roll-ups": "SELECT run_id, name, size, cell, count, nan, total, min, max FROM series JOIN rollup"
    " ON series_id = series.id ORDER BY run_id, name, size, cell",
    "events": "SELECT run_id, at, level, text FROM event ORDER BY run_id, at, text",
    "tags": "SELECT * FROM tag ORDER BY 1, 2",
    "notes": "SELECT run_id, at, text FROM note ORDER BY run_id, at",
}


def make_folders(files: Path, runs: int, points: int) -> None:
    """Three numbers a step, as many steps as it takes."""
    steps = -(-points // runs // 3)
    began = datetime.now(UTC) - timedelta(days=runs / 100)
    for n, experiment in enumerate(experiments(runs)):
        folder = files / str(ULID.from_datetime(began + timedelta(days=n / 100)))
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text(spec.to_json(experiment) + "\n")
        values = (f'"loss":{5 - step / 1e4},"grad_norm":{1 / (1 + step)},"lr":0.001' for step in range(steps))
        lines = [
            f'{{"r":"points","step":{step},"wall":{1.7e9 + step},"values":{{{each}}}}}\n'
            for step, each in enumerate(values)
        ]
        (folder / "spool.jsonl").write_text(
            '{"r":"start","attempt":1,"pid":4000000,"pid_start":1.0,"at":"2026-01-05T10:00:00+00:00"}\n'
            + "".join(lines)
            + '{"r":"result","values":{"epochs":3,"test":{"ndcg@10":0.1}}}\n'
            + '{"r":"end","at":"2026-01-05T11:00:00+00:00","status":"finished","reason":"","detail":""}\n'
        )


def contents(store: Store) -> dict[str, str]:
    """A hash of every table."""
    store.engine.dispose()
    hashes = {}
    with closing(sqlite3.connect(store.path)) as connection:
        for name, sql in ROWS.items():
            digest = hashlib.sha256()
            for row in connection.execute(sql):
                digest.update(repr(row).encode())
            hashes[name] = digest.hexdigest()
    return hashes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--points", type=int, default=10_000_000)
    given = parser.parse_args()
    path = given.folder.resolve() / "experiments.db"
    make_folders(path.with_suffix(".files"), given.runs, given.points)
    seconds, cpu = [], []
    before: dict[str, str] = {}
    for _ in range(2):
        wall_s, cpu_s = time.monotonic(), time.process_time()
        report = rebuild(path)
        seconds.append(time.monotonic() - wall_s)
        cpu.append(time.process_time() - cpu_s)
        store = open_store(path)
        if not before:
            ids = sorted(folder.root.name for folder in run_folders(store.files))
            add_tag(store, ids[::50], "baseline")
            for run_id in ids[::100]:
                add_note(store, run_id, "flat from epoch 20 on")
            trash(store, ids[::70])
            before = contents(store)
            path.unlink()
        after = contents(store) if path.exists() else {}
    shown = {
        "runs": report.runs,
        "points": report.points,
        "rebuild_s": [round(each, 1) for each in seconds],
        "rebuild_cpu_s": [round(each, 1) for each in cpu],
        "differ": [name for name in ROWS if before[name] != after[name]],
        "problems": report.problems,
    }
    print(json.dumps(shown, indent=2))


if __name__ == "__main__":
    main()
