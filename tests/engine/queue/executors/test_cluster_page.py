"""docs/cluster.md as it stands: its commands, on a real SLURM of one node and a real Ray cluster."""

import os
import re
import shlex
import signal
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from engine.queue import workers
from engine.queue.executors.registry import executor_names
from engine.store import get_run, list_runs
from tests.engine.queue.executors.small_study import Bench
from tests.engine.queue.workers import until
from tests.tui.app.bench import opened, press, screen_text
from tests.tui.app.bench import until as until_seen

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "cluster.md").read_text("utf-8")
LONG = [f"--set={each}" for each in ("train.epochs=100000", "train.until=budget", "execution.checkpoint_s=0.01")]
DATASET = "meaning: tiny\ndata: {source: {kind: demo, users: 60, items: 60, dim: 32}}\n"


def commands_of(title: str) -> list[list[str]]:
    """The words of each command under that heading, `$` and comments left out."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (text,) = (part for part in section if part.startswith(f"{title}\n"))
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [shlex.split(line.removeprefix("$ "), comments=True) for block in blocks for line in block.splitlines()]


def test_the_page_has_what_it_promises() -> None:
    """From `pip install` to a finished study, for every executor that is no local one."""
    for title, name in (("SLURM", "slurm"), ("Ray", "ray")):
        commands = commands_of(title)
        assert name in executor_names()
        assert commands[0] == ["pip", "install", f"tfllmer[{name}]"]
        ours = [words[1] for words in commands if words[0] == "tfllmer"]
        assert ours == ["presets", "run", "study", "queue", "study", "leaderboard"]
        assert all(name in words for words in commands if words[1:2] in (["run"], ["study"]))
    assert [words[1] for words in commands_of("Looking and stopping")] == ["show", "logs", "cancel", "retry", "worker"]


def test_the_pages_presets_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.queue.executors.clusters import list_clusters

    folder = tmp_path / "configs" / "cluster"
    folder.mkdir(parents=True)
    texts = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for number, text in enumerate(texts):
        (folder / f"page{number}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    found = list_clusters()
    assert [found[f"page{number}"].executor for number in range(len(texts))] == ["slurm", "ray"]


# ------------------------------------------------------------------------------------ on real clusters


@pytest.fixture(params=["slurm", "ray"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Bench]]:
    """The executor's name, and a working folder at the cluster."""
    bench = Bench(tmp_path / "work", request.getfixturevalue(f"{request.param}_here"), "demo")
    (bench.root / "configs" / "dataset").mkdir()
    (bench.root / "configs" / "dataset" / "demo.yaml").write_text(DATASET)
    yield request.param, bench
    bench("cancel", *(run.id for run in list_runs(bench.store) if not run.status.has_ended), check=False)
    for worker in workers(bench.store):
        if worker.alive:
            os.kill(worker.pid, signal.SIGKILL)


@pytest.mark.slow
def test_its_commands_lead_from_an_empty_node_to_a_finished_study(there: tuple[str, Bench]) -> None:
    name, bench = there
    for words in commands_of({"slurm": "SLURM", "ray": "Ray"}[name]):
        match words:
            case ["pip", "install", _]:
                extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
                for each in map(Requirement, extras["optional-dependencies"][name]):
                    assert each.specifier.contains(version(each.name))
            case ["ray", *_] | ["export", _]:
                pass  # the fixture's cluster was started by `ray start --head` and is where the variable says
            case ["tfllmer", *rest]:
                out = bench(*rest)
                if rest[0] == "queue":
                    assert name in out
            case _:
                raise AssertionError(words)
    runs = list_runs(bench.store)
    study = [run for run in runs if run.study_id is not None]
    assert (len(study), {run.status for run in study}) == (4, {"finished"})
    until(lambda: set(bench.statuses()) == {"finished"}, "the first run has ended too", 300)
    assert len(runs) == 5
    assert {run.executor for run in list_runs(bench.store)} == {name}
    assert {run.attempt for run in list_runs(bench.store)} == {1}


@pytest.mark.slow
async def test_its_commands_show_stop_and_start_a_run_and_a_second_worker_adopts_it(there: tuple[str, Bench]) -> None:
    name, bench = there
    bench("run", "--method", "id", "--on", name, "--detach", *LONG)
    (run_id,) = (run.id for run in list_runs(bench.store))
    look = {
        words[1]: [run_id if word == "RUN" else word for word in words[1:]]
        for words in commands_of("Looking and stopping")
    }
    look["worker"] = [name if word == "slurm" else word for word in look["worker"]]

    def trains(attempt: int) -> bool:
        run = get_run(bench.store, run_id)
        here = run.status == "running" and run.attempt == attempt and "RUNNING on" in run.handle_state
        return here and bench.store.folder(run_id).last.exists()

    until(lambda: trains(1), "it has saved its state", 300)
    first = get_run(bench.store, run_id)
    assert f"Carried out by {name}, job {first.handle}: RUNNING on" in bench(*look["show"])
    assert f"{first.handle}" in bench("queue")
    async with opened(bench.root / "experiments.db", (240, 40)) as pilot:
        await press(pilot, "3")
        await until_seen(pilot, lambda: f"{name} {first.handle}" in screen_text(pilot))
    logs = bench.start(*look["logs"])
    (background,) = (worker for worker in workers(bench.store) if worker.alive)
    os.kill(background.pid, signal.SIGKILL)
    second = bench.start(*look["worker"])
    until(lambda: f"{run_id} adopted from worker {background.id}" in bench.printed("worker"), "it is adopted", 120)
    bench(*look["cancel"])
    until(lambda: get_run(bench.store, run_id).status == "cancelled", "it is cancelled", 120)
    assert logs.wait(60) == 0
    assert "the state is saved" in bench.printed("logs")
    bench(*look["retry"])
    until(lambda: trains(2), "it goes on", 300)
    again = get_run(bench.store, run_id)
    assert again.handle != first.handle
    second.send_signal(signal.SIGINT)
    until(lambda: "draining" in bench.printed("worker"), "it drains")
    second.send_signal(signal.SIGINT)
    assert second.wait(120) == 0
    after = get_run(bench.store, run_id)
    assert (after.status, after.crashes) == ("queued", 0), bench.printed("worker")
