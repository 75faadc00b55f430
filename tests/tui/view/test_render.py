import io
import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from engine.errors import UserError
from engine.records import RunFacts, RunResult
from engine.reports.boards.leaderboard import leaderboards
from tests.engine.reports.records import record
from tfllmer_tui.view.board import leaderboard_table
from tfllmer_tui.view.live import Points, RunProgress, live_view
from tfllmer_tui.view.runs import result_table, run_table
from tfllmer_tui.view.svg import save_svg
from tfllmer_tui.view.text import STATUS, duration, plain, short_ids, sparkline, status_text

EVIL = "[red]\x1b[31m\x07\x9b2J\u202e[/red]\n[link=x]"


def shown(what: RenderableType, width: int = 80) -> str:
    console = Console(width=width, record=True, color_system="truecolor", force_terminal=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def series() -> dict[str, Points]:
    epoch = np.arange(31.0)
    steps = epoch * 190
    return {
        "epoch": (steps, epoch),
        "train_ce": (steps, 5.5 + 1.9 * np.exp(-epoch / 6)),
        "valid_ce": (steps, 6.1 + 1.4 * np.exp(-epoch / 4)),
        "valid.ndcg@10": (steps, 0.113 * (1 - np.exp(-epoch / 7))),
        "targets_per_s": (steps, np.full(31, 41234.0)),
    }


FACTS = {
    "popularity_train_ce": 6.78,
    "n_users": 943,
    "n_items": 1682,
    "parameters": 212544,
    "device": "cpu",
    "threads": 2,
}


def test_every_status_has_its_own_mark() -> None:
    assert set(STATUS) == {"queued", "running", "stopping", "finished", "failed", "cancelled", "lost"}
    assert len({mark for mark, _ in STATUS.values()}) == len(STATUS)
    assert status_text("finished").plain == "✓ finished"
    assert status_text("lost", word=False).plain == "?"


@given(st.text())
def test_text_from_data_is_one_harmless_line(text: str) -> None:
    made = plain(text)
    assert not made.spans
    assert len(made.plain) == len(text)
    assert all(c.isprintable() or c == "�" or c.isspace() for c in made.plain if ord(c) < 0x300)
    assert not set(made.plain) & set("\x1b\n\r\x07\x9b\u202e")


def test_no_name_reaches_the_terminal_as_a_command() -> None:
    run = record(EVIL, EVIL, EVIL, dataset=EVIL, backbone=EVIL, embedding=EVIL, overrides={EVIL: EVIL})
    run = replace(run, reason=EVIL)
    board = leaderboards([run])[0]
    progress = RunProgress(3, 5, 1.0)
    for what in (
        run_table([run]),
        result_table(run),
        leaderboard_table(board),
        live_view(run, series(), RunFacts.decode(FACTS), progress),
    ):
        console = Console(width=300, force_terminal=False, color_system=None, record=True, file=io.StringIO())
        console.print(what)
        text = console.export_text()
        assert not set(text) & set("\x1b\x07\x9b\u202e")
        assert "[red]" in text


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([], 5, ""),
        ([1.0], 5, "▅"),
        ([1, 2, 3], 3, "▁▅█"),
        ([1, 1, 1], 3, "▅▅▅"),
        ([math.nan, 1, math.inf, 2], 4, " ▁ █"),
        ([math.nan] * 3, 2, "  "),
        ([0, 0, 10, 10], 2, "▁█"),
        ([1, 2], 0, ""),
        ([-1e308, 1e308, 1.0], 3, "  ▅"),
    ],
)
def test_sparklines(values: list[float], width: int, expected: str) -> None:
    assert sparkline(values, width) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "–"), (math.nan, "–"), (0.24, "0.2 s"), (42, "42 s"), (59.6, "1:00"), (185, "3:05"), (3729, "1:02:09"),
    ],
)  # fmt: skip
def test_durations(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected


def test_time_left_is_said_of_a_run_that_goes_on() -> None:
    def progress(told: RunProgress) -> str:
        return shown(live_view(record("RUN"), series(), RunFacts.decode(FACTS), told))

    assert "50%  1:14 · 1:00 left" in progress(RunProgress(20, 40, 74.2, 60.0))
    assert "time left unknown" in progress(RunProgress(20, 40, 74.2))
    for ended in (RunProgress(29, 40, 74.2, ended=True), RunProgress(40, 40, 74.2, 3.0)):  # patience ends many early
        assert "left" not in progress(ended)
    assert [RunProgress(0, 0, 1.0, ended=ended).share for ended in (False, True)] == [0.0, 1.0]
    assert "no epochs" in progress(RunProgress(0, 0, 1.0))  # of what is fitted in one go


def test_short_ids_tell_runs_apart() -> None:
    assert short_ids(["01K8Z3QW5T", "01K8Z3QW6T"], 8) == ["01K8Z3QW5", "01K8Z3QW6"]
    assert short_ids(["AAAAAAAAAAAA", "AAAAAAAAAAAA"], 4) == ["AAAA", "AAAA"]
    assert short_ids([]) == []


def test_the_run_table_fits_80_columns_and_uses_more() -> None:
    runs = [
        record("01K8Z3QW5T7N2C4V6B8X9M1P3R", "tf-llmer", "no-norm", dataset="amazon-beauty", backbone="bert4rec"),
        record("01K8Z3QX5T7N2C4V6B8X9M1P3R", "id", None, status="queued", value=None),
    ]
    text = shown(run_table(runs))
    assert max(map(len, text.splitlines())) <= 80
    for word in ("✓ 01K8Z3QW", "amazon-beauty", "bert4rec", "6.900", "0.0500", "0.1000", "· 01K8Z3QX"):
        assert word in text
    assert "▁" in shown(run_table(runs), 120)


def test_a_narrow_run_table_keeps_arm_and_result_whole() -> None:
    run = record("01K8Z3QW5T7N2C4V6B8X9M1P3R", "tf-llmer", "no-norm", overrides={"train.lr": 3e-4})
    text = shown(run_table([run, replace(run, id="01K8Z3QX5T7N2C4V6B8X9M1P3R", seed=1)]), 60)
    assert max(map(len, text.splitlines())) <= 60
    for word in (
        "tf-llmer/no-norm",
        "0.1000",
        "test: NDCG@10 at the best validation epoch",
        "all with train.lr=0.0003",
    ):
        assert word in " ".join(text.split())
    assert "…" not in text and "[train.lr" not in text


def test_the_result_says_what_was_reached() -> None:
    text = shown(result_table(record("RUN", overrides={"train.lr": 3e-4})))
    for word in ("✓ finished", "tf-llmer/full [train.lr=0.0003]", "7.000 → 6.900", "NDCG@10 0.1000", "HR@10 0.2000"):
        assert word in text
    assert "at epoch 17 of 20" in text
    assert "1:14   41,234 targets/s" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_run_without_a_result_is_shown_too() -> None:
    failed = record("RUN", "id", None, status="failed")
    bare = replace(failed, reason="exception: ValueError: no", result=RunResult())
    assert "✗ failed: exception: ValueError: no" in shown(result_table(bare))
    assert "✗ RUN" in shown(run_table([bare]))


def test_what_all_runs_have_leaves_its_room_to_the_arms() -> None:
    changes = {"table.inject": "linear", "embedding.reduce.columns": 128}
    runs = [record(run, "tf-llmer", "id-table", overrides=changes if run == "A" else {}) for run in ("A", "B")]
    heads, *lines = shown(run_table(runs), 80).splitlines()
    assert "dataset" not in heads and "backbone" not in heads
    assert "all on ml-100k · sasrec" in " ".join(lines)
    assert any("tf-llmer/id-table " in line for line in lines) and any(
        "[embedding.reduce.columns=128," in line for line in lines
    )
    other = replace(runs[1], dataset="demo")
    assert "dataset" in shown(run_table([runs[0], other]), 80).splitlines()[0]
    assert "dataset" in shown(run_table(runs[:1]), 80).splitlines()[0]


def test_notes_of_a_board_name_arms_as_its_rows_do() -> None:
    changes = {"train.epochs": 20}
    runs = [record(arm, arm, None, overrides=changes) for arm in ("id", "id-norm")]
    runs.append(record("T", "id", None, overrides={**changes, "train.lr": 0.01}))
    text = " ".join(shown(leaderboard_table(leaderboards(runs)[0])).split())
    assert "settings tried: 1 for id-norm, 2 for id ·" in text
    assert text.count("train.epochs=20") == 1


def test_leaderboard_numbers_and_notes() -> None:
    runs = [record("A", value=0.2), record("B", value=0.3, seed=1), record("C", "id", None, value=0.1)]
    text = shown(leaderboard_table(leaderboards(runs)[0]))
    assert "0.2500 ±0.0707 (2)" in text
    assert "0.1000 (1)" in text
    assert "number of seeds" in text
    assert "one seed, no spread" in shown(leaderboard_table(leaderboards(runs[:1])[0]))
    even = shown(leaderboard_table(leaderboards(runs[:2], ["train_ce"])[0]))
    assert "over 2 seeds" in even
    assert "lower is better" in " ".join(even.split())
    assert "seen" not in even


def test_a_change_that_all_arms_share_is_told_once() -> None:
    changed = {"train.epochs": 20}
    runs = [record("A", value=0.2, overrides=changed), record("C", "id", None, value=0.1, overrides=changed)]
    text = shown(leaderboard_table(leaderboards(runs)[0]))
    assert text.count("train.epochs=20") == 1
    assert "all with train.epochs=20" in text
    some = shown(leaderboard_table(leaderboards([runs[0], record("C", "id", None, value=0.1)])[0]))
    assert "[train.epochs=20]" in some
    assert "all with" not in some


def test_best_is_bold_and_second_underlined() -> None:
    runs = [record("A", value=0.2), record("C", "id", None, value=0.1)]
    console = Console(width=80, force_terminal=True, color_system="truecolor", file=io.StringIO(), record=True)
    console.print(leaderboard_table(leaderboards(runs)[0]))
    text = console.export_text(styles=True)
    assert "\x1b[1m0.2000" in text
    assert "\x1b[4m0.1000" in text


def test_the_live_view_fits_a_terminal_of_80_by_24() -> None:
    run = record("01K8Z3QW5T7N2C4V6B8X9M1P3R", status="running")
    text = shown(live_view(run, series(), RunFacts.decode(FACTS), RunProgress(30.4, 40, 74.2, 23.4)))
    lines = text.splitlines()
    assert len(lines) == 23
    assert max(map(len, lines)) <= 80
    for word in (
        "tf-llmer/full · ml-100k · minilm-l6 · sasrec · seed 0",
        "train CE 5.513",
        "valid CE 6.101",
        "popularity (train) 6.78",
        "valid NDCG@10 ▁",
        "best 0.1114 at epoch 30",
        "epoch 30/40 ━",
        "76%",
        "1:14 · 23 s left",
        "41,234 targets/s",
        "● running",
    ):
        assert word in text


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"device": "cpu", "threads": 4}, "cpu × 4"),
        ({"device": "cpu", "devices": 2, "threads": 4}, "2 × cpu × 4"),
        ({"device": "cpu", "devices": 2}, "2 × cpu × ?"),
        ({"device": "cuda", "devices": 8, "threads": 1}, "8 × cuda"),
        ({"device": "cuda:0", "devices": "two"}, "cuda:0"),
    ],
)
def test_the_live_view_tells_how_many_devices_share_a_run(place: dict[str, object], words: str) -> None:
    facts = RunFacts.decode({**place, "n_users": 7})
    text = shown(live_view(record("RUN", status="running"), {}, facts, RunProgress(0, 40, 0.1)))
    assert f"│ {words} · 7 users" in text


