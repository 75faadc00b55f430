"""What one epoch of training leaves, small enough to be kept: a hash of all weights, and the numbers of the result."""

import contextlib
import hashlib
import importlib.metadata
import io
import json
import math
import platform
import signal
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load_file

from engine import job
from engine.presets import resolve
from engine.spec import to_json
from engine.spool import RunFolder

GOLDEN = Path(__file__).with_name("weights.json")
SETS = (
    "data.source.users=150",
    "data.source.items=300",
    "data.source.dim=32",
    "backbone.width=16",
    "train.epochs=1",
    "execution.device=cpu",
)
"""Dials at which a run takes a second."""

AS_KEPT = ("table.row_length=as-it-comes", "train.probe_run=1")
"""Settings whose defaults were these when the values were kept, and are others since."""

_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile")


def key() -> dict[str, str]:
    """What the last bits of a training depend on: the libraries that compute, and the processor they choose
    their kernels for."""
    versions = {name: importlib.metadata.version(name) for name in ("torch", "numpy", "scipy")}
    cpu = {"machine": platform.machine(), "capability": torch.backends.cpu.get_cpu_capability()}
    info = Path("/proc/cpuinfo")
    fields = dict(_pair(line) for line in reversed(info.read_text().splitlines())) if info.exists() else {}
    flags = set(fields.get("flags", "").split())
    return versions | cpu | {"vendor": fields.get("vendor_id", ""), "flags": " ".join(f for f in _FLAGS if f in flags)}


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def train(arm: str, backbone: str, root: Path) -> dict[str, Any]:
    """Train `arm` (METHOD or METHOD/ABLATION) on the generated data, as a run's process does: the weights'
    `sha256` over names, types, shapes and bytes in the order of the names, and the `result`, without its times."""
    method, _, ablation = arm.partition("/")
    flags: dict[str, Any] = {"method": method, "ablation": ablation or None, "backbone": backbone, "seed": 0}
    experiment = resolve(**flags, sets=(*SETS, *AS_KEPT)).experiment
    folder = RunFolder(root / f"{backbone}-{arm.replace('/', '-')}")
    folder.root.mkdir(parents=True)
    folder.spec.write_text(to_json(experiment), "utf-8")
    before = signal.getsignal(signal.SIGTERM)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            code = job.main([str(folder.root)])
        finally:
            signal.signal(signal.SIGTERM, before)
            torch.set_deterministic_debug_mode("default")
    assert code == 0, output.getvalue()
    records = [json.loads(line) for line in folder.spool.read_text("utf-8").splitlines()]
    result = next(record["values"] for record in records if record["r"] == "result")
    return {
        "sha256": _hash(folder.last),
        "result": {name: value for name, value in result.items() if name not in ("wall_s", "targets_per_s")},
    }


def _hash(checkpoint: Path) -> str:
    digest = hashlib.sha256()
    weights = {name: array for name, array in load_file(checkpoint).items() if name.startswith("model.")}
    for name, array in sorted(weights.items()):
        digest.update(f"{name.removeprefix('model.')} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def differences(measured: dict[str, Any], kept: dict[str, Any], *, same_bits: bool) -> list[str]:
    """In words, what is not as it was: any bit, or a number by more than rounding allows. Numbers that came to the
    result since are not compared."""
    new = dict(_leaves(measured["result"]))
    pairs = [(name, new.get(name), old) for name, old in _leaves(kept["result"])]
    if same_bits:
        changed = [f"{name}: {value}, was {old}" for name, value, old in pairs if value != old]
        return ["the weights changed", *changed] if measured["sha256"] != kept["sha256"] else changed
    return [
        f"{name}: {value}, was {old}" for name, value, old in pairs if value is None or not _close(name, value, old)
    ]


def _close(name: str, new: float, old: float) -> bool:
    # a rank may flip where two scores are equal but for rounding: a few users of 150, one place of their top lists
    by_rank, by_list = name.startswith(("valid.", "test.")), name.startswith("top.")
    return math.isclose(new, old, rel_tol=2e-3 if by_list else 1e-4, abs_tol=0.02 if by_rank else 0.0)


def _leaves(value: Any, name: str = "") -> list[tuple[str, float]]:
    if isinstance(value, dict):
        return [leaf for key, inner in sorted(value.items()) for leaf in _leaves(inner, f"{name}.{key}".lstrip("."))]
    if isinstance(value, list):
        return [leaf for index, inner in enumerate(value) for leaf in _leaves(inner, f"{name}[{index}]")]
    return [(name, float(value))]
