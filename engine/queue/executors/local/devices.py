"""Where runs can be placed: slots of GPUs, with respect for others on them, and a pool of CPU threads."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from engine import cores
from engine.errors import UserError
from engine.queue.executors.base import Offer, Placed
from engine.queue.executors.local.processes import ProcessId

_SPARE = 0.1
"""Share of a slot's memory that strangers may hold before the slot counts as taken."""


@dataclass(frozen=True)
class Devices:
    """The devices of a worker: GPUs in their order of preference (numbers as `nvidia-smi` shows them) with
    `slots_per_gpu` runs each, and as many CPU threads as `cpu_slots`."""

    gpus: tuple[int, ...]
    slots_per_gpu: int
    cpu_slots: int

    @property
    def slots(self) -> list[str]:
        """The device of each slot."""
        on_gpus = [f"cuda:{index}" for index in self.gpus for _ in range(self.slots_per_gpu)]
        return on_gpus + ["cpu"] * self.cpu_slots

    def threads_of(self, device: str) -> int:
        """CPU threads that a run in a slot may take: on the CPU its share of the cores, so that full slots leave
        nothing idle and never want more than there is; beside a GPU one."""
        return max(1, cores.whole() // max(self.cpu_slots, 1)) if device == "cpu" else 1

    @property
    def accepts(self) -> tuple[str, ...]:
        """Every wish that some slot fulfils."""
        wishes = [wish for device in dict.fromkeys(self.slots) for wish in self._accepts(device)]
        return tuple(dict.fromkeys(wishes))

    def offers(self, placed: Sequence[Placed]) -> list[Offer]:
        """Free places, the best first: GPUs with fewer runs before others, then in their order; a GPU only
        while a slot's share of its memory is not in the hands of other people's processes; then several GPUs together,
        for a run that they share; then the CPU."""
        busy = {index: sum(index in gpus_of(p.device) for p in placed) for index in self.gpus}
        free_gpus = [
            index
            for index in sorted(self.gpus, key=lambda index: busy[index])
            if busy[index] < usable_slots(gpu_load(index), _processes_on(index, placed), self.slots_per_gpu)
        ]
        places = [Offer(f"cuda:{index}", self._accepts(f"cuda:{index}"), None, 1) for index in free_gpus]
        for count in range(2, len(free_gpus) + 1):
            together = ",".join(map(str, sorted(free_gpus[:count])))
            places.append(Offer(f"cuda:{together}", ("auto", "cuda"), None, count))
        free = self.cpu_slots - sum(p.threads for p in placed if p.device == "cpu")
        if free > 0:
            whole = free == self.cpu_slots  # a run that wants more threads than there are gets them all
            places.append(Offer("cpu", self._accepts("cpu"), None if whole else free))
        return places

    def _accepts(self, device: str) -> tuple[str, ...]:
        if device == "cpu":
            return ("cpu",) if self.gpus else ("cpu", "auto")
        return ("auto", "cuda", device)

    def environment(self, device: str) -> dict[str, str]:
        """What makes a process see only its device, which it then calls `cuda` (or `cpu`)."""
        visible = device.partition(":")[2]  # empty for the CPU: no GPU is seen
        return {"CUDA_VISIBLE_DEVICES": visible, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}

    def load(self, placed: Sequence[Placed]) -> list[dict[str, Any]]:
        """How the devices are loaded, for the worker's row (see `WorkerView`)."""
        rows = []
        for index in self.gpus:
            gpu = gpu_load(index)
            numbers = {"name": gpu.name, "load": gpu.load, "memory_used": gpu.used, "memory_total": gpu.total}
            rows.append(self._row(f"cuda:{index}", self.slots_per_gpu, placed) | (numbers if gpu.total else {}))
        if self.cpu_slots:
            memory = psutil.virtual_memory()
            numbers = {"name": "CPU", "load": psutil.cpu_percent() / 100}
            numbers |= {"memory_used": memory.total - memory.available, "memory_total": memory.total}
            rows.append(self._row("cpu", self.cpu_slots, placed) | numbers)
        return rows

    @staticmethod
    def _row(device: str, slots: int, placed: Sequence[Placed]) -> dict[str, Any]:
        running = sum(p.device == device or device in map("cuda:{}".format, gpus_of(p.device)) for p in placed)
        return {"device": device, "slots": slots, "running": running}


def gpus_of(device: str) -> tuple[int, ...]:
    """The GPUs of a place: (0,) of `cuda:0`, (0, 2) of `cuda:0,2`, none of `cpu`."""
    kind, _, numbers = device.partition(":")
    return tuple(int(number) for number in numbers.split(",")) if kind == "cuda" and numbers else ()


def _processes_on(gpu: int, placed: Sequence[Placed]) -> list[int]:
    """Our own on a GPU: the process of each run, and of a run that several GPUs share all that it started."""
    pids = []
    for place in placed:
        if gpu in gpus_of(place.device) and place.handle:
            pids.append(ProcessId.of_handle(place.handle).pid)
            if len(gpus_of(place.device)) > 1:
                with suppress(psutil.NoSuchProcess):
                    pids += [child.pid for child in psutil.Process(pids[-1]).children(recursive=True)]
    return pids


def choose(gpus: str | None, exclude: str | None, slots_per_gpu: int, cpu_slots: int | None) -> Devices:
    """The devices that a worker is given: `gpus` and `exclude` are lists such as `0,2` (`gpus` also `none`).

    Left out, the GPUs are those that $CUDA_VISIBLE_DEVICES leaves, and the CPU slots are the cores that this process
    may use, but for one a GPU slot. Raises UserError.
    """
    there = count_gpus()
    if gpus is None:
        chosen = _visible(there)
    elif gpus.strip().lower() in ("none", ""):
        chosen = []
    else:
        chosen = _numbers("--gpus", gpus)
        missing = [index for index in chosen if index >= there]
        if missing:
            found = f"found {there}" if there else "found none (nvidia-ml-py and a driver are needed to see them)"
            raise UserError(f"--gpus {gpus}: there is no GPU {missing[0]} here ({found}); see nvidia-smi")
    left_out = _numbers("--exclude", exclude) if exclude else []
    chosen = [index for index in dict.fromkeys(chosen) if index not in left_out]
    if cpu_slots is None:
        cpu_slots = max(1, cores.usable() - len(chosen) * slots_per_gpu)
    if not chosen and not cpu_slots:
        raise UserError("--cpu-slots 0: leaves no device at all; give it a slot, or a GPU by --gpus")
    return Devices(tuple(chosen), slots_per_gpu, cpu_slots)


def _numbers(option: str, text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1]
    if min(numbers) < 0:
        raise UserError(f"{option} {text}: write the numbers of GPUs as nvidia-smi shows them, such as {option} 0,1")
    return numbers


def _visible(there: int) -> list[int]:
    everything = list(range(there))
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return everything
    parts = [part.strip() for part in wanted.split(",") if part.strip()]
    if all(part.isdigit() for part in parts):
        return [int(part) for part in parts if int(part) < there]
    raise UserError(f"$CUDA_VISIBLE_DEVICES is {wanted}: choose GPUs by their numbers with --gpus")


# ------------------------------------------------------------------------------------ NVML


@dataclass(frozen=True)
class GpuLoad:
    """One GPU now: share of time in use, bytes of memory, and the bytes that each process holds (None
    where the driver does not tell). `total` is 0 where nothing is known of it."""

    name: str = ""
    load: float | None = None
    used: int = 0
    total: int = 0
    held: Mapping[int, int | None] | None = None


def usable_slots(gpu: GpuLoad, ours: Sequence[int], slots: int) -> int:
    """How many of a GPU's slots can be used, given what processes that are not `ours` hold of its memory.

    Where the driver does not tell who holds what (as in many containers), everything counts as ours
    while any run of ours is there, and as foreign otherwise.
    """
    if not gpu.total:
        return slots
    held = gpu.held or {}
    if any(size is not None for size in held.values()):
        mine = sum(held.get(pid) or 0 for pid in ours)
    else:
        mine = gpu.used if ours else 0
    foreign = max(0, gpu.used - mine)
    share = gpu.total / slots
    return min(slots, max(0, int((gpu.total - foreign) / share + _SPARE)))


def count_gpus() -> int:
    """How many NVIDIA GPUs the driver shows; 0 without a driver or without nvidia-ml-py."""
    nvml = _nvml()
    return int(nvml.nvmlDeviceGetCount()) if nvml else 0


def gpu_load(index: int) -> GpuLoad:
    """How loaded a GPU is; all zero where the driver does not answer."""
    nvml = _nvml()
    if nvml is None:
        return GpuLoad()
    try:
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(gpu)
        processes = nvml.nvmlDeviceGetComputeRunningProcesses(gpu)
        name = nvml.nvmlDeviceGetName(gpu)
        return GpuLoad(
            name.decode() if isinstance(name, bytes) else str(name),
            nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
            int(memory.used),
            int(memory.total),
            {p.pid: p.usedGpuMemory for p in processes},
        )
    except nvml.NVMLError:
        return GpuLoad()


def _nvml() -> Any | None:
    """The NVML binding, initialised; None where there is none."""
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    return nvml
