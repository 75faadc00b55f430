"""The other screens: what they show and what their keys do."""

from pathlib import Path

import pytest
from sqlalchemy import text
from textual.widgets import Input, Static, TabbedContent

from engine import queue
from engine.reports.boards import compare as reports
from engine.reports.boards.evidence import evidence_of
from engine.reports.boards.leaderboard import leaderboards
from engine.reports.boards.marks import marked
from engine.store import get_run, list_runs, open_store
from engine.views.comparisons import ComparedInterval, ComparedNumber
from engine.views.plans import plan, seeds_of
from tests.tui.app.bench import EPOCHS, RUNS, app_of, id_of, opened, press, quiet, screen_text, until
from tfllmer_tui.tui.screens.compare import CompareScreen
from tfllmer_tui.tui.screens.help import HelpScreen, sections
from tfllmer_tui.tui.screens.launch import FORM, LaunchScreen
from tfllmer_tui.tui.screens.leaderboard import LeaderboardScreen
from tfllmer_tui.tui.screens.queue import QueueScreen
from tfllmer_tui.tui.screens.run import RunScreen
from tfllmer_tui.tui.widgets.chart import Chart
from tfllmer_tui.tui.widgets.charts import Charts
from tfllmer_tui.tui.widgets.log_view import LogView
from tfllmer_tui.tui.widgets.table import VirtualTable


async def test_a_run_shows_curves_config_log_events_and_provenance(filled: Path) -> None:
    with open_store(filled).write() as session:  # as a run on two devices records it
        session.connection().execute(text("UPDATE run SET facts = json_set(facts, '$.devices', 2)"))
    async with opened(filled, (160, 50)) as pilot:
        app_of(pilot).open_run(id_of(1))
        await quiet(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, RunScreen)
        train_ce = screen.charts.charts[0]
        assert train_ce.title == "train CE" and len(train_ce.plot.series[0].x) == EPOCHS + 1
        assert [line.name for line in train_ce.plot.lines] == ["popularity"]
        settings = {fact.id: fact for fact in screen.query_one("#settings-table", VirtualTable).rows}
        assert settings["train.epochs"].value == str(EPOCHS) and settings["train.epochs"].aside == "--set"
        assert settings["embedding.reduce"].aside.startswith("configs/method/tf-llmer.yaml")
        assert "finished" in [fact.value for fact in screen.query_one("#events-table", VirtualTable).rows]
        about = {fact.id: fact.value for fact in screen.query_one("#about-table", VirtualTable).rows}
        assert (about["device"], about["devices"]) == ("cpu", "2")
        assert about["command"].startswith("tfllmer run --ablation full")


async def test_the_log_follows_until_one_scrolls_up_and_can_be_searched(filled: Path) -> None:
    log = open_store(filled).folder(id_of(6)).log
    async with opened(filled, (100, 30)) as pilot:
        app_of(pilot).open_run(id_of(6))
        await quiet(pilot)
        screen = pilot.app.screen
        screen.query_one(TabbedContent).active = "log"
        view = screen.query_one(LogView)
        await until(pilot, lambda: len(view.lines) == 201)
        await quiet(pilot)
        assert "the needle" in screen_text(pilot)
        with log.open("a") as file:
            file.write("one more\ntorn")
        await until(pilot, lambda: len(view.lines) == 203)
        with log.open("a") as file:
            file.write(" off\n")
        await until(pilot, lambda: view.lines[-1] == "torn off")
        await quiet(pilot)
        assert "torn off" in screen_text(pilot)
        view.focus()
        await press(pilot, "home")
        await until(pilot, lambda: "line 0 of the log" in screen_text(pilot))  # it glides there
        with log.open("a") as file:
            file.write("unseen\n")
        await until(pilot, lambda: view.lines[-1] == "unseen")
        assert "line 0 of the log" in screen_text(pilot)
        await press(pilot, "slash", *"needle")
        assert "the needle" in screen_text(pilot)


