"""A day of hard use, in a real terminal of three sizes: what once went wrong, with real keys and the mouse."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.queue import queued
from engine.records import RunStatus
from engine.store import Store, list_runs, open_store
from tests.tui.app.bench import id_of
from tests.tui.app.terminal import Terminal, end_all, small_demo, terminal
from tfllmer_tui.tui.screens.launch import FORM

pytestmark = pytest.mark.xdist_group("machine")

Size = tuple[int, int]
SIZES = [pytest.param((80, 24), id="80x24"), pytest.param((120, 36), id="120x36"), pytest.param((200, 60), id="200x60")]
LIES = (" 0 runs", "No run yet", "is not there")
"""What would be said of a store with runs by a screen that is still reading."""


@pytest.fixture
def day(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a store of ten runs, where the demo is small; workers are real ones, ended with the day."""
    monkeypatch.undo()
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    small_demo(tmp_path)
    yield tmp_path
    for db in tmp_path.glob("*.db"):
        end_all(db)


def test_keys_at_once_lead_where_they_say(day: Path) -> None:
    with terminal(day, (80, 24)) as app:
        begin(app)
        jumps_and_places(app)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_looking(day: Path, size: Size) -> None:
    """Filters, charts, panes, the baseline, text fields; the next day, another store, and a plain terminal."""
    with terminal(day, size) as app:
        begin(app)
        jumps_and_places(app)
        words_and_folds(app)
        titles_of_charts(app)
        one_baseline(app)
        a_run_uses_its_screen(app, size)
        text_fields_have_a_way_out(app)
        panes(app)
        app.keys("s")
        app.shows("smooth")
        app.keys("/")
        app.type("status:finished")
        app.shows("6 of 10")
        app.keys("Enter", "q")
        assert app.ends() == 0
        assert not [lie for lie in LIES if any(lie in screen for screen in app.seen)]

        app.start("--db", "fresh.db")
        app.shows("No run yet", "Launch the demo")
        app.keys("q")
        assert app.ends() == 0
        app.start("--read-only")
        app.shows("6 of 10", "smooth")  # a day later it is as it was left
        assert not any(word in app.screen() for word in ("Launch", "Cancel", "n New"))
        app.keys("x")
        app.shows("read-only")
        app.keys("q")
        assert app.ends() == 0
        app.start("--read-only", PYTHONIOENCODING="ascii")
        app.shows("6 of 10", "01HF0000")
        app.keys("/", "C-u", "Enter")
        plain = app.shows("01HF0000", "01HF0006", "01HF0009")
        marks = {number: mark_of(plain, number) for number in (0, 6, 7, 9)}
        assert plain.isascii() and len(set(marks.values())) == 4, marks
        app.keys("q")
        assert app.ends() == 0


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_working(day: Path, size: Size) -> None:
    """The queue, launches, what hangs on runs, and a first study to its verdict."""
    store = open_store(day / "experiments.db")
    with terminal(day, size) as app:
        begin(app)
        marks_in_the_queue(app, store)
        a_launch_moves_nobody(app, store)
        running_work_is_asked_for(app, store)
        tags_notes_and_the_trash(app)
        views(app)
        app.keys("q")
        assert app.ends() == 0
        app.start("--db", "first.db")
        a_first_study(app, day / "first.db", size)
        app.keys("q")
        assert app.ends() == 0


# ------------------------------------------------------------------------------------ looking


def begin(app: Terminal) -> None:
    app.start()
    app.shows("10 runs", "no-both", "/ filter", "? 01HF0006")  # whose process is gone, which is found out first


def jumps_and_places(app: Terminal) -> None:
    """Two keys of the jump mode at once, and places by fast keys, lose no key and end nothing."""
    app.at_once("C-o", "s", "b", "s", "M-2", "3", "/", "M-4", "M-3", "1", "|")
    app.shows("▔ columns ▔", "space · Esc")
    app.at_once("|", "?")
    app.shows("Esc closes")
    app.at_once("q", "q")
    app.shows("/ filter", "Δ to tf-llmer/no-rec-pca")
    app.at_once("C-o", "s", "b")
    app.when(lambda screen: "Δ to" not in screen, "no baseline again")
    while "smooth" in app.screen():
        app.keys("s")
    app.click("3 Queue")
    app.shows("no worker")
    app.click("1 Runs")
    app.shows("/ filter")


def words_and_folds(app: Terminal) -> None:
    """The words of the screen are those of the filter, and a filter says what it hides of a mean."""
    for words, answer in (
        ("arm:no-norm", "2 of 10"),
        ("dataset:demo backbone:gru4rec", "1 of 10"),
        ("lr>0", "train.lr"),
        ("arm:full backbone:sasrec seed<2", "2 of 10"),
    ):
        app.keys("/", "C-u")
        app.type(words)
        app.shows(answer)
    app.keys("Enter", "f")
    app.shows("2 of 3", "±")
    app.keys("f", "/", "C-u", "Enter")
    app.when(lambda screen: "±" not in screen and "no-both" in screen, "all of them")


