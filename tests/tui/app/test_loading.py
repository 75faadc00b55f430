"""With a slow store every screen says that it reads, and nothing of what is not there: reads are really held up."""

import threading
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

import engine.store
from engine.store import Store
from engine.store.queries.feed import Feed
from tests.tui.app.bench import NOW, opened, press, quiet, screen_text, until
from tfllmer_tui.tui.app import TfllmerApp
from tfllmer_tui.tui.screens import run as run_screen

NOT_KNOWN = (
    *(" 0 runs", " 0 of 0", "nothing measured", "file is not there", "no finished run", "nothing runs", "no run yet"),
    *("No run yet", "new run", "printed nothing", "no run passes", "no worker", "nothing has happened", " 0/"),
    *("no spectrum", "none stored", "not in the store", "appears here", "no run here", "not measured yet"),
)
"""What would be said of a store that holds nothing."""


class Gate:
    """What goes through it waits until it is open."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def hold(self, patch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        held: Callable[..., Any] = getattr(owner, name)

        @wraps(held)
        def wait(*given: Any, **named: Any) -> Any:
            assert threading.current_thread() is not threading.main_thread(), f"{name} on the thread that draws"
            assert self.opened.wait(60)
            return held(*given, **named)

        patch.setattr(owner, name, wait)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


def says_that_it_reads(pilot: Pilot[None]) -> None:
    text = screen_text(pilot)
    assert "…" in text
    assert [words for words in NOT_KNOWN if words in text] == [], text


async def go(pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    for _ in range(4):
        await pilot.pause(0.1)


@pytest.mark.parametrize("what", ["open", "read"])
async def test_while_the_store_is_opened_and_its_runs_are_read(
    filled: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "open":
        gate.hold(monkeypatch, engine.store, "open_store")
    else:
        gate.hold(monkeypatch, Feed, "read")
    app = TfllmerApp(str(filled), clock=lambda: NOW)
    app._settle = lambda: None  # type: ignore[method-assign]
    async with app.run_test(size=(140, 40)) as pilot:
        await go(pilot)
        says_that_it_reads(pilot)
        places = ("2", "3", "alt+5", "alt+6") + (("alt+4",) if what == "open" else ())
        for key in places:
            await go(pilot, key)
            says_that_it_reads(pilot)
        await go(pilot, "alt+1")
        gate.opened.set()
        await until(pilot, lambda: app.snapshot.complete)
        await quiet(pilot)
        assert "10 runs" in screen_text(pilot) and "reading…" not in screen_text(pilot)
        for key, words in (("2", "tf-llmer/full"), ("3", "no-both"), ("alt+4", "1 new run"), ("alt+5", "/")):
            await go(pilot, key)
            await quiet(pilot)
            assert words in screen_text(pilot) and "reading…" not in screen_text(pilot)


async def test_while_a_page_reads_what_it_shows(filled: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Path("configs/study/a.yaml")
    study.parent.mkdir(parents=True)
    study.write_text("meaning: one run\nquestion: Is it read?\nset: {data.source.users: 50}\ngrid: {arm: [id]}\n")
    async with opened(filled, (140, 40)) as pilot:
        await go(pilot, "end", "space", "up", "space")
        await quiet(pilot)
        gate.opened.set()
        gate.hold(monkeypatch, Store, "read")
        gate.hold(monkeypatch, Store, "rows")
        gate.hold(monkeypatch, run_screen, "read_more")
        for keys, words in (
            (("2",), "tf-llmer/full"),
            (("6",), "κ"),
            (("1", "enter", "right_square_bracket"), "line 199 of the log"),
            (("1", "escape", "c"), "seed 0"),
            (("enter",), "not run here yet"),
            (("escape", "l"), "ctrl+r queues 1 of 1 runs"),
        ):
            if keys == ("enter",):  # its line comes from a file, which needs no store
                await press(pilot, "escape", "5", "home")
            gate.opened.clear()
            await go(pilot, *keys)
            says_that_it_reads(pilot)
            gate.opened.set()
            await quiet(pilot)
            assert words in screen_text(pilot) and "reading…" not in screen_text(pilot)
        await go(pilot, "escape", "alt+2")
        gate.opened.clear()
        await go(pilot, "m")
        assert "test.hr@10: reading…" in screen_text(pilot)
        gate.opened.set()
        await quiet(pilot)
        assert "test HR@10" in screen_text(pilot)
