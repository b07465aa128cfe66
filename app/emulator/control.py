"""The control interface: what a test in another language does to the emulator, over HTTP.

Whoever may use it can make the emulator sign an assertion for any subject, so it answers only loopback
peers that show the token which the emulator printed when it started.
"""

import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.emulator.mint import Mint, Settings
from app.emulator.recording import Recorder
from app.emulator.registry import EXCHANGE_AUDIENCE
from app.emulator.script import Script, parse_scripted

_MAX_LIFETIME = 7 * 86400
_PREFIX = "/emulator"
PATHS = frozenset(f"{_PREFIX}/{name}" for name in ("responses", "requests", "settings", "assertion"))

Action = Callable[[Request], Awaitable[Response]]


class Control:
    """The four resources: responses to give, requests taken, settings, and an assertion to be had."""

    def __init__(self, token: str, recorder: Recorder, script: Script, settings: Settings, mint: Mint) -> None:
        self._token = token
        self._recorder = recorder
        self._script = script
        self._settings = settings
        self._mint = mint

    def routes(self) -> list[Route]:
        table: list[tuple[str, Action, list[str]]] = [
            ("responses", self._responses, ["POST", "DELETE"]),
            ("requests", self._requests, ["GET", "DELETE"]),
            ("settings", self._change_settings, ["GET", "POST"]),
            ("assertion", self._assertion, ["POST"]),
        ]
        return [
            Route(f"{_PREFIX}/{name}", self._guarded(action), methods=methods) for name, action, methods in table
        ]

    def _guarded(self, action: Action) -> Action:
        async def guarded(request: Request) -> Response:
            if not _is_loopback(request):
                return _error(403, "the control interface answers loopback peers only")
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), self._token.encode()):
                response = _error(401, "send Authorization: Bearer with the control token")
                response.headers["www-authenticate"] = "Bearer"
                return response
            try:
                response = await action(request)
            except ValueError as error:
                response = _error(400, str(error))
            response.headers["cache-control"] = "no-store"
            return response

        return guarded

    async def _responses(self, request: Request) -> Response:
        """Queue one response or a list of them, all or none; DELETE forgets what is queued."""
        if request.method == "DELETE":
            self._script.clear()
            return Response(status_code=204)
        value = await _json(request)
        responses = [parse_scripted(one) for one in (value if isinstance(value, list) else [value])]
        self._script.add(*responses)
        return JSONResponse({"enqueued": len(responses)})

    async def _requests(self, request: Request) -> Response:
        """Return what was recorded; DELETE returns it and forgets it."""
        recorded = self._recorder.take() if request.method == "DELETE" else self._recorder.all()
        return JSONResponse({"requests": [one.as_json() for one in recorded]})

    async def _change_settings(self, request: Request) -> Response:
        if request.method == "POST":
            value = await _object(request, {"lifetime", "refresh_in"})
            lifetime, refresh_in = self._settings.lifetime, self._settings.refresh_in
            if "lifetime" in value:
                lifetime = _seconds(value, "lifetime")
            if "refresh_in" in value:
                refresh_in = None if value["refresh_in"] is None else _seconds(value, "refresh_in")
            self._settings.lifetime, self._settings.refresh_in = lifetime, refresh_in
        return JSONResponse({"lifetime": self._settings.lifetime, "refresh_in": self._settings.refresh_in})

    async def _assertion(self, request: Request) -> Response:
        value = await _object(request, {"subject", "audience", "lifetime"})
        subject, audience = value.get("subject"), value.get("audience", EXCHANGE_AUDIENCE)
        if not isinstance(subject, str) or not subject or not isinstance(audience, str):
            raise ValueError("subject must be a non-empty string, and audience a string")
        lifetime = _seconds(value, "lifetime") if "lifetime" in value else 3600
        assertion = self._mint.federated_assertion(subject, audience, lifetime)
        return JSONResponse({"assertion": assertion, "issuer": self._mint.federated_issuer})


def _is_loopback(request: Request) -> bool:
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    # A socket that listens on :: sees an IPv4 peer as ::ffff:127.0.0.1.
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as error:
        # json's own message is kept from the answer: it may quote what was sent.
        raise ValueError("the body is not JSON") from error


async def _object(request: Request, names: set[str]) -> dict[str, Any]:
    value = await _json(request)
    if not isinstance(value, dict) or not names.issuperset(value):
        raise ValueError(f"the body must be an object with {', '.join(sorted(names))}")
    return value


def _seconds(value: dict[str, Any], name: str) -> int:
    seconds = value[name]
    if type(seconds) is not int or not 1 <= seconds <= _MAX_LIFETIME:
        raise ValueError(f"{name} must be a whole number of seconds from 1 to {_MAX_LIFETIME}")
    return seconds


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)
