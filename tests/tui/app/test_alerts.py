"""The bell and notifications when a study or a launch ends: when they come, and the bytes that a terminal gets."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pexpect
import pytest
from sqlalchemy import text as sql

from engine.records import RunStatus
from engine.store import open_store, set_status
from engine.store.queries.feed import Feed, RunRow
from tests.tui.app.bench import app_of, id_of, opened, until
from tfllmer_tui.tui.alerts import ALERTS, AlertKind, alert_kind, alert_text
from tfllmer_tui.tui.app import TfllmerApp
from tfllmer_tui.tui.endings import Endings
from tfllmer_tui.tui.memory import Memory
from tfllmer_tui.tui.snapshot import StoreSnapshot

SSH = {"SSH_CONNECTION": "10.0.0.1 5000 10.0.0.2 22"}


@pytest.fixture
def rows(filled: Path) -> dict[str, RunRow]:
    feed = Feed(open_store(filled, read_only=True))
    try:
        return {row.id: row for row in feed.read().rows}
    finally:
        feed.close()


def seen(rows: Mapping[str, RunRow], study: Mapping[int, str], **statuses: str) -> StoreSnapshot:
    """All runs, those of a study by number, some with another status (`r6="finished"`)."""
    now = dict(rows)
    for number, name in study.items():
        now[id_of(number)] = replace(now[id_of(number)], study=name)
    for name, status in statuses.items():
        run_id = id_of(int(name[1:]))
        now[run_id] = replace(now[run_id], status=RunStatus(status))
    return StoreSnapshot(1, MappingProxyType(now), "open", complete=True)


def test_a_study_has_ended_when_its_last_open_run_has(rows: dict[str, RunRow]) -> None:
    study, endings = {0: "s", 6: "s", 7: "s", 8: "t"}, Endings()
    at_first = seen(rows, study)
    running = seen(rows, study, r6="finished")
    done = seen(rows, study, r6="finished", r7="failed")
    assert endings.between(at_first, running) == [] and endings.between(done, done) == []
    assert endings.between(running, done) == ["study s has ended: 2 finished, 1 failed"]
    assert endings.between(at_first, done) == ["study s has ended: 2 finished, 1 failed"]
    assert endings.between(replace(at_first, complete=False), done) == []
    assert endings.between(at_first, replace(done, complete=False)) == []


def test_what_its_person_has_stopped_has_no_line(rows: dict[str, RunRow]) -> None:
    study, endings = {6: "s", 7: "s", 8: "t"}, Endings()
    before = seen(rows, study, r6="finished")
    assert endings.between(before, seen(rows, study, r6="finished", r7="cancelled", r8="cancelled")) == []
    assert endings.between(seen(rows, study), seen(rows, study, r6="lost", r7="cancelled"))


def test_a_launch_of_this_session_has_ended_when_its_runs_have(rows: dict[str, RunRow]) -> None:
    endings = Endings()
    endings.launched([id_of(7), id_of(8)])
    without = {run_id: row for run_id, row in rows.items() if run_id not in (id_of(7), id_of(8))}
    assert endings.between(seen(without, {}), seen(without, {})) == [], "they are not seen yet"
    half = seen(rows, {}, r7="finished")
    assert endings.between(seen(rows, {}), half) == []
    assert endings.between(half, seen(rows, {}, r7="finished", r8="finished")) == [
        "a launch of 2 runs has ended: 2 finished"
    ]
    assert endings.between(half, seen(rows, {}, r7="finished", r8="finished")) == [], "once"
    endings.launched([id_of(8)])
    assert endings.between(half, seen(rows, {8: "s"}, r8="failed")) == ["tf-llmer/no-both on demo has ended: 1 failed"]


@pytest.mark.parametrize(
    ("kept", "environ", "kind"),
    [
        (None, {}, "bell"),
        (None, SSH, "off"),
        (None, {"SSH_TTY": "/dev/pts/3"}, "off"),
        (None, {"SSH_CONNECTION": ""}, "bell"),
        ("bell", SSH, "bell"),
        ("osc9", {}, "osc9"),
        ("off", {}, "off"),
        ("loud", {}, "bell"),
        (["bell"], SSH, "off"),
    ],
)
def test_off_over_ssh_unless_somebody_wants_it(kept: object, environ: dict[str, str], kind: str) -> None:
    assert alert_kind(kept, environ) == kind


@pytest.mark.parametrize(
    ("kind", "environ", "sent"),
    [
        ("off", {}, ""),
        ("bell", {}, "\a"),
        ("bell", {"TMUX": "x"}, "\a"),
        ("osc9", {}, "\x1b]9;tfllmer: s, t�\a"),
        ("osc777", {}, "\x1b]777;notify;tfllmer;s, t�\a"),
        ("osc9", {"TMUX": "x"}, "\x1bPtmux;\x1b\x1b]9;tfllmer: s, t�\a\x1b\\"),
    ],
)
def test_the_bytes_are_those_of_the_terminal_and_nothing_gets_out_of_them(
    kind: AlertKind, environ: dict[str, str], sent: str
) -> None:
    assert alert_text(kind, "s; t\a", environ) == sent


async def test_the_setting_is_of_the_person_and_kept(filled: Path) -> None:
    async with opened(filled) as pilot:
        app = app_of(pilot)
        assert app.alerts == "bell"
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert [title in titles for title, _ in ALERTS.values()] == [True, False, True, True]
        app.set_alerts("osc777")
    assert Memory(filled).get("alerts") == "osc777" and Memory(Path("/elsewhere.db")).get("alerts") == "osc777"
    async with opened(filled) as pilot:
        assert app_of(pilot).alerts == "osc777"
    async with opened(filled, read_only=True) as pilot:
        assert app_of(pilot).alerts == "off"


def _has_failed(app: TfllmerApp, number: int) -> bool:
    return app.snapshot.rows[id_of(number)].status == "failed"


async def test_a_line_on_screen_says_that_a_launch_has_ended(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, lines in (("", 1), ("SSH_TTY", 0)):
        monkeypatch.setenv("SSH_CONNECTION", name)
        async with opened(filled) as pilot:
            app = app_of(pilot)
            app._endings.launched([id_of(8 - lines)])
            set_status(open_store(filled), id_of(8 - lines), RunStatus.FAILED, "why")
            app.watcher.wake()
            await until(pilot, partial(_has_failed, app, 8 - lines))
            assert sum("has ended: 1 failed" in notice.message for notice in app._notifications) == lines


@pytest.mark.xdist_group("machine")
@pytest.mark.parametrize(
    ("kept", "environ", "sent"),
    [(None, {}, b"\a"), (None, SSH, None), ("osc9", SSH, b"\x1b]9;tfllmer: study s has ended: 2 failed\a")],
)
def test_a_terminal_gets_them(filled: Path, kept: str | None, environ: dict[str, str], sent: bytes | None) -> None:
    memory = Memory(filled)
    memory.keep("alerts", kept)
    memory.save()
    store = open_store(filled)
    with store.write() as session:
        session.connection().execute(
            sql("INSERT INTO study (id, name, spec, created) VALUES (1, 's', '{}', '2023-11-14')")
        )
        two = {"a": id_of(7), "b": id_of(8)}
        session.connection().execute(sql("UPDATE run SET study_id = 1 WHERE id IN (:a, :b)"), two)
    program = "from tfllmer_tui.cli import main; main()"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SSH_", "TMUX"))}
    child = pexpect.spawn(
        sys.executable,
        ["-c", program, "tui"],
        cwd=str(filled.parent),
        env={**clean, "TERM": "xterm-256color", **environ},
        dimensions=(24, 80),
        use_poll=True,
    )
    try:
        child.expect(b"10 runs", timeout=60)
        set_status(store, id_of(7), RunStatus.FAILED, "why")
        set_status(store, id_of(8), RunStatus.FAILED, "why")
        said = b"study s has ended"
        if sent is None:
            assert child.expect([said, b"\a", pexpect.TIMEOUT], timeout=8) == 2
        elif sent == b"\a":
            child.expect(b"\x07", timeout=60)
        else:
            child.expect_exact(sent, timeout=60)
        child.send("q")
        child.expect(pexpect.EOF, timeout=30)
    finally:
        child.close(force=True)
