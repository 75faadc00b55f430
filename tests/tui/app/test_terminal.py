"""A day at the terminal, in a real one: from an empty store to a table for the paper, and back again the next day."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.store import Run, list_runs, open_store
from tests.tui.app.terminal import Terminal, end_all, small_demo, terminal
from tfllmer_tui.tui.screens.launch import FORM

pytestmark = pytest.mark.xdist_group("machine")

MANY, LONG = 300, 9_999
"""Epochs that take a moment, and of a run that nobody waits for."""
STOPPED = ("cancelled", "finished", "failed", "lost")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, but that the demo is a small one there; runs and workers that are left are ended."""
    monkeypatch.undo()  # workers are real ones here
    small_demo(tmp_path)
    yield tmp_path
    end_all(tmp_path / "experiments.db")


def runs(folder: Path) -> dict[str, Run]:
    """By ablation, or method without one, and seed; of several the newest."""
    found = sorted(list_runs(open_store(folder / "experiments.db")), key=lambda run: run.id)
    return {f"{run.ablation or run.method} {run.seed}": run for run in found}


def reaches(folder: Path, name: str, *statuses: str, seconds: float = 180) -> Run:
    """Wait until a run has one of the statuses."""
    end = time.monotonic() + seconds
    while (run := runs(folder).get(name)) is None or run.status not in statuses:
        assert time.monotonic() < end, f"{name}: {run and run.status}"
        time.sleep(0.2)
    return run


def epochs(screen: str, ablation: str, of: int) -> list[int]:
    """How far the table says that runs of an ablation are."""
    short = f"{of / 1000:.0f}k"  # as the table has it where the other number is long as well
    return [int(done) for done in re.findall(rf"{ablation}.*? (\d+)/(?:{of}|{short})\b", screen)]


def curve(screen: str) -> list[str]:
    """What is drawn in dots."""
    return re.findall(r"[⠁-⣿]+", screen)


def begin(app: Terminal, folder: Path) -> None:
    """The first screen, and the demo from it."""
    app.start()
    app.shows("No run yet", "Launch the demo", "will be made with the first run")
    app.keys("Enter")
    app.shows("3 runs", "llm-pca", "id", "full")
    reaches(folder, "full 0", "running", "finished")


def launch(app: Terminal, **fields: str) -> None:
    """Fill the form line by line, and go."""
    app.keys("n")
    app.shows("ctrl+r launches")
    time.sleep(0.5)
    names = [box.name for box in FORM if box.name != "cluster"]  # which is there for jobs of a cluster alone
    for name, after in zip(names, (*names[1:], ""), strict=True):
        if name in fields:
            app.type(fields[name])
            app.when(lambda _, name=name: fields[name] in app.line(name), f"{name} {fields[name]}")  # type: ignore[misc]
        before = app.line(after)
        app.keys("Down")  # what is typed before the next line has the focus goes into this one
        if after:
            app.when(lambda _, name=after, before=before: app.line(name) != before, f"focus on {after}")  # type: ignore[misc]


def test_the_demo_is_launched_watched_and_found_again(folder: Path) -> None:
    with terminal(folder, (80, 24)) as app:
        begin(app, folder)
        app.shows("train CE")
        app.when(curve, "a curve")
        app.shows("Open", "Filter")  # the keys are the table's
        app.keys("Home")  # to the newest: the cursor stays on the run that the screen saw first
        app.keys("Enter")
        app.shows("full · demo", "epoch", "Edit a copy")
        app.keys("Escape")
        app.shows("3 runs", "Fold")
        app.keys("q")
        assert app.ends() == 0
        app.start()
        app.shows("3 runs")
        assert {reaches(folder, name, *STOPPED).status for name in runs(folder)} == {"finished"}
        app.when(lambda screen: screen.count("✓") == 3, "all have finished")
        told = app.shows("Training CE after")
        assert all(
            words in " ".join(told.split()) for words in ("the usual way in", "the baseline", "the cure", "one seed")
        )


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_a_day_at_the_terminal(folder: Path, size: tuple[int, int]) -> None:
    with terminal(folder, size) as app:
        begin(app, folder)
        reaches(folder, "full 0", "finished")

        # An ablation with two seeds, by the form.
        launch(app, ablation="no-norm", seeds="2", set=f"train.epochs={MANY}")
        app.shows("2 new runs")
        app.keys("C-r")
        app.shows("2 runs queued", "5 runs")
        app.keys("M-1")
        reaches(folder, "no-norm 0", "running")

        # Its curve moves.
        app.keys("Home")
        app.when(lambda screen: max(epochs(screen, "no-nor", MANY), default=0) >= 1, "it is on its way")
        before = app.when(curve, "its curve")
        app.when(
            lambda screen: curve(screen) != curve(before) and max(epochs(screen, "no-nor", MANY), default=0) > 1,
            "the curve moves",
        )

        # It is opened.
        app.keys("Enter")
        app.shows("no-norm · demo", "seed 1", f"/{MANY}", "Edit a copy")
        if size[0] < 130:  # curves and settings do not fit side by side
            app.keys("]")
        app.shows("setting", "value", "demo")
        app.keys("Escape")

        # Another one is cancelled, and goes on from where it was.
        launch(app, ablation="no-rec-pca", seeds="1", set=f"train.epochs={LONG}")
        app.shows("1 new run")
        app.keys("C-r")
        app.shows("1 run queued", "6 runs")
        app.keys("M-1")
        first = reaches(folder, "no-rec-pca 0", "running", seconds=900)
        app.keys("Home", "x")
        app.shows("Stop", "y yes")
        app.keys("y")
        app.shows("1 run stopping")
        reaches(folder, "no-rec-pca 0", "cancelled")
        app.when(lambda screen: "no-rec-pca" in screen and "■" in screen, "it is cancelled")
        app.keys("r")
        app.shows("1 run queued again")
        again = reaches(folder, "no-rec-pca 0", "running")
        assert again.id == first.id and again.pid != first.pid

        # Two are compared.
        for seed in (0, 1):
            reaches(folder, f"no-norm {seed}", "finished", seconds=900)
        app.keys("Down", "Space", "Space", "c")
        app.shows("test NDCG@10", "seed 0", "seed 1")
        app.keys("Escape", "U")

        # Seeds fold into one row.
        app.keys("f")
        app.shows("±")
        app.keys("f")

        # A filter.
        app.keys("/")
        app.type("ablation:no-norm")
        app.shows("2 of 6")
        app.keys("Enter")

        # A table for a paper.
        app.keys("2")
        app.shows("demo · test NDCG@10", "sasrec")
        app.keys("w")
        app.shows(".tex written")
        (table,) = folder.glob("*.tex")
        assert "begin{tabular}" in table.read_text()

        # The terminal ends, the run does not; the next day it is there again, as is the filter.
        app.keys("1", "q")
        assert app.ends() == 0
        left = reaches(folder, "no-rec-pca 0", "running")
        assert left.pid is not None and psutil.pid_exists(left.pid)
        app.start()
        app.shows("2 of 6", "no-norm")
        app.keys("/", "C-u")
        app.when(lambda screen: max(epochs(screen, "no-rec", LONG), default=0) >= 1, "the run that went on")
