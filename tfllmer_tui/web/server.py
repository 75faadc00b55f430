"""The server: textual-serve behind the guard, with a page of our own that loads nothing from anywhere else."""

from __future__ import annotations

import os
import secrets
import shlex
import socket
import sys
from importlib.resources import files
from string import Template

from aiohttp import web
from textual_serve.server import Server

from engine.errors import UserError
from tfllmer_tui.tui.app import TfllmerApp
from tfllmer_tui.view.printing import put
from tfllmer_tui.web.guard import Guard, is_loopback

POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: from here alone. The terminal makes its styles as it goes, hence `unsafe-inline`."""


class WebServer(Server):
    """Serves `command`, the app of one page, to those whom the guard lets in."""

    def __init__(self, command: str, guard: Guard) -> None:
        super().__init__(command, title="tfllmer")
        self._guard = guard
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
        command += ["--db", db]
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