def titles_of_charts(app: Terminal) -> None:
    """What changes a picture stands in its title for as long as it does; the last value is the raw one."""
    app.keys("End")
    app.shows("━ full 4.046")
    for key, words in (("s", "smooth"), ("l", "log y"), ("L", "log x"), ("a", "step")):
        app.keys(key)
        app.shows(words)
        app.when(lambda screen: re.search(r"train CE .*━( full)? 4\.046", screen), "the raw value")
    app.keys("a", "a", "L", "l")
    while "smooth" in app.screen():
        app.keys("s")
    app.when(lambda screen: not any(words in screen for words in ("log ", "smooth ", "minutes")), "as it was measured")
    app.keys("Home")


def one_baseline(app: Terminal) -> None:
    """Chosen on Runs, it is the one of the leaderboard and of a comparison."""
    app.keys("End", "b")
    app.shows("Δ to tf-llmer/full")
    app.keys("2")
    app.shows("» ", "test NDCG@10")
    app.when(lambda screen: "tf-llmer/full" in " ".join(screen.split()), "the leaderboard names it")
    app.keys("1", "End", "Space", "Up", "Up", "Up", "Space", "c")
    app.shows("differences to the baseline full")
    app.keys("Escape", "U", "End", "b")
    app.when(lambda screen: "Δ to" not in screen, "no baseline again")


def a_run_uses_its_screen(app: Terminal, size: Size) -> None:
    """On a large screen nothing is stacked flat, and nothing stays empty."""
    app.keys("End")
    if size == (200, 60):
        app.shows("━ full")
        app.when(
            lambda screen: sum(map(bool, map(str.strip, screen.splitlines()[-20:-1]))) > 15, "its lower half is used"
        )
    app.keys("Enter")
    screen = app.shows("full", "epoch", "Edit a copy")
    if size == (200, 60):
        screen = app.when(lambda screen: any(line.count("└") > 1 for line in screen.splitlines()), "curves in columns")
        assert sum("└" in line for line in screen.splitlines()) <= 3, "stacked flat"
    app.keys("Escape")
    app.shows("/ filter")


def text_fields_have_a_way_out(app: Terminal) -> None:
    """Letters are text in Launch; F1 is help, alt and a digit a place, and Esc leads to the keys."""
    app.keys("n")
    app.shows("esc Out of the line", "ctrl+r launches")
    app.keys("?", "F1")
    app.shows("Esc closes")
    app.keys("Escape")
    app.when(lambda _: app.line("method").rstrip() != "" and "?" in app.line("method"), "it is text")
    app.keys("C-u", "Escape", "?")
    app.shows("Esc closes")
    app.keys("Escape", "i", "M-3")
    app.shows("no worker")
    app.keys("1")
    app.shows("/ filter")


def panes(app: Terminal) -> None:
    """Keys and the mouse move the line between two panes; it is found where it was left."""
    for _ in range(2):
        before = grip(app.when(lambda screen: grip(screen) is not None, "the line between two panes"))
        app.keys("<")
        app.when(lambda screen, before=before: grip(screen) not in (None, before), f"the line moves from {before}")  # type: ignore[misc]
    column, row = grip(app.screen()) or (0, 0)
    end = (column - 6, row) if "┃" in app.screen() else (column, row - 3)
    app.drag((column, row), end)
    app.when(lambda screen: grip(screen) == end, f"the line is at {end}")
    app.keys("q")
    assert app.ends() == 0
    begin(app)
    app.when(lambda screen: grip(screen) == end, f"the line is at {end}")
    app.click("01HF0005")
    app.shows("━ full 4.046")
    app.scroll("01HF0005")
    app.shows("01HF0004")
    app.click(end, times=2)
    app.when(lambda screen: grip(screen) not in (None, end), "the line is where it was at first")
    app.click("? Help")
    app.shows("Esc closes")
    app.keys("Escape")


def grip(screen: str) -> Size | None:
    """Where one takes hold of the line between two panes: column and row."""
    for row, line in enumerate(screen.splitlines()):
        if "┃" in line or re.fullmatch(r" *─+━+─+ *", line):
            return line.index("┃" if "┃" in line else "━"), row
    return None


def mark_of(screen: str, number: int) -> str:
    line = next(line for line in screen.splitlines() if id_of(number)[:8] in line)
    return line.split(id_of(number)[:8])[0].strip()


# ------------------------------------------------------------------------------------ working


def marks_in_the_queue(app: Terminal, store: Store) -> None:
    """What is marked is cancelled together, and one undo takes it back."""
    app.keys("3")
    app.shows("no worker", "2 waiting")
    app.keys("Home", "Space", "Space", "x")
    app.shows("2 marked", "2 runs cancelled")
    app.keys("u")
    app.shows("undone: 2 runs queued again")
    assert len(queued(store)) == 2
    app.keys("x")
    app.when(lambda _: not queued(store), "they wait no longer")
    app.keys("U", "1")
    app.shows("/ filter")