async def test_keys_change_how_curves_are_looked_at(filled: Path) -> None:
    async with opened(filled, (100, 30)) as pilot:
        app_of(pilot).open_run(id_of(0))
        await quiet(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, RunScreen)
        chart = screen.charts.charts[0]
        assert chart.plot.x_name == "epoch"
        await press(pilot, "a")
        assert chart.plot.x_name == "step" and chart.plot.series[0].x[-1] == 10 * EPOCHS
        await press(pilot, "s")
        assert [series.faint for series in chart.plot.series] == [False, True]
        await press(pilot, "l")
        assert chart.log_y and chart.picture.frame.log_y
        await press(pilot, "z")
        assert screen.charts.look.whole and [chart.focus_y] == [False]
        await press(pilot, "z")
        assert [chart.focus_y] == [True]
        await press(pilot, "plus")
        zoomed = chart.picture.frame.x
        assert zoomed[1] - zoomed[0] == 5 * EPOCHS and screen.charts.charts[1].x_range == chart.x_range
        await press(pilot, "0")
        assert chart.picture.frame.x[1] == 10 * EPOCHS
        await press(pilot, "right")
        other = screen.charts.charts[1]
        assert other.at == chart.at and other.picture.frame.column_of(other.at or -1.0) is not None
        await press(pilot, "w")
    assert "<svg" in Path("tfllmer-train-ce.svg").read_text()


async def test_the_run_can_be_copied_in_parts(filled: Path) -> None:
    async with opened(filled) as pilot:
        app_of(pilot).open_run(id_of(0))
        await quiet(pilot)
        await press(pilot, "C")
        assert pilot.app.clipboard == "tfllmer run --ablation full --backbone sasrec --seed 0"
        await press(pilot, "Y")
        assert f"epochs: {EPOCHS}" in pilot.app.clipboard


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_the_use_of_the_device_is_drawn_over_time(filled: Path, size: tuple[int, int]) -> None:
    async with opened(filled, size) as pilot:
        app_of(pilot).open_run(id_of(0))
        await quiet(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, RunScreen)
        screen.query_one(TabbedContent).active = "device"
        await quiet(pilot)
        load, memory = screen.query_one("#device-use", Charts).charts[:2]
        assert load.region and 0.5 < load.plot.series[0].y.min() < 0.7 and memory.plot.series[0].y[-1] > 0.5
        assert "device load" in screen_text(pilot)
        await press(pilot, "a")
        assert load.plot.x_name == "step"
        if screen.is_wide:  # both panes are looked at in the same way
            assert screen.query_one("#wide", Charts).charts[0].plot.x_name == "step"


async def test_a_diverged_run_has_its_gap_marked(filled: Path) -> None:
    async with opened(filled) as pilot:
        app_of(pilot).open_run(id_of(9))
        await quiet(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, RunScreen)
        marks = screen.charts.charts[0].plot.marks
        assert [(mark.char, mark.x) for mark in marks] == [("×", 5.0)]
        assert "diverged: loss is nan" in screen_text(pilot)


async def test_compare_shows_only_what_differs_and_by_how_much(filled: Path) -> None:
    async with opened(filled, (160, 50)) as pilot:
        app_of(pilot).compare([id_of(0), id_of(3)])
        await quiet(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, CompareScreen)
        lines = {line.id: line.values for line in screen.query_one("#lines", VirtualTable).rows}
        assert "train.epochs" not in lines and lines["table.normalize"] == ("both", "none")
        first, second = lines["test.ndcg@10"]
        assert isinstance(first, ComparedNumber) and isinstance(second, ComparedNumber)
        assert f"{second.mean - first.mean:+.4f}" in screen_text(pilot)
        assert len(screen.query(Chart).first().plot.series) == 2
        await press(pilot, "d")
        assert f"{first.mean - second.mean:+.4f}" in screen_text(pilot)


