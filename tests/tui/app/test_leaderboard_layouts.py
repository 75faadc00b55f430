"""The leaderboard in other layouts, of one study, and written as the commands write it."""

import json
import shlex
from pathlib import Path

from sqlalchemy import text
from textual.widgets import Static

from engine.store import open_store
from engine.views.plans import StudyPart
from tests.tui.app.bench import opened, press, quiet, screen_text, until
from tests.tui.app.test_studies_screen import STUDY
from tests.tui.cli.calls import call
from tfllmer_tui.tui import actions
from tfllmer_tui.tui.screens.leaderboard import LeaderboardScreen
from tfllmer_tui.tui.widgets.log_view import LogView


async def test_layouts_are_those_of_the_command_and_are_written_as_it_writes_them(filled: Path) -> None:

    async with opened(filled, (160, 50)) as pilot:
        await press(pilot, "2", "l")
        screen = pilot.app.screen
        assert isinstance(screen, LeaderboardScreen)
        shown = screen_text(pilot)
        assert "sasrec · demo · metrics" in shown and "test HR@10 ↑" in shown and "test MRR ↑" in shown
        await press(pilot, "f", "x")
        preview = screen.query_one("#preview", LogView)
        assert not any("documentclass" in line for line in preview.lines)
        assert any("S[" in line for line in preview.lines)
        await press(pilot, "l")
        assert "needs a baseline" in screen_text(pilot)
        await press(pilot, "b")
        await until(pilot, lambda: screen.board is not None and screen.board.compared)
        await quiet(pilot)
        assert "-0.0295° [-0.0359, -0.0231]" in screen_text(pilot)
        await press(pilot, "w")
        screen.action_copy_export()
        copied = pilot.app.clipboard
        await press(pilot, "C")
        assert pilot.app.clipboard.endswith("--layout difference")
    async with opened(filled, (80, 24)) as pilot:
        await press(pilot, "2")
        assert "layout difference" in screen_text(pilot)  # remembered
    words = shlex.split(copied)
    assert words[:3] == ["tfllmer", "export", "latex"] and {"--fragment", "--siunitx"} < set(words)
    file = Path(words[-1])
    on_screen = file.read_text()
    file.unlink()
    done = call(filled.parent, *words[1:])
    assert done.returncode == 0, done
    assert file.read_text() == on_screen and "\\circ" in on_screen


async def test_only_the_runs_of_a_study(filled: Path) -> None:
    folder = Path("configs/study")
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(STUDY)
    actions.launch_study(filled, StudyPart("mine", "arm=tf-llmer/full seed=0"), False)
    async with opened(filled, (160, 50)) as pilot:
        await press(pilot, "2", "s")
        screen = pilot.app.screen
        assert isinstance(screen, LeaderboardScreen) and screen.board is not None
        assert [cell.n for cell in screen.board.cells] == [1] and "study mine" in screen_text(pilot)
        await press(pilot, "C")
        assert "--study mine" in pilot.app.clipboard
        await press(pilot, "s")
        assert [cell.n for cell in screen.board.cells] == [3, 1, 2]
        assert "study mine" not in str(screen.query_one("#title", Static).content)


async def test_rows_whose_names_begin_alike_are_told_apart_and_one_has_its_whole_name_below(filled: Path) -> None:
    own = {"embedding.reduce.columns": 128, "embedding.reduce.symmetric": False, "table.inject": "linear"}
    store = open_store(filled)
    with store.write() as session:
        for ablation, changes in (("full", {"embedding.pre_normalize": False}), ("no-norm", own)):
            changed = text("UPDATE run SET overrides = :changes WHERE ablation = :ablation")
            session.connection().execute(changed, {"changes": json.dumps(changes), "ablation": ablation})
    store.engine.dispose()
    async with opened(filled, (90, 30)) as pilot:
        await press(pilot, "2", "p", "end")
        shown = screen_text(pilot)
        assert "…/no-norm [columns=128, " in shown and "tf-llmer/full [pre_normalize=false]" in shown
        whole = "tf-llmer/no-norm [embedding.reduce.columns=128, embedding.reduce.symmetric=false, table.inject=linear]"
        assert whole in " ".join(line.strip() for line in shown.splitlines())
        await press(pilot, "home")
        assert "embedding.reduce" not in screen_text(pilot)
