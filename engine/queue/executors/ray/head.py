"""The head of a Ray cluster as its jobs are submitted to it and asked for: Ray's REST interface for jobs.

Nothing of Ray is needed on this side. Ray's own documentation: "Ray Jobs REST API".
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.errors import UserError
from engine.queue.executors.base import RefusedError

_PATIENCE_S = 10.0
_SUBMIT_S = 120.0
_AGAIN_S = 2.0
_ENDED = frozenset(["STOPPED", "SUCCEEDED", "FAILED"])
_UNREACHED = (OSError, http.client.HTTPException, ValueError)


@dataclass(frozen=True)
class RayJobState:
    """How a job stands: Ray's word (`PENDING`, `RUNNING`, `STOPPED`, `SUCCEEDED`, `FAILED`), the node that it has run
    on, its exit code, and why it failed in Ray's words."""

    word: str
    node: str = ""
    code: int | None = None
    error: str = ""
    message: str = ""

    @property
    def has_ended(self) -> bool:
        return self.word in _ENDED

    def __str__(self) -> str:
        if self.word == "PENDING":
            return "PENDING (waits for CPUs, GPUs or memory)"
        return f"{self.word} on {self.node}" if self.node and not self.has_ended else self.word


class Head:
    """The head at `address`. Its jobs are asked for at most every `every_s` seconds."""

    def __init__(self, address: str, every_s: float) -> None:
        self.address, self._every_s = address, every_s
        self._known: dict[str, RayJobState] = {}
        self._read_at = float("-inf")
        self._heard_at = time.monotonic()
        self._since: dict[str, float] = {}  # when a job was first asked about
        self.answers = True

    @property
    def silent_s(self) -> float:
        """For how long it has not answered this process."""
        return 0.0 if self.answers else time.monotonic() - self._heard_at

    def require(self) -> None:
        """Raises UserError where no head of a Ray cluster answers."""
        try:
            self._call("GET", "/api/version")
        except urllib.error.HTTPError as error:
            raise UserError(f"--on ray: {self.address}: {_refusal(error)}") from None
        except _UNREACHED as error:
            raise UserError(self._unreached(error)) from None

    def submit(self, request: Mapping[str, Any]) -> None:
        """Submit a job under its own `submission_id`. Raises RefusedError where Ray does not take it, UserError where
        it does not answer."""
        give_up = time.monotonic() + _SUBMIT_S
        while True:
            try:
                self._call("POST", "/api/jobs/", request, _SUBMIT_S / 2)
                return
            except urllib.error.HTTPError as error:
                text = _refusal(error)
                if "already exists" in text:  # it was heard, and its answer lost
                    return
                if error.code == 400:
                    raise RefusedError(f"ray does not take it: {text}") from None
                failure = f"--on ray: {self.address}: {text}"
                if error.code < 500:
                    raise UserError(failure) from None
            except _UNREACHED as error:
                failure = self._unreached(error)
            if time.monotonic() > give_up:
                raise UserError(failure)
            time.sleep(_AGAIN_S)

    def stop(self, job: str) -> None:
        """Have a job told to leave; nothing happens where it has ended, or nobody answers."""
        with suppress(*_UNREACHED):
            self._call("POST", f"/api/jobs/{job}/stop")

    def state(self, job: str) -> RayJobState | None:
        """How the job stands; None where Ray knows nothing of it, or does not answer. `answers` tells which."""
        now = time.monotonic()
        since = self._since.setdefault(job, now)
        known = self._known.get(job)
        if known is not None and known.has_ended:
            return known
        if now - self._read_at >= self._every_s or (known is None and self._read_at < since):
            self._read(now)
        return self._known.get(job)

    def _read(self, now: float) -> None:
        self._read_at = now
        try:
            listed = self._call("GET", "/api/jobs/")
            states = {str(job["submission_id"]): _state(job) for job in listed if job.get("submission_id")}
        except (*_UNREACHED, LookupError, TypeError, AttributeError):
            self.answers = False
            return
        self.answers, self._heard_at = True, time.monotonic()
        self._known = {job: state for job, state in self._known.items() if state.has_ended} | states

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, patience_s: float | None = None
    ) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | _token()
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=patience_s or _PATIENCE_S) as answer:
            return json.loads(answer.read())

    def _unreached(self, error: Exception) -> str:
        reason = getattr(error, "reason", None) or error
        text = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
        return (
            f"--on ray: no Ray cluster answers at {self.address} ({text}); start one with `ray start --head`, or give"
            " the address of its dashboard as `address:` in ./configs/cluster/ray.yaml or RAY_API_SERVER_ADDRESS"
        )


def _state(job: Mapping[str, Any]) -> RayJobState:
    node = urlsplit(job.get("driver_agent_http_address") or "").hostname or ""
    error, message = job.get("error_type") or "", job.get("message") or ""
    return RayJobState(str(job["status"]), node, job.get("driver_exit_code"), str(error), str(message))


def _refusal(error: urllib.error.HTTPError) -> str:
    """What the head says against a request, in a line."""
    if error.code in (401, 403):
        return "asks for a token; put it into RAY_AUTH_TOKEN or ~/.ray/auth_token"
    lines = [line.strip() for line in error.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"{error.code} {error.reason}"


def _token() -> dict[str, str]:
    """The token of a cluster that wants one (`RAY_AUTH_MODE=token`), from where Ray's own commands take it."""
    token = os.environ.get("RAY_AUTH_TOKEN", "")
    if not token:
        file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
        try:
            token = file.read_text("utf-8").strip()
        except OSError:
            return {}
    return {"Authorization": f"Bearer {token}"}