async def test_arrows_bring_the_columns_that_there_is_no_room_for(filled: Path) -> None:
    async with opened(filled, (80, 24)) as pilot:
        app_of(pilot).compare([id_of(0), id_of(3), id_of(5), id_of(6)])
        await quiet(pilot)
        table = pilot.app.screen.query_one("#lines", VirtualTable)

        def beside() -> list[str]:
            return [column.key for column in table.shown_columns[2:]]

        seen = beside()
        assert seen == ["1", "2", "3"][: len(seen)] and len(seen) < 3
        assert "of 4 by ← →" in screen_text(pilot)
        await press(pilot, "right", "right", "right", "right")
        assert beside()[-1] == "3" and table.shown_columns[1].key == "0"
        await press(pilot, *["left"] * 4)
        assert beside() == seen


async def test_compare_tests_as_the_command_line_does(filled: Path) -> None:
    ids = [id_of(number) for number in (0, 1, 2, 3, 4)]
    async with opened(filled, (200, 60)) as pilot:
        app_of(pilot).compare([id_of(0), id_of(3)])
        await quiet(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, CompareScreen)
        await until(pilot, lambda: screen._found.tested is not None)
        await quiet(pilot)
        said = " ".join(screen_text(pilot).split())
        assert "no test over seeds: one seed shows no spread between trainings" in said  # as the command says it
        assert "paired permutation test over users" in said
        await press(pilot, "S")
        await until(pilot, lambda: screen.run_ids() == [ids[0], ids[3], *ids[1:3], ids[4]])
        await until(pilot, lambda: screen._found.tested is not None and len(screen._found.sides[0].rows) == 3)
        await quiet(pilot)
        store = open_store(filled)
        full, other = (
            reports.Side(name, tuple(evidence_of(store, [get_run(store, run_id) for run_id in which])))
            for name, which in (("full (3 seeds)", ids[:3]), ("no-norm (2 seeds)", ids[3:]))
        )
        assert reports.to_json(reports.compare([full, other])) == reports.to_json(screen._found.tested)  # type: ignore[arg-type]
        lines = {line.id: line for line in screen.query_one("#lines", VirtualTable).rows}
        tested = lines["test.ndcg@10 seeds"].values[1]
        assert isinstance(tested, ComparedInterval) and tested.lo < tested.hi
        assert lines["group short"].name == "short histories (20)"
        await press(pilot, "C")
        assert pilot.app.clipboard == f"tfllmer compare 'tf-llmer/full#{full.runs[0].config_hash[:6]}' " + (
            f"'tf-llmer/no-norm#{other.runs[0].config_hash[:6]}'"
        )


async def test_compare_says_what_cannot_be_tested(filled: Path) -> None:
    async with opened(filled, (160, 50)) as pilot:
        app_of(pilot).compare([id_of(0), id_of(6)])
        await quiet(pilot)
        assert "no-both: no finished run, so nothing is tested" in screen_text(pilot)
        assert "train CE" in screen_text(pilot)  # and what there is of it is shown


async def test_the_leaderboard_marks_what_is_significant_and_names_the_test(filled: Path) -> None:
    async with opened(filled, (200, 60)) as pilot:
        await press(pilot, "2", "m", "m", "m", "m", "end", "b")  # training CE, against the worst arm
        screen = pilot.app.screen
        assert isinstance(screen, LeaderboardScreen)
        await until(pilot, lambda: screen.board is not None and screen.board.compared)
        await quiet(pilot)
        shown = screen_text(pilot)
        assert "better, ° worse than tf-llmer/no-norm" in shown and "paired t-test over seeds, Holm" in shown
        store = open_store(filled)
        evidence = {each.run: each for each in evidence_of(store, list_runs(store))}
        boards = leaderboards([each.record for each in evidence.values()], ["train_ce"])
        baseline = boards[0].rows[-1].label
        assert screen.board == marked(boards, evidence, baseline)[0]
        assert any(cell.versus and cell.versus.mark == "better" for cell in screen.board.cells)
        assert "*" in shown.split("tf-llmer/full")[1].splitlines()[0]
        preview = screen.query_one("#preview", LogView)
        assert any("$^{*}$" in line for line in preview.lines)
        assert any("paired t-test over seeds, Holm" in line for line in preview.lines)
        await press(pilot, "t")
        assert any("paired t-test over seeds, Holm" in line for line in preview.lines)  # Markdown
        await press(pilot, "t")
        assert preview.lines[0].endswith("difference,lo,hi,p,p_holm")
        await press(pilot, "C")
        assert pilot.app.clipboard.startswith("tfllmer leaderboard --dataset demo --metric train_ce --baseline")
        await press(pilot, "b")
        assert screen.board is not None and not screen.board.compared