@given(st.integers(1, 130), st.integers(0, 60), st.sampled_from([0, 1, 5, 31]))
def test_the_live_view_takes_any_room_and_any_state(width: int, height: int, points: int) -> None:
    some = {name: (x[:points], y[:points]) for name, (x, y) in series().items()}
    run, progress = record("RUN", status="running"), RunProgress(0, 40, 0.0)
    view = live_view(run, some, RunFacts(), progress, width=width, height=height)
    lines = shown(view, max(width, 8)).splitlines()
    assert max(map(len, lines)) <= max(width, 8)
    assert len(lines) <= max(height, 8)


def test_before_the_first_measurement_it_says_so() -> None:
    text = shown(live_view(record("RUN", status="running"), {}, RunFacts(), RunProgress(0, 40, 0.1)))
    assert "waiting for the first measurement" in text
    assert len(text.splitlines()) == 23


def test_pictures_are_svg_without_anything_from_the_network(tmp_path: Path) -> None:
    path = tmp_path / "live.svg"
    save_svg(live_view(record("RUN<&>"), series(), RunFacts.decode(FACTS), RunProgress(40, 40, 74.2)), path, 80)
    text = path.read_text()
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg")
    assert "train&#160;CE" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    again = tmp_path / "again.svg"
    save_svg(live_view(record("RUN<&>"), series(), RunFacts.decode(FACTS), RunProgress(40, 40, 74.2)), again, 80)
    assert again.read_text() == text
    with pytest.raises(UserError, match="cannot be written"):
        save_svg("x", tmp_path / "none" / "live.svg", 80)
