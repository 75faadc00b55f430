"""What a page of the web view may say, how many there may be, and when one ends: a real server, apps that wait."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest
from aiohttp import ClientWebSocketResponse, WSCloseCode, WSMsgType, WSServerHandshakeError
from aiohttp.test_utils import TestClient, TestServer

from tfllmer_tui.web.guard import Guard
from tfllmer_tui.web.messages import LONGEST, PageMessage, bounded, parsed
from tfllmer_tui.web.server import WebServer, _size

APP = "printf '__GANGLION__\\n'; exec sleep 60"


@asynccontextmanager
async def pages(count: int = 1, **limits: float) -> AsyncIterator[list[ClientWebSocketResponse]]:
    """So many pages of one server, whose apps do not hear that they should leave; none outlives its page."""
    before = {child.pid for child in psutil.Process().children()}
    guard = Guard(loopback=True, token=None, cookie="c")
    server = WebServer(APP, guard, **{"leave_s": 0.1} | limits)  # type: ignore[arg-type]
    async with TestClient(TestServer(await server._make_app(), host="127.0.0.1")) as client:
        origin = {"Origin": f"http://127.0.0.1:{client.port}"}
        with pytest.raises(WSServerHandshakeError):
            await client.ws_connect("/ws", headers={"Origin": "http://evil.example"})
        yield [await client.ws_connect("/ws?width=80&height=24", headers=origin) for _ in range(count)]
    assert {child.pid for child in psutil.Process().children()} <= before


async def test_a_page_is_answered() -> None:
    async with pages() as (page,):
        await page.send_str(json.dumps(["ping", "3"]))
        assert await page.receive_json(timeout=90) == ["pong", "3"]
        await page.send_str(json.dumps(["resize", {"width": 1e9, "height": 3}]).replace("1000000000.0", "1000000000"))
        await page.send_str(json.dumps(["focus"]))
        await page.send_str(json.dumps(["ping", "4"]))
        assert await page.receive_json(timeout=90) == ["pong", "4"]


@pytest.mark.parametrize(
    "said", ["", "{}", "[", '["stdin"]', '["stdin", 3]', '["resize", {"width": "x"}]', '["exec", "id"]', "[" * 10_000]
)
async def test_what_no_page_says_ends_it(said: str) -> None:
    async with pages() as (page,):
        await page.send_str(said)
        assert (await page.receive(timeout=90)).type == WSMsgType.CLOSE
        assert page.close_code == WSCloseCode.POLICY_VIOLATION


async def test_bytes_and_long_messages_end_it_too() -> None:
    async with pages() as (page,):
        await page.send_bytes(b'["blur"]')
        await page.receive(timeout=90)
        assert page.close_code == WSCloseCode.POLICY_VIOLATION
    async with pages() as (page,):
        await page.send_str(json.dumps(["stdin", "x" * 3 * LONGEST]))
        await page.receive(timeout=90)
        assert page.close_code == WSCloseCode.MESSAGE_TOO_BIG


async def test_only_so_many_pages_are_open_at_once() -> None:
    async with pages(3, most_pages=2) as (one, two, three):
        await three.receive(timeout=90)
        assert three.close_code == WSCloseCode.TRY_AGAIN_LATER
        assert not one.closed and not two.closed


async def test_a_page_in_which_nothing_is_typed_ends() -> None:
    async with pages(idle_s=0.5) as (page,):
        await page.send_str(json.dumps(["ping", "1"]))  # by the page, not by a person
        assert await page.receive_json(timeout=90) == ["pong", "1"]
        await page.receive(timeout=90)
        assert page.close_code == WSCloseCode.GOING_AWAY


def test_messages() -> None:
    assert parsed('["stdin", "é\\u001b[A"]') == PageMessage("stdin", "é\x1b[A")
    assert parsed('["resize", {"width": 99999, "height": -3}]') == PageMessage("resize", "", 1000, 1)
    for text in (
        '["stdin", "\\ud800"]',
        '["resize", {"width": true, "height": 3}]',
        '["blur", 1, 2]',
        "[[]]",
        "9" * 6000,
    ):
        with pytest.raises(ValueError, match=r"."):
            parsed(text)
    assert [bounded(n) for n in (0, 80, 10**9)] == [1, 80, 1000]
    assert [_size(text) for text in (None, "", "x", "120", "99999", "9" * 30, "²")] == [80, 80, 80, 120, 1000, 80, 80]
