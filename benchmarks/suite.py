"""The suite of `make bench`: a table of ratios, and a JSON file with them and with facts of the machine.

    python benchmarks/suite.py [--only NAME ...] [--quick] [--output FILE]

Each line is a script of this folder that runs alone as well, as a process with one thread of every library; one after
the other. All ratios are of CPU seconds, sides taking turns. Those on ml-100k need it under $TFLLMER_DATA and are left
out without it. With --quick all are small: whether everything runs and where it stands roughly, in a minute or two
of CPU time; the ratios of small sizes and few turns are no measurements.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).resolve().parent
_LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class Ratio:
    """A number of a script's report, by the keys that lead to it."""

    keys: tuple[str, ...]
    what: str
    aim: float
    better: Literal["less", "more"] = "less"


@dataclass(frozen=True)
class Benchmark:
    """A script with its arguments, and what the table takes from its report."""

    name: str
    words: tuple[str, ...]
    quick: tuple[str, ...]
    """The words of a small size."""
    ratios: tuple[Ratio, ...]
    dataset: str | None = None
    """A data set that has to be under $TFLLMER_DATA."""


def _training(dataset: str, backbone: str, plain: float, sgemm: float) -> Benchmark:
    words = ("training_speed.py", "--dataset", dataset, "--backbone", backbone)
    return Benchmark(
        f"step {dataset} {backbone}",
        words,
        (*words, "--steps", "2", "--rounds", "3"),
        (
            Ratio(("ratio",), "targets per CPU second / a plain loop's", plain, "more"),
            Ratio(("sgemm_share",), "arithmetic / the same thread's sgemm", sgemm, "more"),
        ),
        None if dataset == "demo" else dataset,
    )


def _share(backbone: str) -> Benchmark:
    words = ("epoch_share.py", "--dataset", "ml-100k", "--backbone", backbone)
    ratio = Ratio(("evaluation_share",), "evaluation and probe / an epoch", 0.08)
    return Benchmark(f"epoch ml-100k {backbone}", words, (*words, "--epochs", "1"), (ratio,), "ml-100k")


SUITE = (
    Benchmark(
        "help",
        ("front_start.py", "9"),
        ("front_start.py", "3"),
        (Ratio(("ratio",), "tfllmer --help / a bare Typer app", 1.3),),
    ),
    _training("demo", "gru4rec", 2.0, 0.5),
    _training("ml-100k", "sasrec", 2.0, 0.55),
    _training("ml-100k", "gru4rec", 2.0, 0.55),
    _training("ml-100k", "bert4rec", 2.0, 0.5),
    _share("sasrec"),
    _share("gru4rec"),
    _share("bert4rec"),
    Benchmark(
        "catalogue",
        ("large_catalogue.py", "--items", "200000", "--rounds", "3"),
        ("large_catalogue.py", "--items", "20000", "--rounds", "3"),
        (Ratio(("ratio",), "exact cross-entropy / its bare products", 1.3),),
    ),
    Benchmark(
        "rec-pca",
        ("rec_pca_scale.py", "--items", "100000", "--edges", "2000000", "--threads", "1"),
        ("rec_pca_scale.py", "--items", "10000", "--edges", "200000", "--threads", "1", "--rounds", "1"),
        (Ratio(("ratio", "fresh", "cpu_s"), "Rec-PCA / PCA.fit on the same file", 1.6),),
    ),
    Benchmark(
        "queue",
        ("queue_overhead.py", "6"),
        ("queue_overhead.py", "2"),
        (Ratio(("times_as_many",), "runs an hour through the queue / bare processes", 1.0, "more"),),
    ),
)


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        told = ""
    model = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.+)$", told, re.MULTILINE)
    known = flags[1].split() if flags else []
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": model[1] if model else platform.processor(),
        "cores": os.cpu_count(),
        "flags": [flag for flag in _FLAGS if flag in known],
        "load": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("torch", "numpy", "scikit-learn")},
        "commit": _commit(),
    }


def _commit() -> str | None:
    words = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def measured(benchmark: Benchmark, quick: bool = False) -> dict[str, Any] | str:
    """The script's report; why there is none, in one line, where it failed."""
    script, *words = benchmark.quick if quick else benchmark.words
    argv = [sys.executable, str(HERE / script), *words]
    env = os.environ | dict.fromkeys(_LIBRARIES, "1") | {"PYTHONPATH": str(HERE.parent)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # a start does not compile
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def lines(benchmark: Benchmark, report: Mapping[str, Any] | str) -> list[str]:
    """The rows of the table."""
    if isinstance(report, str):
        return [f"{benchmark.name:<24}      -         {report}"]
    return [_line(benchmark.name, ratio, report) for ratio in benchmark.ratios]


def _line(name: str, ratio: Ratio, report: Mapping[str, Any]) -> str:
    value: Any = report
    for key in ratio.keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None:
        return f"{name:<24}      -         {ratio.what}: not measured on this machine"
    met = value <= ratio.aim if ratio.better == "less" else value >= ratio.aim
    sign = "<=" if ratio.better == "less" else ">="
    return f"{name:<24} {value:>6.2f} {sign} {ratio.aim:<4g} {'✓' if met else '✗'}  {ratio.what}"


def is_here(dataset: str | None) -> bool:
    root = os.environ.get("TFLLMER_DATA")
    return dataset is None or (root is not None and (Path(root) / dataset).is_dir())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[each.name for each in SUITE], help="several times; all")
    parser.add_argument("--quick", action="store_true", help="small sizes: whether all of it runs")
    parser.add_argument("--output", type=Path, default=Path("bench.json"))
    given = parser.parse_args()
    chosen = [each for each in SUITE if given.only is None or each.name in given.only]
    reports: dict[str, Any] = {}
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, load {facts['load'][0]}, torch {facts['packages']['torch']}")
    for benchmark in chosen:
        if not is_here(benchmark.dataset):
            report: dict[str, Any] | str = f"{benchmark.dataset} is not under $TFLLMER_DATA"
        else:
            report = reports[benchmark.name] = measured(benchmark, given.quick)
        print("\n".join(lines(benchmark, report)), flush=True)
    document = {"machine": facts, "quick": given.quick, "reports": reports}
    given.output.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(f"{given.output}: written")


if __name__ == "__main__":
    main()
