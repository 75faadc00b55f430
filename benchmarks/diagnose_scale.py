"""`tfllmer diagnose` on a large catalogue: the command as a person runs it, seconds and peak memory of every stage.

    python benchmarks/diagnose_scale.py [--items 1000000] [--dimensions 384] [--users 100000] [--interactions 7500000]
        [--keep FOLDER]

Writes a data set in atomic files first (not timed): items belong to 200 clusters, which a history stays in for a
third of its steps; popularity follows Zipf's law; vectors are a float16 `.npy` file of clustered directions with
log-normal norms and a common mean. With the default window of 3 the graph of 7.5 million interactions has about
20 million edges. Prints JSON: what the command says it found, wall and CPU seconds in all and by stage, and for the
process that measures the peak of its memory, of all and of the part that no file backs. The aim: minutes on two cores,
below 4 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil

from engine.spool import RunFolder, read_records

CLUSTERS = 200
FRONT = "from tfllmer_tui.cli import main; main()"


def write(folder: Path, given: argparse.Namespace) -> Path:
    """The data set `large` in a folder of that name."""
    place = folder / "large"
    place.mkdir(parents=True, exist_ok=True)
    if (place / "large.llm.npy").exists():
        return place
    draw = np.random.default_rng(0)
    users = np.sort(draw.integers(given.users, size=given.interactions))
    ends = np.cumsum(np.arange(1, given.items + 1) ** -given.skew)
    items = np.searchsorted(ends, draw.random(given.interactions) * ends[-1]).clip(max=given.items - 1)
    home = draw.integers(CLUSTERS, size=given.users)[users]  # rank r is of cluster r % 200
    stays = draw.random(given.interactions) < 1 / 3
    items[stays] = (items[stays] // CLUSTERS * CLUSTERS + home[stays]).clip(max=given.items - 1)
    log = pl.DataFrame(
        {"user_id:token": users, "item_id:token": items, "timestamp:float": np.arange(given.interactions)}
    )
    log.write_csv(place / "large.inter", separator="\t")
    names = pl.DataFrame({"item_id:token": np.arange(given.items)})
    names.with_columns(pl.format("item {}", "item_id:token").alias("title:token_seq")).write_csv(
        place / "large.item", separator="\t"
    )
    centres = draw.standard_normal((CLUSTERS, given.dimensions), dtype=np.float32)
    mean = 2 * draw.standard_normal(given.dimensions, dtype=np.float32)
    made = np.lib.format.open_memmap(place / "part.npy", "w+", np.float16, (given.items, given.dimensions))
    for first in range(0, given.items, 1 << 14):
        which = np.arange(first, min(given.items, first + (1 << 14)))
        rows = centres[which % CLUSTERS] + draw.standard_normal((len(which), given.dimensions), dtype=np.float32)
        made[which] = mean + rows * np.exp(0.4 * draw.standard_normal((len(which), 1), dtype=np.float32))
    made.flush()
    (place / "part.npy").rename(place / "large.llm.npy")
    return place


class Watched:
    """What the process that measures says and holds, looked at four times a second."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, float, float]] = []
        self.cpu = 0.0
        self.peaks: dict[str, dict[str, int]] = {}
        self._spool: Path | None = None
        self._read = 0

    def look(self, command: int) -> None:
        for process in psutil.Process(command).children(recursive=True):
            try:
                arguments = process.cmdline()
                if "--diagnose" not in arguments:
                    continue
                self.cpu = sum(process.cpu_times()[:2])
                self._hear(RunFolder(Path(arguments[-1])).spool)
                held = _memory(process.pid)
            except (psutil.Error, OSError):
                continue  # it has just ended
            peak = self.peaks.setdefault(self.stages[-1][0] if self.stages else "start", dict.fromkeys(held, 0))
            for name, size in held.items():
                peak[name] = max(peak[name], size)

    def _hear(self, spool: Path) -> None:
        records, self._read = read_records(spool, self._read)
        for record in records:
            if record["r"] == "event":
                self.stages.append((record["text"], time.monotonic(), self.cpu))
                print(record["text"], file=sys.stderr, flush=True)


def _memory(pid: int) -> dict[str, int]:
    """MiB held, and MiB of it that no file backs."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = {
        line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines if line.startswith(("VmRSS", "RssAnon"))
    }
    return {"rss_mib": sizes["VmRSS"], "anonymous_mib": sizes["RssAnon"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--interactions", type=int, default=7_500_000)
    parser.add_argument("--skew", type=float, default=0.6, help="exponent of Zipf's law; 0 = all items alike")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="where the data set is made, or found again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = write(given.keep or Path(folder), given)
        command = [sys.executable, "-P", "-c", FRONT, "diagnose", "--dataset", str(data), "--embedding", "llm"]
        command += ["--threads", str(given.threads), "--json", "--db", str(Path(folder) / "experiments.db")]
        watched = Watched()
        began = time.monotonic()
        with open(Path(folder) / "out.json", "w+b") as out:
            running = subprocess.Popen(command, stdout=out, cwd=folder, env=os.environ)
            while running.poll() is None:
                watched.look(running.pid)
                time.sleep(0.25)
            took = time.monotonic() - began
            out.seek(0)
            found: dict[str, Any] = json.loads(out.read()) if running.returncode == 0 else {}
    if not found:
        raise SystemExit(f"diagnose ended with exit code {running.returncode}")
    ends = [(at, cpu) for _, at, cpu in watched.stages[1:]] + [(began + took, watched.cpu)]
    told = {
        "items": found["items"],
        "edges": found["edges"],
        "seconds": round(took, 1),
        "cpu_s": round(watched.cpu, 1),
        "peak": {name: max(peak[name] for peak in watched.peaks.values()) for name in ("rss_mib", "anonymous_mib")},
        "stages": {
            text: {"seconds": round(end - at, 1), "cpu_s": round(cpu_end - cpu, 1)} | watched.peaks.get(text, {})
            for (text, at, cpu), (end, cpu_end) in zip(watched.stages, ends, strict=True)
        },
        "kappa": {name: t["curvature"]["kappa"] for name, t in found["tables"].items()},
        "notes": found["notes"],
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
