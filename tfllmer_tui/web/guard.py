"""Who may connect.

On loopback the pages of other sites are the danger: a browser lets them send requests to this machine, and by DNS
rebinding even read the answers. So the name that was asked for has to be this machine's own, and a websocket, which
no browser keeps from crossing sites, has to come from a page of ours. Elsewhere, and wherever runs can be changed
(other people may work on this machine), a token is needed too: once in the address, from then on in a cookie.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Guard:
    """What a request must bring. `loopback`: only this machine can reach the server at all."""

    loopback: bool
    token: str | None
    cookie: str
    """Name of the cookie; it has the port in it, because cookies do not know ports."""

    def refusal(self, host: str, path: str, origin: str | None, token: str | None) -> str:
        """Why a request is refused, in words for whoever sent it; empty when it may pass."""
        if self.loopback and not is_loopback_name(_hostname(host)):
            return f"this view answers to localhost only, not to {_hostname(host)!r}"
        if path == "/ws" and _place(origin) != host.lower():
            return "a terminal opens from its own page only"
        if not self.knows(token):
            return "this view needs the address with its token, as tfllmer tui --web printed it"
        return ""

    def knows(self, token: str | None) -> bool:
        """Whether the token is right, in a time that does not depend on how much of it is."""
        if self.token is None:
            return True
        return secrets.compare_digest((token or "").encode(), self.token.encode())

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The middleware. A right token in the address moves to a cookie, out of sight and out of the history."""
        given = request.query.get("token") if request.path == "/" else None
        refused = self.refusal(
            request.host, request.path, request.headers.get("Origin"), given or request.cookies.get(self.cookie)
        )
        if refused:
            return web.Response(status=403, text=f"403: {refused}\n")
        if given is None or self.token is None:
            return await handler(request)
        moved = web.Response(status=303, headers={"Location": str(request.rel_url.without_query_params("token"))})
        # Not "Strict": the cookie would be missing when the address was clicked in a mail or a chat.
        moved.set_cookie(self.cookie, self.token, httponly=True, samesite="Lax")
        return moved


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound to `host`. Raises OSError for a name that is not known."""
    return all(
        ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback
        for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    )


def is_loopback_name(name: str) -> bool:
    """Whether a name in an address means this machine and nothing else; nothing is looked up."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _hostname(host: str) -> str:
    """Of `localhost:8000` or `[::1]:8000`."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _place(origin: str | None) -> str:
    """Host and port of an origin, as a Host header has them."""
    return urlsplit(origin).netloc.lower() if origin else ""
