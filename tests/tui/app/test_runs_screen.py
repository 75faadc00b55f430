"""Runs: what the table shows and what its keys do."""

from pathlib import Path

import pytest

from engine import queue
from engine.store import get_run, list_runs, open_store
from engine.store.queries.feed import RunRow
from engine.views.runs import RunGroup, TableRow, value_of
from tests.tui.app.bench import RUNS, app_of, id_of, opened, press, quiet, screen_text, text_in, until
from tfllmer_tui.tui.screens.queue import QueueScreen
from tfllmer_tui.tui.screens.runs import RunsScreen
from tfllmer_tui.tui.widgets.chart import Chart
from tfllmer_tui.tui.widgets.filter_bar import FilterBar
from tfllmer_tui.tui.widgets.run_table import RunTable


def table(pilot: object) -> RunTable:
    screen = pilot.app.screen  # type: ignore[attr-defined]
    assert isinstance(screen, RunsScreen)
    return screen.table


def first_of(entry: TableRow) -> RunRow:
    return entry.first if isinstance(entry, RunGroup) else entry


def ids(pilot: object) -> list[str]:
    return [row.id for row in table(pilot).rows]


async def test_every_run_is_there_newest_first_with_its_numbers(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        assert ids(pilot) == [id_of(n) for n in reversed(range(len(RUNS)))]
        shown = text_in(table(pilot))
        finished = next(line for line in shown.splitlines() if "✓" in line and "gru4rec" in line)
        assert "12/12" in finished and "0.1380" in finished and "0.1280" in finished
        running = next(line for line in shown.splitlines() if "●" in line)
        assert "no-both" in running and "5/12" in running


async def test_what_is_typed_filters_and_what_is_wrong_is_told(filled: Path) -> None:
    async with opened(filled) as pilot:
        await press(pilot, "slash", *"status:queued")
        assert ids(pilot) == [id_of(8), id_of(7)]
        pilot.app.screen.query_one(FilterBar).set_text("status:queued nonsense:1")
        await quiet(pilot)
        assert pilot.app.screen.query_one(FilterBar).has_class("-wrong")
        assert ids(pilot) == [id_of(8), id_of(7)]


async def test_tab_completes_the_filter(filled: Path) -> None:
    async with opened(filled) as pilot:
        await press(pilot, "slash", *"backb")
        await press(pilot, "tab")
        bar = pilot.app.screen.query_one(FilterBar)
        assert bar.text == "backbone"
        await press(pilot, *":gru")
        await press(pilot, "tab")
        assert bar.text == "backbone:gru4rec"
        assert ids(pilot) == [id_of(5)]


async def test_columns_sort_both_ways_and_what_lacks_a_value_is_last(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        screen._look_at(sort="test", descending=True)
        await quiet(pilot)
        values = [value_of(row, "test") for row in table(pilot).rows]
        known = [value for value in values if value is not None]
        assert known == sorted(known, reverse=True) and values[len(known) :] == [None] * (len(RUNS) - len(known))
        await press(pilot, "O")
        first = [value_of(row, "test") for row in table(pilot).rows][: len(known)]
        assert [value for value in first if value is not None] == sorted(known)


async def test_another_metric_takes_over_columns_order_and_curves(filled: Path) -> None:
    async with opened(filled, (140, 40)) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        screen._look_at(sort="test", descending=True)
        await quiet(pilot)
        assert "valid NDCG@10" in screen_text(pilot)
        await press(pilot, "M")
        best = table(pilot).rows[0]
        assert not isinstance(best, RunGroup)
        text = screen_text(pilot)
        assert f"{best.test['hr@10']:.4f}" in text and "HR@10" in text and "valid HR@10" in text
        values = [value_of(row, "test", "hr@10") for row in table(pilot).rows]
        known = [value for value in values if value is not None]
        assert known and known == sorted(known, reverse=True)
        await press(pilot, "f")
        group = next(row for row in table(pilot).rows if isinstance(row, RunGroup))
        assert group.metric == "hr@10" and group.test is not None
        assert group.test.mean == pytest.approx(sum(run.test["hr@10"] for run in group.runs) / len(group.runs))
    async with opened(filled, (140, 40)) as pilot:  # it is remembered
        assert "valid HR@10" in screen_text(pilot)


async def test_seeds_fold_into_a_row_with_their_spread(filled: Path) -> None:
    async with opened(filled) as pilot:
        await press(pilot, "f")
        groups = [row for row in table(pilot).rows if isinstance(row, RunGroup)]
        full = next(g for g in groups if g.first.arm == "tf-llmer/full" and g.first.backbone == "sasrec")
        assert full.seeds == [0, 1, 2] and full.test is not None and full.test.n == 3
        assert full.test.sd == pytest.approx(0.002, abs=1e-9)
        table(pilot).cursor = list(table(pilot).rows).index(full)
        await press(pilot, "enter")
        assert [row.id for row in table(pilot).rows if row.id in (id_of(0), id_of(1), id_of(2))] == [
            id_of(0),
            id_of(1),
            id_of(2),
        ]


async def test_missing_seeds_are_queued(filled: Path) -> None:
    async with opened(filled) as pilot:
        table(pilot).cursor = ids(pilot).index(id_of(3))
        await press(pilot, "m")
        app = app_of(pilot)
        await until(pilot, lambda: len(app.snapshot.rows) == len(RUNS) + 3)
        new = [row for row in app.snapshot.rows.values() if row.arm == "tf-llmer/no-norm" and row.status == "queued"]
        assert sorted(row.seed for row in new) == [2, 3, 4]


async def test_marked_runs_are_drawn_over_one_another_in_colours_that_stay(filled: Path) -> None:
    async with opened(filled, (160, 50)) as pilot:
        table(pilot).cursor = ids(pilot).index(id_of(5))
        await press(pilot, "space", "space")
        chart = pilot.app.screen.query(Chart).first()
        assert [series.name for series in chart.plot.series][:2] == ["full gru4rec seed 0", "no-norm sasrec seed 1"]
        assert chart.plot.colors[:2] == (0, 1)
        table(pilot).cursor = ids(pilot).index(id_of(5))
        await press(pilot, "space")  # unmarked: the other keeps its colour
        assert chart.plot.colors[0] == 1


async def test_a_baseline_turns_metrics_into_differences(filled: Path) -> None:
    async with opened(filled, (120, 40)) as pilot:
        table(pilot).cursor = ids(pilot).index(id_of(3))
        await press(pilot, "b")
        shown = text_in(table(pilot))
        assert "Δtest" in shown and "+0.0300" in shown
        await press(pilot, "b")
        assert "Δtest" not in text_in(table(pilot))


async def test_enter_opens_a_run_and_c_compares_the_marked(filled: Path) -> None:
    async with opened(filled) as pilot:
        await press(pilot, "enter")
        assert type(pilot.app.screen).__name__ == "RunScreen"
        await press(pilot, "escape")
        await press(pilot, "c")
        assert type(pilot.app.screen).__name__ == "RunsScreen"  # one run is nothing to compare
        await press(pilot, "space", "space", "c")
        assert type(pilot.app.screen).__name__ == "CompareScreen"


async def test_cancel_and_retry(filled: Path) -> None:
    store = open_store(filled)
    async with opened(filled) as pilot:
        table(pilot).cursor = ids(pilot).index(id_of(7))
        await press(pilot, "x")
        await until(pilot, lambda: app_of(pilot).snapshot.rows[id_of(7)].status == "cancelled")
        table(pilot).cursor = ids(pilot).index(id_of(9))
        await press(pilot, "r")
        await until(pilot, lambda: app_of(pilot).snapshot.rows[id_of(9)].status == "queued")
    assert get_run(store, id_of(7)).status == "cancelled"
    assert id_of(9) in [each.id for each in queue.queued(store)]


async def test_read_only_changes_nothing(filled: Path) -> None:
    async with opened(filled, read_only=True) as pilot:
        table(pilot).cursor = ids(pilot).index(id_of(7))
        await press(pilot, "x")
        assert "read-only" in screen_text(pilot).splitlines()[0]
        said = [notice.message for notice in pilot.app._notifications]
        assert said == ["read-only: this view shows runs and changes nothing"]
        await press(pilot, "w", "alt+2", "w", "alt+3", "w", "alt+4")
        assert isinstance(pilot.app.screen, QueueScreen)  # nobody is led to the form that launches
    assert get_run(open_store(filled), id_of(7)).status == "queued"
    assert len(list_runs(open_store(filled))) == len(RUNS)
    assert not [*Path().glob("*.svg"), *Path().glob("*.tex"), *filled.parent.glob("state")]


async def test_the_clipboard_gets_ids(filled: Path) -> None:
    async with opened(filled) as pilot:
        await press(pilot, "space", "space", "y")
        assert pilot.app.clipboard.split() == [id_of(9), id_of(8)]


async def test_what_is_chosen_is_remembered(filled: Path) -> None:
    async with opened(filled) as pilot:
        await press(pilot, "f", "slash", *"backbone:sasrec")
        pilot.app.theme = "tfllmer-light"
        await press(pilot, "escape")
    async with opened(filled) as pilot:
        assert pilot.app.theme == "tfllmer-light"
        assert pilot.app.screen.query_one(FilterBar).text == "backbone:sasrec"
        assert any(isinstance(row, RunGroup) for row in table(pilot).rows)


async def test_new_points_reach_the_table_while_it_is_open(filled: Path) -> None:
    from engine.spool import SpoolWriter
    from engine.store import ingest

    store = open_store(filled)
    async with opened(filled) as pilot:
        writer = SpoolWriter(store.folder(id_of(6)))
        writer.points(60, {"epoch": 6, "train_ce": 5.5, "valid.ndcg@10": 0.07})
        ingest(store, id_of(6))
        await until(pilot, lambda: app_of(pilot).snapshot.rows[id_of(6)].epoch == 6)
        await quiet(pilot)
        assert "6/12" in text_in(table(pilot))


async def test_an_empty_store_offers_the_demo_and_launches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened(tmp_path / "new.db", (80, 24)) as pilot:
        assert "Launch the demo" in screen_text(pilot)
        await press(pilot, "enter")
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == 3)
        await quiet(pilot)
        assert {first_of(row).arm for row in table(pilot).rows} == {"llm-pca", "id", "tf-llmer/full"}
    assert {each.status for each in list_runs(open_store(tmp_path / "new.db"))} == {"queued"}


async def test_after_the_first_screen_keys_are_those_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the button has gone out of sight before anything else is done, as on a busy machine."""
    monkeypatch.chdir(tmp_path)
    async with opened(tmp_path / "new.db", (80, 24)) as pilot:
        screen = pilot.app.screen
        monkeypatch.setattr(screen, "call_after_refresh", lambda call, *given: screen.set_timer(0.5, call))
        await press(pilot, "enter")
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == 3 and not screen.has_class("-empty"))
        await until(pilot, lambda: screen.focused is not None)
        assert screen.focused is table(pilot)


async def test_columns_are_chosen_and_remembered(filled: Path) -> None:
    async with opened(filled, (160, 40)) as pilot:
        assert [c.key for c in pilot.app.screen.query_one(RunTable).shown_columns][:5] == [
            *("status", "id", "arm", "dataset", "backbone")
        ]
        await press(pilot, "vertical_line", "space", "down", "space", "escape")
        assert [c.key for c in pilot.app.screen.query_one(RunTable).shown_columns][:3] == [
            *("status", "arm", "backbone")
        ]
    async with opened(filled, (160, 40)) as pilot:
        assert [c.key for c in pilot.app.screen.query_one(RunTable).shown_columns][:3] == [
            *("status", "arm", "backbone")
        ]
        await press(pilot, "vertical_line", "space", "escape")
        assert "id" in [c.key for c in pilot.app.screen.query_one(RunTable).shown_columns]