async def test_the_leaderboard_refuses_to_test_one_seed(filled: Path) -> None:
    store = open_store(filled)
    with store.write() as session:
        gone = [{"id": id_of(number)} for number in (1, 2, 4)]
        session.connection().execute(text("UPDATE run SET status = 'cancelled' WHERE id = :id"), gone)
    async with opened(filled, (160, 50)) as pilot:
        await press(pilot, "2")
        screen = pilot.app.screen
        assert isinstance(screen, LeaderboardScreen)
        await press(pilot, "b")
        await until(pilot, lambda: screen.board is not None and screen.board.compared)
        await quiet(pilot)
        assert screen.board is not None
        assert {cell.versus.refused for cell in screen.board.cells if cell.versus} == {"there is one seed only"}
        assert "Not tested against tf-llmer/full: there is one seed only" in screen_text(pilot)
        await press(pilot, "o")
        await until(pilot, lambda: screen.board is not None and "over users" in screen.board.compared)


async def test_the_leaderboard_is_exported(filled: Path) -> None:
    async with opened(filled, (160, 50)) as pilot:
        await press(pilot, "2")
        screen = pilot.app.screen
        assert isinstance(screen, LeaderboardScreen)
        rows = screen.query_one("#board", VirtualTable).rows
        assert next(line.row.label for line in rows).startswith("tf-llmer/full")
        preview = screen.query_one("#preview", LogView)
        assert any("\\toprule" in line for line in preview.lines)
        await press(pilot, "t", "t")
        assert preview.lines[0].startswith("dataset,conditions")
        await press(pilot, "y")
        assert pilot.app.clipboard.startswith("dataset,conditions")
        await press(pilot, "m")
        assert "test HR@10" in screen_text(pilot)
        await press(pilot, "w")
    assert Path("leaderboard-demo-test-hr-10.csv").read_text().count("\n") > 2


async def test_the_queue_tells_jobs_of_a_cluster_and_how_they_stand(filled: Path) -> None:
    store = open_store(filled)

    def carried_out(state: str) -> None:
        job = text("UPDATE run SET executor = 'slurm', handle = '1234_5', handle_state = :state WHERE id = :id")
        with store.write() as session:
            session.connection().execute(job, {"state": state, "id": id_of(6)})

    carried_out("PENDING (Resources)")
    async with opened(filled, (200, 40)) as pilot:
        await press(pilot, "3")
        await until(pilot, lambda: "slurm 1234_5 PENDING (Resources)" in screen_text(pilot))
        carried_out("RUNNING on node17")
        await until(pilot, lambda: "slurm 1234_5 RUNNING on node17" in screen_text(pilot))


async def test_the_queue_is_reordered_and_cancelled(filled: Path) -> None:
    store = open_store(filled)
    async with opened(filled, (120, 40)) as pilot:
        await press(pilot, "3")
        screen = pilot.app.screen
        assert isinstance(screen, QueueScreen)
        table = screen.query_one("#queue", VirtualTable)
        assert [row.id for row in table.rows] == [id_of(6), id_of(7), id_of(8), id_of(9)]
        assert "no worker" in screen_text(pilot)
        await press(pilot, "down", "J")
        await until(pilot, lambda: [row.id for row in table.rows][1:3] == [id_of(8), id_of(7)])
        assert [each.id for each in queue.queued(store)] == [id_of(8), id_of(7)]
        await quiet(pilot)
        assert table.row is not None and table.row.id == id_of(7)  # the cursor stays on the run
        await press(pilot, "t")
        await until(pilot, lambda: [each.id for each in queue.queued(store)] == [id_of(7), id_of(8)])
        await press(pilot, "x")
        await until(pilot, lambda: [each.id for each in queue.queued(store)] == [id_of(8)])