def newest(store: Store) -> tuple[str, str]:
    run = max(list_runs(store), key=lambda run: run.created)
    return run.id, str(run.status)


def a_launch_moves_nobody(app: Terminal, store: Store) -> None:
    """It ends seconds later, wherever its person is by then; the same once more is asked."""
    app.keys("n")
    app.shows("ctrl+r launches")
    app.type("id")
    app.shows("1 new run")
    app.at_once("C-r", "M-2")
    app.shows("1 run queued", "test NDCG@10")
    app.when(lambda _: newest(store)[1] == "finished", "it has finished")
    app.shows("has ended: 1 finished", "test NDCG@10")
    assert app.rang()
    app.keys("4")
    app.shows("1 finished already", "the same once more")
    app.keys("C-r")
    app.shows("launch again", "y yes")
    app.keys("n")
    app.when(lambda screen: "y yes" not in screen, "no")
    app.keys("M-1")
    app.shows("11 runs")
    assert len(list_runs(store)) == 11


def running_work_is_asked_for(app: Terminal, store: Store) -> None:
    """`x` on what runs is a question, on what waits it can be undone."""
    app.keys("n")
    app.shows("ctrl+r launches")
    app.keys(*["Down"] * [box.name for box in FORM].index("set"))
    app.type("train.epochs=9999")
    app.shows("1 new run")
    app.keys("C-r", "M-1")
    app.when(lambda _: newest(store)[1] == "running", "it runs")
    app.keys("Home")
    app.when(lambda screen: re.search(r"\d/(9999|10k)", screen), "its row")
    app.keys("x")
    app.shows("Stop", "y yes")
    app.at_once("x", "n")
    app.when(lambda screen: "y yes" not in screen, "no")
    assert newest(store)[1] == "running"
    app.keys("x")
    app.shows("Stop", "y yes")
    app.keys("y")
    app.when(lambda _: newest(store)[1] == "cancelled", "it is cancelled")


def tags_notes_and_the_trash(app: Terminal) -> None:
    """What a person hangs on a run, removing it, finding it again, restoring it, and undoing all that."""
    app.keys("End", "#")
    app.shows("tag this run")
    app.type("paper")
    app.keys("Enter")
    app.shows("paper: on 1 run")
    app.keys("i")
    app.shows("ctrl+s keeps")
    app.type("flat")
    app.keys("C-s")
    app.shows("note of 1 run kept")
    app.keys("X")
    app.shows("1 run removed", "11 runs")
    app.keys("/", "C-u")
    app.type("trashed:true")
    app.shows("01HF0000")
    app.keys("Enter", "R")
    app.shows("1 run restored", "12 runs")
    app.keys("/", "C-u")
    app.type("tag:paper")
    app.shows("1 of 12")
    app.keys("C-u", "Enter", "u", "u", "u", "u")
    app.shows("undone: paper: off 1 run again")


def views(app: Terminal) -> None:
    """A filter and its columns under a name."""
    app.keys("/")
    app.type("status:finished")
    app.shows("7 of 12")
    app.keys("Enter", "V")
    app.shows("Enter keeps it under this name")
    app.type("done")
    app.keys("Enter")
    app.shows("view done kept")
    app.keys("/", "C-u", "Enter", "V")
    app.shows("Enter opens")
    app.keys("Enter")
    app.shows("7 of 12", "view done")


def a_first_study(app: Terminal, db: Path, size: Size) -> None:
    """From an empty store to a line that states what came of it; the page of the study says the same."""
    app.shows("No run yet", "Launch the demo")
    app.click("Launch the demo")
    app.shows("3 runs", "llm-pca", "full", "of 3 runs finished")
    app.keys("5", "Home")
    app.shows("first-look: the usual way in", "barrier")
    store = open_store(db)
    app.when(lambda _: {run.status for run in list_runs(store)} == {RunStatus.FINISHED}, "they have finished")
    app.shows("study first-look has ended: 3 finished", "barrier")
    assert app.rang()
    app.keys("1")
    says(app, "Training CE after", "the usual way in", "the baseline", "the cure", "one seed")
    app.keys("5", "Home")
    app.shows("first-look: the usual way in")
    app.keys("Enter")
    says(app, "3 of 3 ended", "half a minute", "✓ 3 finished")
    if size[0] < 130:  # one pane at a time
        app.keys("]")
    says(app, "demo · train CE at the last epoch")
    if size[0] < 130:
        app.keys("]")
    says(app, "verdict · demo · sasrec")
    app.keys("r")
    app.shows("3 of 3", "study:first-look")
    app.keys("Escape", "Escape", "1")
    app.shows("/ filter: ")  # the filter of the place Runs is its own


def says(app: Terminal, *words: str) -> None:
    """Wait for words, wherever lines are broken."""
    app.when(lambda screen: all(each in " ".join(screen.split()) for each in words), str(words))
