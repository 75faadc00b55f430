"""The command line and the screens over one store: the same numbers, because they ask the same function."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.views.runs import RunGroup
from tests.tui.app.bench import EPOCHS, app_of, fill, id_of, opened, press, quiet, screen_text, until
from tests.tui.cli.calls import call
from tfllmer_tui.tui.screens.compare import CompareScreen
from tfllmer_tui.tui.screens.leaderboard import LeaderboardScreen
from tfllmer_tui.tui.screens.queue import QueueScreen
from tfllmer_tui.tui.screens.study_plan import StudyPlanScreen
from tfllmer_tui.tui.widgets.table import VirtualTable

STUDY = f"""\
meaning: two arms on the generated data
set:
  train.epochs: {EPOCHS}
grid:
  arm: [tf-llmer/full, tf-llmer/no-both]
  seed: 0-1
"""


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of ten runs and a study, in the working folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("engine.queue.ensure_worker", lambda store: False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "study").mkdir(parents=True)
    (tmp_path / "configs" / "study" / "mine.yaml").write_text(STUDY)
    fill(tmp_path / "experiments.db").engine.dispose()
    return tmp_path / "experiments.db"


def printed(folder: Path, *words: str) -> Any:
    """What a command prints as JSON."""
    done = call(folder, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_leaderboards(filled: Path) -> None:
    async with opened(filled, (200, 60)) as pilot:
        await press(pilot, "alt+2", "m", "m", "m", "m", "end", "b")  # training CE, against the worst arm
        screen = pilot.app.screen
        assert isinstance(screen, LeaderboardScreen)
        await until(pilot, lambda: screen.board is not None and screen.board.compared)
        await quiet(pilot)
        board = screen.board
        assert board is not None
        shown = {
            (row.label, backbone): (cell.mean, cell.sd, list(cell.seeds), cell.versus and cell.versus.p_holm)
            for row in board.rows
            for backbone, cell in zip(board.backbones, row.cells, strict=True)
            if cell is not None
        }
        text = screen_text(pilot)
        await press(pilot, "C")
        words = _words(pilot.app.clipboard)
    (said,) = printed(filled.parent, *words)
    cells = {
        (row["arm"], backbone): (cell["mean"], cell["sd"], cell["seeds"], (cell["versus"] or {}).get("p_holm"))
        for row in said["rows"]
        for backbone, cell in row["cells"].items()
    }
    assert cells == shown and len(shown) == 3
    assert all(f"{mean:.4f}" in text for mean, *_ in shown.values())


async def test_folds_over_seeds(filled: Path) -> None:
    async with opened(filled, (200, 60)) as pilot:
        await press(pilot, "f")
        table = pilot.app.screen.query_one(VirtualTable)
        await until(pilot, lambda: any(isinstance(row, RunGroup) for row in table.rows))
        groups = {row.key: row for row in table.rows if isinstance(row, RunGroup)}
        text = screen_text(pilot)
    folds = {fold["config_hash"]: fold["values"] for fold in printed(filled.parent, "runs", "--group", "seed")}
    measured = {key: group for key, group in groups.items() if group.train_ce is not None}
    assert len(measured) == 2
    for key, group in measured.items():
        for name, own in (("train_ce", group.train_ce), ("valid.ndcg@10", group.valid), ("test.ndcg@10", group.test)):
            assert own is not None and folds[key][name] == {"mean": own.mean, "sd": own.sd, "n": own.n}
        assert group.test is not None and f"{group.test.mean:.4f}" in text


async def test_comparisons(filled: Path) -> None:
    async with opened(filled, (200, 60)) as pilot:
        app_of(pilot).compare([id_of(number) for number in range(5)])
        await quiet(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, CompareScreen)
        await until(pilot, lambda: screen._found.tested is not None)
        await quiet(pilot)
        tested = screen._found.tested
        assert tested is not None
        text = " ".join(screen_text(pilot).split())
        await press(pilot, "C")
        words = _words(pilot.app.clipboard)
    said = printed(filled.parent, *words, "--metric", "train_ce", "--metric", "test.ndcg@10")
    whole = [line for line in said["metrics"] if line["group"] == "all"]
    shown = {str(line.metric): line for line in tested.lines if line.group == "all"}
    for line in whole:
        own = shown[line["metric"]]
        assert line["difference"] == own.difference
        assert [test["p"] for test in line["tests"]] == [test.p for test in own.tests]
        assert f"{line['side_summary']['mean']:.4f}" in text
        assert f"{line['difference']:+.4f}" in text


async def test_the_state_of_a_study(filled: Path) -> None:
    async with opened(filled, (200, 60)) as pilot:
        await pilot.app.push_screen(StudyPlanScreen("mine"))
        screen = pilot.app.screen
        assert isinstance(screen, StudyPlanScreen)
        await until(pilot, lambda: screen._preview.now is not None)
        await quiet(pilot)
        now = screen._preview.now
        assert now is not None
        text = screen_text(pilot)
    said = printed(filled.parent, "study", "show", "mine", "--dry-run")
    assert said["counts"] == now.counts == {"finished": 2, "running": 1, "queued": 1}
    assert [(cell["run"], cell["state"], cell["epoch"]) for cell in said["cells"]] == [
        (cell.run, cell.state, cell.epoch) for cell in now.cells
    ]
    assert (said["slots"], said["untimed"]) == (now.time.slots, now.time.untimed)
    assert "✓ 2 finished  ● 1 running  · 1 queued" in text


async def test_the_queue(filled: Path) -> None:
    async with opened(filled, (200, 60)) as pilot:
        await press(pilot, "alt+3")
        screen = pilot.app.screen
        assert isinstance(screen, QueueScreen)
        await press(pilot, *["down"] * 2, "t")  # the second of those that wait goes to the front
        rows = [row for row in screen.query_one("#queue", VirtualTable).rows if row.status == "queued"]
    said = printed(filled.parent, "queue")  # which settles the one that runs: its process is none
    assert [row.id for row in rows] == [run["run"] for run in said["queued"]] == [id_of(8), id_of(7)]


def _words(command: str) -> list[str]:
    """A copied command without the name of the program."""
    import shlex

    program, *words = shlex.split(command)
    assert program == "tfllmer"
    return words