async def test_the_form_is_checked_as_one_types_and_makes_a_grid(filled: Path) -> None:
    async with opened(filled, (140, 40)) as pilot:
        await press(pilot, "4")
        screen = pilot.app.screen
        assert isinstance(screen, LaunchScreen)
        screen.query_one("#ablation", Input).value = "fall"
        await quiet(pilot)
        assert "did you mean full?" in " ".join(str(screen.query_one("#said", Static).content).split())
        screen.query_one("#ablation", Input).value = "full, no-both"
        screen.query_one("#seeds", Input).value = "2"
        screen.query_one("#set", Input).value = f"train.epochs={EPOCHS}"
        await quiet(pilot)
        grid = screen.query_one("#grid", VirtualTable).rows
        assert len(grid) == 4 and [each.known for each in grid] == ["finished", "finished", "running", "queued"]
        said = str(screen.query_one("#said", Static).content)
        assert "0 new runs · 2 finished, 1 running, 1 queued already" in said and "the same once more" in said
        assert "as past runs took" in said
        assert "--seeds 2" in screen_text(pilot)
        screen.query_one("#set", Input).value = "train.lr=0.002"
        await quiet(pilot)
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == len(RUNS) + 4)
    new = [each for each in list_runs(open_store(filled)) if each.overrides == {"train.lr": 0.002}]
    assert sorted((each.ablation, each.seed) for each in new) == [
        ("full", 0),
        ("full", 1),
        ("no-both", 0),
        ("no-both", 1),
    ]
    assert new[0].command[:3] == ["tfllmer", "run", "--ablation"]


async def test_what_is_launched_is_what_the_form_says_however_fast_the_key_comes(filled: Path) -> None:
    async with opened(filled, (140, 40)) as pilot:
        await press(pilot, "4")
        screen = pilot.app.screen
        assert isinstance(screen, LaunchScreen) and screen._planned == screen.values
        screen.query_one("#set", Input).value = "train.lr=0.003"
        screen.action_launch()
        await until(pilot, lambda: len(app_of(pilot).snapshot.rows) == len(RUNS) + 1)
        screen.query_one("#seeds", Input).value = "x"
        screen.action_launch()
        await press(pilot, "ctrl+y")  # no command stands for it
        await quiet(pilot)
    runs = list_runs(open_store(filled))
    assert len(runs) == len(RUNS) + 1  # nothing came of the wrong seeds
    assert [each.seed for each in runs if each.overrides == {"train.lr": 0.003}] == [0]


async def test_keys_go_from_line_to_line_of_the_form_and_find_it_again(filled: Path) -> None:
    async with opened(filled, (140, 40)) as pilot:
        await press(pilot, "n", "down", "down", "up", *"fu")
        assert pilot.app.screen.query_one("#ablation", Input).value == "fu"
        pilot.app.screen.set_focus(None)
        await press(pilot, "escape", "n", *"i")
        assert pilot.app.screen.query_one("#method", Input).value == "i"
        await press(pilot, *["down"] * (len(FORM) - 1))  # past the last line in sight, into the settings
        screen = pilot.app.screen
        assert isinstance(screen, LaunchScreen) and screen._in_settings
        await press(pilot, "question_mark", "escape")
        assert screen._in_settings
        await press(pilot, "alt+1", "n", *"d")
        assert pilot.app.screen.query_one("#method", Input).value in ("d", "id")


