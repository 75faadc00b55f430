"""The server: textual-serve behind the guard, with a page of our own that loads nothing from anywhere else."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import socket
import sys
import time
from importlib.resources import files
from string import Template
from typing import assert_never

from aiohttp import WSCloseCode, WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.server import Server

from engine.errors import UserError
from engine.files import ServerAddress, store_address, without_password
from tfllmer_tui.tui.app import TfllmerApp
from tfllmer_tui.view.printing import put
from tfllmer_tui.web.guard import Guard, is_loopback
from tfllmer_tui.web.messages import LONGEST, PageMessage, bounded, parsed

POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: from here alone. The terminal makes its styles as it goes, hence `unsafe-inline`."""
MOST_PAGES = 16
"""Pages that are open at once; each is a process of its own."""
IDLE_S = 4 * 3600.0
"""A page in which nothing has been typed for so long ends; runs go on, and one button opens it again."""

LEAVE_S = 20.0
"""The app of a page that has gone has so long to leave."""


class WebServer(Server):
    """Serves `command`, the app of one page, to those whom the guard lets in."""

    def __init__(
        self,
        command: str,
        guard: Guard,
        *,
        most_pages: int = MOST_PAGES,
        idle_s: float = IDLE_S,
        leave_s: float = LEAVE_S,
    ) -> None:
        super().__init__(command, title="tfllmer")
        self._guard, self._most_pages, self._idle_s, self._leave_s = guard, most_pages, idle_s, leave_s
        self._pages = 0
        self._page = Template(files("tfllmer_tui.web").joinpath("page.html").read_text("utf-8"))

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard.check)
        app.on_response_prepare.append(_close_up)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Says nothing: `serve` has said where it is."""

    async def handle_index(self, request: web.Request) -> web.Response:
        """The page. `?fontsize=` in pixels, 16 when left out."""
        size = request.query.get("fontsize", "")
        nonce = secrets.token_urlsafe(16)
        text = self._page.substitute(nonce=nonce, fontsize=min(max(int(size), 6), 64) if size.isdecimal() else 16)
        headers = {"Content-Security-Policy": POLICY.format(nonce=nonce), "Cache-Control": "no-store"}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """A page's terminal: a process until the page goes, says what no page of ours says, or has long been idle."""
        websocket = web.WebSocketResponse(heartbeat=15, max_msg_size=2 * LONGEST)
        await websocket.prepare(request)
        if self._pages >= self._most_pages:
            await websocket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too many pages are open; close one")
            return websocket

        async def close() -> None:
            await websocket.close()

        self._pages += 1
        service = AppService(
            self.command,
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=close,
            download_manager=self.download_manager,
        )
        try:
            await service.start(*(_size(request.query.get(side)) for side in ("width", "height")))
            await self._process_messages(websocket, service)
        finally:
            self._pages -= 1
            await self._end(service)
        return websocket

    async def _end(self, service: AppService) -> None:
        """Asks the app to leave; one that does not, or that is not waited for, is killed. No process stays behind."""
        try:
            async with asyncio.timeout(self._leave_s):
                await service.stop()
        except TimeoutError:
            pass
        finally:
            if (process := service._process) is not None:
                if process.returncode is None:
                    process.kill()
                await process.wait()

    async def _process_messages(self, websocket: web.WebSocketResponse, app_service: AppService) -> None:
        typed_at = time.monotonic()
        while (left := typed_at + self._idle_s - time.monotonic()) > 0:
            try:
                received = await websocket.receive(timeout=left)
            except TimeoutError:
                break
            if received.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return
            try:
                message = parsed(received.data if received.type == WSMsgType.TEXT else "")
            except ValueError:
                await websocket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"no message of this page")
                return
            if message.kind in ("stdin", "resize"):
                typed_at = time.monotonic()
            await _passed_on(message, websocket, app_service)
        await websocket.close(code=WSCloseCode.GOING_AWAY, message=b"nothing was typed for long")


async def _passed_on(message: PageMessage, websocket: web.WebSocketResponse, app_service: AppService) -> None:
    """Tell the app what a page says."""
    match message.kind:
        case "stdin":
            await app_service.send_bytes(message.text.encode())
        case "resize":
            await app_service.set_terminal_size(message.width, message.height)
        case "ping":
            await websocket.send_json(["pong", message.text])
        case "blur":
            await app_service.blur()
        case "focus":
            await app_service.focus()
        case kind:
            assert_never(kind)


def _size(given: str | None) -> int:
    """Of the page's address; the size that follows from the window comes with the first message."""
    return bounded(int(given)) if given and given.isdecimal() and len(given) < 6 else 80


async def _close_up(request: web.Request, response: web.StreamResponse) -> None:
    """On every answer: no address in a Referer, no guessing of types, no page of others around it."""
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    del response.headers["Server"]


def serve(db: str | None, host: str, port: int, *, read_only: bool) -> None:
    """Serve until Ctrl-C. Raises UserError where the address cannot be had, or the user's keys are wrong."""
    TfllmerApp.check_keys()  # here, and not on every page
    listening, loopback = _listen(host, port)
    port = listening.getsockname()[1]
    token = None if loopback and read_only else secrets.token_urlsafe(32)
    command = [sys.executable, "-P", "-m", "tfllmer_tui.web.session", *(["--read-only"] if read_only else [])]
    if db is not None:
        command += ["--db", without_password(db)]
        if isinstance(address := store_address(db), ServerAddress):
            os.environ.update(address.environment)  # arguments are for everyone to see
    # `exec`: the shell that textual-serve starts makes way, so that the app's parent is the server itself.
    server = WebServer(f"exec {shlex.join(command)}", Guard(loopback, token, f"tfllmer-{port}"))
    may = "read-only" if read_only else "runs can be launched and cancelled"
    put(f"tfllmer in the browser ({may}): {_address(host, port, token)}")
    if not loopback:
        put("Not encrypted: where others can listen, leave --host out and use ssh -L.")
    put("Ctrl-C ends it, runs go on.")
    web.run_app(server._make_app(), sock=listening, print=None, access_log=None, shutdown_timeout=2.0)


def _listen(host: str, port: int) -> tuple[socket.socket, bool]:
    """A socket that listens, and whether only this machine reaches it."""
    try:
        loopback = is_loopback(host)
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise UserError(f"--host {host}: {getattr(error, 'strerror', None) or error}") from error
    try:
        return socket.create_server((str(address[0]), port), family=family), loopback
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"cannot listen on {host}, port {port}: {why} (--port 0 takes any free one)") from error


def _address(host: str, port: int, token: str | None) -> str:
    """What to type into a browser; for an address that means all of them, this machine's name."""
    name = socket.gethostname() if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
