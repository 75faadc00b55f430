"""A headless Chromium over its DevTools protocol, with what the tests need of it and no more."""

import asyncio
import base64
import io
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1280,720",
)
KEEP_TERMINAL = """
Object.defineProperty(Object.prototype, "terminal", {
  configurable: true,
  set(value) {
    window.shown = value;
    Object.defineProperty(this, "terminal", { value, writable: true, configurable: true });
  },
});
"""
"""The page's script keeps its terminal to itself; whoever assigns one, the test gets it too."""
READ_TERMINAL = """
(() => {
  const buffer = window.shown?.buffer.active;
  if (!buffer) return "";
  return Array.from({ length: window.shown.rows }, (_, y) => buffer.getLine(y).translateToString(true)).join("\\n");
})()
"""


def chromium() -> str:
    """The browser; skips where there is none, which CI must not."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have chromium: .ci/run installs it")
        pytest.skip("needs chromium")
    return found


class Tab:
    """One page, and everything that it asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.requests: list[str] = []
        self.problems: list[str] = []
        """Errors on the page's console, what its policy forbade among them."""
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for message in self._socket:
            told = message.json()
            given = told.get("params", {})
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
            elif told["method"] == "Network.requestWillBeSent":
                self.requests.append(given["request"]["url"])
            elif told["method"] == "Network.webSocketCreated":
                self.requests.append(given["url"])
            elif told["method"] == "Runtime.exceptionThrown":
                self.problems.append(str(given["exceptionDetails"]))
            elif told["method"] == "Log.entryAdded" and given["entry"]["level"] == "error":
                self.problems.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")

    async def call(self, method: str, **given: Any) -> dict[str, Any]:
        """A command of the protocol."""
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": given})
        told = await asyncio.wait_for(answer, 30)
        assert "error" not in told, told
        result: dict[str, Any] = told["result"]
        return result

    async def evaluate(self, script: str) -> Any:
        """The value of an expression on the page."""
        told = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def go(self, address: str) -> None:
        """Open an address."""
        await self.call("Page.navigate", url=address)

    async def text(self) -> str:
        """What is in the terminal."""
        return str(await self.evaluate(READ_TERMINAL))

    async def shows(self, *words: str, seconds: float = 60) -> str:
        """Wait until the terminal shows all of the words; the text."""
        return await self.when(lambda text: all(word in text for word in words), f"{words}", seconds)

    async def when(self, holds: Callable[[str], bool], what: str, seconds: float = 60) -> str:
        """Wait until something holds of the terminal's text."""
        text = ""
        for _ in range(int(seconds / 0.1)):
            text = await self.text()
            if holds(text):
                return text
            await asyncio.sleep(0.1)
        raise AssertionError(f"not shown: {what}\n{text}\n{self.problems}")

    async def type(self, text: str) -> None:
        """Keys that stand for characters."""
        for char in text:
            await self.call("Input.dispatchKeyEvent", type="keyDown", text=char, key=char, unmodifiedText=char)
            await self.call("Input.dispatchKeyEvent", type="keyUp", key=char)

    async def press(self, key: str, code: int) -> None:
        """A key without a character."""
        for kind in ("rawKeyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    async def picture(self) -> np.ndarray[Any, Any]:
        """A screenshot, (height, width, 3)."""
        told = await self.call("Page.captureScreenshot", format="png")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(told["data"]))).convert("RGB"))


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Tab]:
    """A browser with a profile of its own, and its one tab."""
    command = [chromium(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        port = await _port(profile / "DevToolsActivePort", child)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                target = next(each for each in await answer.json() if each["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Network", "Runtime", "Log"):
                    await tab.call(f"{domain}.enable")
                await tab.call("Page.addScriptToEvaluateOnNewDocument", source=KEEP_TERMINAL)
                yield tab
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


async def _port(file: Path, child: "subprocess.Popen[bytes]") -> int:
    for _ in range(600):
        if file.exists() and (lines := file.read_text().split()):
            return int(lines[0])
        assert child.poll() is None, "chromium ended at once"
        await asyncio.sleep(0.1)
    raise AssertionError("chromium did not start")
