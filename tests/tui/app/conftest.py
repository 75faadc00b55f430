"""A store with runs of every kind, made as real ones are: rows, spools, ingest."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.message_pump import MessagePump
from textual.timer import Timer

from tests.tui.app.bench import SOON_S, drained, fill


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered lies beside the store, clocks are in UTC, and no worker is started; the terminal is
    near."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TZ", "UTC")
    for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("engine.queue.ensure_worker", lambda store: False)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sits at these terminals: what waits for a hand to rest comes soon, nothing glides, and after a key one
    waits for what it has set off, not for a time in which the machine is idle."""
    set_timer = MessagePump.set_timer

    def sooner(pump: MessagePump, delay: float, *given: Any, **named: Any) -> Timer:
        return set_timer(pump, 0.01 if delay <= SOON_S else delay, *given, **named)

    monkeypatch.setattr(MessagePump, "set_timer", sooner)
    monkeypatch.setattr("textual.constants.TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setattr("textual.app.wait_for_idle", drained)
    monkeypatch.setattr("textual.pilot.wait_for_idle", drained)
    monkeypatch.setattr("textual.screen.UPDATE_PERIOD", 0.1)  # who waits for rest draws: the clock seldom has to
    monkeypatch.setattr("tfllmer_tui.tui.watch.EVERY_S", 0.05)


_RULES: dict[object, list[RuleSet]] = {}


@pytest.fixture(autouse=True)
def rules_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every app reads the same style sheets: the rules of one are those of the next with the same theme."""
    parse_rules = Stylesheet._parse_rules

    def known_rules(sheet: Stylesheet, *given: Any, **named: Any) -> list[RuleSet]:
        key = (given, tuple(sorted(named.items())), frozenset(sheet._variables.items()))
        if key not in _RULES:
            _RULES[key] = parse_rules(sheet, *given, **named)
        return _RULES[key]

    monkeypatch.setattr(Stylesheet, "_parse_rules", known_rules)
    monkeypatch.setattr(RuleSet, "__hash__", object.__hash__)  # the same, which is theirs, without a call of Python


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with ten runs, to be copied."""
    folder = tmp_path_factory.mktemp("original")
    store = fill(folder / "experiments.db")
    store.engine.dispose()
    return folder


@pytest.fixture
def filled(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a store of one's own with ten runs."""
    path = tmp_path / "experiments.db"
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return path
