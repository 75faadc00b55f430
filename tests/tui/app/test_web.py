"""The app in a browser: a real server, a real headless Chromium, and what neither of them may do."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import numpy as np
import psutil
import pytest

from engine.store import get_run, open_store
from tests.tui.app.bench import id_of
from tests.tui.app.browser import browser, chromium
from tfllmer_tui.web.guard import Guard, is_loopback, is_loopback_name

pytestmark = pytest.mark.xdist_group("machine")

PRIMARY, BACKGROUND = (0x56, 0xB4, 0xE9), (0x0F, 0x13, 0x18)


@contextmanager
def served(folder: Path, *options: str) -> Iterator[tuple[str, psutil.Process]]:
    """`tfllmer tui --web` on a free port: the address that it prints, and its process."""
    command = ["-c", "from tfllmer_tui.cli import main; main()", "tui", "--web", "--port", "0", *options]
    child = subprocess.Popen([sys.executable, *command], cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        found = re.search(r"http://\S+", child.stdout.readline())
        assert found
        yield found[0], psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(90)


def wait_for(holds: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def near(picture: "np.ndarray[Any, Any]", color: tuple[int, int, int]) -> int:
    """How many pixels have that colour."""
    return int((np.abs(picture.astype(int) - color).max(axis=2) < 12).sum())


async def test_the_page_shows_the_table_takes_keys_and_changes_nothing(filled: Path) -> None:
    chromium()

    before = get_run(open_store(filled), id_of(8)).status
    with served(filled.parent) as (address, server):
        assert "token" not in address
        async with browser(filled.parent / "profile") as tab:
            await tab.go(address)
            await tab.shows("filter:", "no-rec-pca", "5/12", "0.1085", "10 runs", "read-only", "popularity 5.6")
            loaded = "[...document.fonts].filter(f => f.status == 'loaded').map(f => f.family).join()"
            assert "Roboto Mono" in await tab.evaluate(loaded)
            here = urlsplit(address).netloc
            assert len(tab.requests) >= 5 and {urlsplit(url).netloc for url in tab.requests} == {here}
            assert tab.problems == []

            picture = await tab.picture()
            assert near(picture, BACKGROUND) > 0.5 * picture.shape[0] * picture.shape[1]
            assert near(picture, PRIMARY) > 1000  # sparklines and curves
            at = next(y for y, line in enumerate((await tab.text()).splitlines()) if "01HF0009" in line)
            height = await tab.evaluate("document.querySelector('.xterm-screen').offsetHeight / window.shown.rows")
            row = picture[round(at * height) : round((at + 1) * height), : picture.shape[1] // 2]
            assert (row.max(axis=2) > 150).sum() > 500  # its letters

            await tab.type("?")
            await tab.shows("Esc closes", "Smoothing")
            await tab.press("Escape", 27)
            await tab.when(lambda text: "Esc closes" not in text, "the help is closed")
            await tab.press("ArrowDown", 40)
            await tab.type("x")
            await tab.shows("read-only: this view shows runs and changes nothing")
            assert "Launch" not in await tab.text() and "Cancel" not in await tab.text()  # it is not offered
            await tab.type("4")
            await tab.shows("filter:", "01HF0009")  # nobody is led to the form that launches

            sessions = server.children(recursive=True)
            assert sessions and not any(
                re.search(r"/lib(torch|c10)", mapped.path) for each in sessions for mapped in each.memory_maps()
            )
            server.kill()  # it cannot tell its pages any more
            await asyncio.to_thread(psutil.wait_procs, sessions, 20)
            assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in sessions)
            assert "This view has ended" in await tab.evaluate("document.querySelector('#ended').innerText")
    assert get_run(open_store(filled), id_of(8)).status == before == "queued"
    assert not (filled.parent / "state").exists()


async def test_with_actions_a_token_opens_the_page_and_runs_can_be_cancelled(filled: Path) -> None:
    chromium()

    with served(filled.parent, "--allow-actions") as (address, server):
        bare = address.partition("?")[0]
        async with browser(filled.parent / "profile") as tab:
            for refused in (bare, f"{bare}?token=guess"):
                await tab.go(refused)
                said = "location.href + ' ' + document.readyState + ' ' + document.body?.innerText"
                end = time.monotonic() + 60
                while f"{refused} complete 403: this view needs the address" not in str(await tab.evaluate(said)):
                    assert time.monotonic() < end, await tab.evaluate(said)
                    await asyncio.sleep(0.1)
            await tab.go(address)
            text = await tab.shows("no-rec-pca", "10 runs")
            assert "read-only" not in text
            assert await tab.evaluate("location.href") == bare  # the token is out of sight
            await tab.press("ArrowDown", 40)
            await tab.type("x")
            await tab.shows("1 run cancelled")
            await tab.type("q")
            await asyncio.to_thread(wait_for, lambda: not server.children())
        assert get_run(open_store(filled), id_of(8)).status == "cancelled"


PATHS = ("/", "/static/js/textual.js", "/download/1", "/ws", "/nothing")


async def status(address: str, path: str, **headers: str) -> int:
    """Of an answer; for a websocket, 101 where it opens."""
    place = f"127.0.0.1:{urlsplit(address).port}"
    if path == "/ws":
        headers = {
            "Origin": f"http://{headers.get('Host', place)}",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            **headers,
        }
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.get(f"http://{place}{path}", headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status


async def test_on_loopback_only_the_machines_own_names_and_pages_are_answered(filled: Path) -> None:
    with served(filled.parent) as (address, _):
        port = urlsplit(address).port
        for path in PATHS:
            assert await status(address, path, Host=f"evil.example:{port}") == 403
        assert [await status(address, path) for path in PATHS] == [200, 200, 404, 101, 404]
        assert await status(address, "/ws", Origin="http://evil.example") == 403
        assert await status(address, "/ws", Origin="http://localhost:1") == 403  # another server's page
        assert await status(address, "/ws", Origin="null") == 403
        assert await status(address, "/ws", Host="localhost:9999") == 101  # a forwarded port


async def test_where_other_machines_reach_it_nothing_is_answered_without_the_token(filled: Path) -> None:
    with served(filled.parent, "--host", "0.0.0.0") as (address, _):
        (token,) = parse_qs(urlsplit(address).query)["token"]
        name = f"tfllmer-{urlsplit(address).port}"
        for path in PATHS:
            assert await status(address, path) == 403
            assert await status(address, path, Cookie=f"{name}={token[:-1]}") == 403
            assert path == "/" or await status(address, f"{path}?token={token}") == 403
        assert await status(address, f"/?token={token}") == 303
        assert [await status(address, path, Cookie=f"{name}={token}") for path in PATHS] == [200, 200, 404, 101, 404]
        assert await status(address, "/ws", Cookie=f"{name}={token}", Origin="http://evil.example") == 403


def test_names_and_tokens_are_told_apart() -> None:
    for name in ("localhost", "a.localhost", "127.0.0.1", "127.1.2.3", "::1"):
        assert is_loopback_name(name)
    for name in ("", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "0.0.0.0", "2130706433"):
        assert not is_loopback_name(name)
    assert is_loopback("127.0.0.1") and is_loopback("localhost") and not is_loopback("0.0.0.0")
    guard = Guard(loopback=False, token="secret", cookie="c")
    assert guard.knows("secret")
    assert not any(guard.knows(token) for token in (None, "", "secre", "secret ", "sécret"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "8001"], "go with --web"),
        (["--allow-actions"], "go with --web"),
        (["--web", "--read-only", "--allow-actions"], "contradict"),
        (["--web", "--host", "203.0.113.1"], "cannot listen on 203.0.113.1, port 8000"),
    ],
)
def test_wrong_use_is_one_line(options: list[str], said: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from tfllmer_tui.cli import main; main()", "tui", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1 and not done.stdout


def test_a_port_that_is_taken_is_told_and_ctrl_c_ends_it(filled: Path) -> None:
    with served(filled.parent) as (address, server):
        port = str(urlsplit(address).port)
        command = [sys.executable, "-c", "from tfllmer_tui.cli import main; main()", "tui", "--web", "--port", port]
        done = subprocess.run(command, cwd=filled.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and f"port {port}: Address already in use" in done.stderr
        os.kill(server.pid, signal.SIGINT)
        assert server.wait(90) == 0