async def test_a_copy_of_a_run_fills_the_form(filled: Path) -> None:
    async with opened(filled, (140, 40)) as pilot:
        app_of(pilot).open_run(id_of(5))
        await quiet(pilot)
        await press(pilot, "e")
        screen = pilot.app.screen
        assert isinstance(screen, LaunchScreen)
        await until(pilot, lambda: screen.values["ablation"] == "full")
        assert screen.values["backbone"] == "gru4rec" and screen.values["set"] == f"train.epochs={EPOCHS}"
        await quiet(pilot)
        assert [each.known for each in screen.query_one("#grid", VirtualTable).rows] == ["finished"]


@pytest.mark.parametrize(("text", "seeds"), [("", [0]), ("3", [0, 1, 2]), ("7,", [7]), ("1, 4", [1, 4])])
def test_seeds_are_a_number_or_a_list(text: str, seeds: list[int]) -> None:
    assert seeds_of(text) == seeds


def test_a_grid_too_large_is_refused() -> None:
    values = {box.name: "" for box in FORM} | {"seeds": "500"}
    assert "500 runs are more" in plan(values).error


async def test_help_is_made_from_the_bindings_and_shows_the_users_keys(filled: Path, tmp_path: Path) -> None:
    keys = tmp_path / "config" / "tfllmer" / "keys.json"
    keys.parent.mkdir(parents=True)
    keys.write_text('{"runs.mark": "ctrl+g"}')
    async with opened(filled, (100, 70)) as pilot:
        await press(pilot, "question_mark")
        assert isinstance(pilot.app.screen, HelpScreen)
        words = {words for _, lines in sections(pilot.app.screen_stack[-2]) for _, words in lines}
        assert {"Mark", "Fold", "Zoom in", "Complete", "Jump", "Quit"} <= words
        assert "Every run in the store" in screen_text(pilot)
        await press(pilot, "escape")
        await press(pilot, "ctrl+g")
        assert "1 marked" in screen_text(pilot)


async def test_jump_keys_lead_to_panes(filled: Path) -> None:
    async with opened(filled, (160, 50)) as pilot:
        await press(pilot, "ctrl+o")
        assert len(pilot.app.screen.query("Label")) >= 4
        assert 0 < pilot.app.screen.styles.background.a < 1  # what they lead to is seen below them
        await press(pilot, "d")
        assert isinstance(pilot.app.focused, Chart)


async def test_the_palette_offers_what_makes_sense_here(filled: Path) -> None:
    async with opened(filled) as pilot:
        titles = [command.title for command in pilot.app.get_system_commands(pilot.app.screen)]
        assert "Retry this run" in titles and "Cancel this run" not in titles  # the newest has failed
        await press(pilot, "down")
        titles = [command.title for command in pilot.app.get_system_commands(pilot.app.screen)]
        assert "Cancel this run" in titles and "Retry this run" not in titles


async def test_every_place_bears_a_tiny_terminal_and_a_change_of_theme(filled: Path) -> None:
    """What the usual sizes look like is in the snapshots."""
    async with opened(filled, (20, 5)) as pilot:
        for place in "123456":
            await press(pilot, f"alt+{place}", "ctrl+t")
            assert screen_text(pilot).strip()
        app_of(pilot).open_run(id_of(0))
        await quiet(pilot)
        assert pilot.app.screen.query_one("#head", Static)
        await pilot.resize_terminal(200, 60)
        await pilot.resize_terminal(20, 5)
        await quiet(pilot)


async def test_tables_of_a_run_keep_their_names_on_a_small_screen(filled: Path) -> None:
    async with opened(filled, (80, 24)) as pilot:
        app_of(pilot).open_run(id_of(0))
        await quiet(pilot)
        for name in ("config", "events", "about"):
            pilot.app.screen.query_one(TabbedContent).active = name
            await quiet(pilot)
            table = pilot.app.screen.query_one(f"#{'settings' if name == 'config' else name}-table", VirtualTable)
            assert [column.key for column in table.shown_columns][:2] == ["name", "value"]
