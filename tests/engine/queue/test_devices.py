"""Places for runs: GPUs through a driver that answers as NVML does, and CPU threads."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import pytest

from engine import cores
from engine.errors import UserError
from engine.queue.executors.base import Placed
from engine.queue.executors.local.devices import Devices, GpuLoad, choose, usable_slots
from engine.queue.executors.local.processes import ProcessId

GiB = 1 << 30


class Error(Exception):
    pass


Use = Callable[[int, Mapping[int, int | None]], None]


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Two GPUs of 80 GiB; the fixture sets what processes hold of one of them."""
    held: dict[int, Mapping[int, int | None]] = {0: {}, 1: {}}
    told = SimpleNamespace(
        NVMLError=Error,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda gpu: "A GPU",
        nvmlDeviceGetUtilizationRates=lambda gpu: SimpleNamespace(gpu=50),
        nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(
            used=sum(size or 4 * GiB for size in held[gpu].values()), total=80 * GiB
        ),
        nvmlDeviceGetComputeRunningProcesses=lambda gpu: [
            SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in held[gpu].items()
        ],
    )
    monkeypatch.setitem(sys.modules, "pynvml", told)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def use(gpu: int, sizes: Mapping[int, int | None]) -> None:
        held[gpu] = sizes

    return use


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def on(device: str, pid: int | None = None, threads: int = 1) -> Placed:
    return Placed(device, threads, None if pid is None else ProcessId(pid, 0.0, None).handle)


def places(devices: Devices, *placed: Placed, gpus: int = 1) -> list[str]:
    """For a run on so many GPUs, or on the CPU."""
    return [offer.device for offer in devices.offers(placed) if offer.gpus in (None, gpus)]


def test_several_free_gpus_are_a_place_for_a_run_that_they_share(two_gpus: Use) -> None:
    devices = choose("1,0", None, 1, 1)
    assert places(devices, gpus=2) == ["cuda:0,1", "cpu"]
    assert devices.environment("cuda:0,1")["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert places(devices, on("cuda:1", 7), gpus=2) == ["cpu"], "one is taken"
    shared = on("cuda:0,1", os.getpid())
    assert places(devices, shared) == ["cpu"]
    assert [row["running"] for row in devices.load([shared])] == [1, 1, 0]
    assert places(choose("0,1", None, 1, 2), on("cpu", threads=2), gpus=2) == ["cuda:0,1"]


def test_what_the_processes_of_a_shared_run_hold_is_no_strangers(two_gpus: Use) -> None:
    devices, shared = choose("0,1", None, 2, 0), on("cuda:0,1", os.getpid())
    with subprocess.Popen(["sleep", "100"]) as child:
        two_gpus(0, {child.pid: 60 * GiB})
        assert places(devices, shared) == ["cuda:0", "cuda:1"]
        child.kill()


def test_gpus_are_filled_evenly_in_the_order_given(two_gpus: Use) -> None:
    devices = choose("1,0", None, 2, 1)
    assert devices.slots == ["cuda:1", "cuda:1", "cuda:0", "cuda:0", "cpu"]
    assert places(devices) == ["cuda:1", "cuda:0", "cpu"]
    assert places(devices, on("cuda:1", 7)) == ["cuda:0", "cuda:1", "cpu"]
    full = [on("cuda:1", 7), on("cuda:1", 8), on("cuda:0", 9)]
    assert places(devices, *full) == ["cuda:0", "cpu"]
    assert devices.accepts == ("auto", "cuda", "cuda:1", "cuda:0", "cpu")
    (gpu,) = [offer for offer in devices.offers(full) if offer.device == "cuda:0"]
    assert gpu.accepts == ("auto", "cuda", "cuda:0"), "a run that names another GPU is not placed here"


def test_memory_in_the_hands_of_others_takes_slots_away(two_gpus: Use) -> None:
    devices = choose("0,1", None, 2, 0)
    two_gpus(0, {100: 30 * GiB})
    assert places(devices) == ["cuda:0", "cuda:1"], "50 of 80 GiB are left: one slot"
    assert places(devices, on("cuda:0", 7)) == ["cuda:1"]
    two_gpus(0, {100: 50 * GiB})
    assert places(devices) == ["cuda:1"]
    two_gpus(0, {7: 70 * GiB})
    assert places(devices, on("cuda:0", 7)) == ["cuda:1", "cuda:0"], "what our own run holds is its own"


def test_a_driver_that_does_not_tell_who_holds_what() -> None:
    gpu = GpuLoad("", 0.5, 20 * GiB, 80 * GiB, {})
    assert usable_slots(gpu, [], 1) == 0, "nobody of ours is there"
    assert usable_slots(gpu, [7], 1) == 1
    assert usable_slots(GpuLoad(), [], 3) == 3, "nothing is known of it"


def test_a_child_sees_its_gpu_only(two_gpus: Use) -> None:
    devices = choose(None, "0", 1, 1)
    assert devices.gpus == (1,)
    assert devices.environment("cuda:1") == {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert devices.environment("cpu")["CUDA_VISIBLE_DEVICES"] == ""
    load = devices.load([on("cuda:1", 7), on("cpu", 8)])
    assert [(row["device"], row["running"], row["slots"]) for row in load] == [("cuda:1", 1, 1), ("cpu", 1, 1)]
    assert load[0]["load"] == 0.5


def test_visible_devices_are_respected(two_gpus: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert choose(None, None, 1, 1).gpus == (1,)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert choose(None, None, 1, 1).gpus == ()


def test_threads_are_not_given_twice(no_gpu: None) -> None:
    devices = choose(None, None, 1, 4)
    assert devices.accepts == ("cpu", "auto")
    assert [offer.free for offer in devices.offers([])] == [None], "an empty pool takes a run of any width"
    assert [offer.free for offer in devices.offers([on("cpu", threads=3)])] == [1]
    assert devices.offers([on("cpu", threads=4)]) == []


def test_slots_share_the_cores(two_gpus: Use) -> None:
    whole = cores.whole()
    assert choose("none", None, 1, 1).threads_of("cpu") == whole
    assert choose("none", None, 1, whole + 1).threads_of("cpu") == 1, "more slots than cores"
    for slots in (1, 2, 3):
        assert choose("none", None, 1, slots).threads_of("cpu") * slots <= max(whole, slots)
    assert choose("0,1", None, 1, 0).threads_of("cuda:0,1") == 1


def test_without_a_gpu_the_slots_are_the_cores(no_gpu: None) -> None:
    assert set(choose(None, None, 1, None).slots) == {"cpu"}


@pytest.mark.parametrize(
    ("gpus", "exclude", "cpu_slots", "says"),
    [
        ("0", None, 1, "there is no GPU 0 here"),
        ("a", None, 1, "write the numbers of GPUs"),
        (None, "-1", 1, "write the numbers of GPUs"),
        ("none", None, 0, "leaves no device at all"),
    ],
)
def test_wrong_choices_are_told(no_gpu: None, gpus: str, exclude: str | None, cpu_slots: int, says: str) -> None:
    with pytest.raises(UserError, match=says):
        choose(gpus, exclude, 1, cpu_slots)
