"""What several devices change where there is dropout (docs/devices.md)."""

import json
import statistics
import subprocess
from pathlib import Path

import pytest

from tests.tui.cli.calls import TFLLMER, call

SEEDS = 5


def levels(folder: Path, devices: int) -> dict[str, list[float]]:
    """Final training CE and test metrics of the ID table on demo, one number a seed."""
    folder.mkdir()
    words = ["run", "--method", "id", "--seeds", str(SEEDS), "--devices", str(devices), "--device", "cpu"]
    settings = ["--threads", "1", "--set", "train.epochs=20"]
    subprocess.run([*TFLLMER, *words, *settings], cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    runs = json.loads(call(folder, "runs", "--json").stdout)
    assert [run["status"] for run in runs] == ["finished"] * SEEDS
    metrics = {metric: [run["test"][metric] for run in runs] for metric in ("ndcg@10", "hr@10")}
    return {"train_ce": [run["train_ce"][-1]["value"] for run in runs], **metrics}


@pytest.mark.slow
def test_means_of_two_devices_lie_within_the_spread_of_seeds(tmp_path: Path) -> None:
    one, two = (levels(tmp_path / str(devices), devices) for devices in (1, 2))
    for metric in one:
        assert one[metric] != two[metric]  # each process draws numbers of its own
        spread = max(statistics.stdev(one[metric]), statistics.stdev(two[metric]))
        assert abs(statistics.fmean(one[metric]) - statistics.fmean(two[metric])) < spread, (metric, one, two)
