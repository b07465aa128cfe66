"""What every request passes on its way in and out: it is recorded, and a scripted response may take over."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.emulator.control import PATHS as CONTROL_PATHS
from app.emulator.recording import RecordedRequest, Recorder, record
from app.emulator.script import Script, ScriptedResponse
from app.emulator.serving import DROP

MAX_BODY = 1 << 20
_LOOK_EVERY_SECONDS = 0.005


def kind_of(path: str) -> str:
    if path.endswith("/.well-known/openid-configuration"):
        return "discovery"
    if path == "/common/discovery/instance":
        return "instance"
    if path.endswith("/discovery/v2.0/keys") or path in {"/oidc/keys", "/federated/keys"}:
        return "jwks"
    if path.endswith("/oauth2/v2.0/token") or path == "/oidc/token":
        return "token"
    return "imds" if path.startswith("/metadata/") else "other"


def form_fields(headers: Headers, body: bytes) -> dict[str, str]:
    if not headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        return {}
    return dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="utf-8"))


class Exchange:
    """The outermost ASGI application. `refuse` makes the response of an AADSTS code to a request."""

    def __init__(
        self,
        app: ASGIApp,
        recorder: Recorder,
        script: Script,
        clock: Callable[[], float],
        refuse: Callable[[Scope, dict[str, str], int], Response],
    ) -> None:
        self._app = app
        self._recorder = recorder
        self._script = script
        self._clock = clock
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            await Response("The body is too large.", 413)(scope, receive, send)
            return
        replay = _replaying(body, receive)
        if scope["path"] in CONTROL_PATHS:
            await self._app(scope, replay, send)
            return
        form = form_fields(Headers(scope=scope), body)
        request = self._record(scope, form)
        scripted = self._script.take(request.kind)
        send = _noting_status(request, send)
        if scripted is not None and not await _pause(scripted, receive):
            return
        if scripted is None or scripted.is_own_answer:
            await self._app(scope, replay, send)
        elif scripted.drop:
            await _drop(scope, receive)
        else:
            await self._scripted(scripted, scope, form)(scope, receive, send)

    def _record(self, scope: Scope, form: dict[str, str]) -> RecordedRequest:
        headers = dict(Headers(scope=scope).items())
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        path = scope["path"]
        request = record(kind_of(path), scope["method"], path, self._clock(), headers, query, form)
        self._recorder.add(request)
        return request

    def _scripted(self, scripted: ScriptedResponse, scope: Scope, form: dict[str, str]) -> Response:
        if scripted.aadsts is not None:
            response = self._refuse(scope, form, scripted.aadsts)
        else:
            response = Response(scripted.content(), scripted.status or 200)
            response.headers["content-type"] = scripted.content_type()
        for name, value in scripted.headers.items():
            response.headers[name] = value
        return response


async def _read(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Give the body, which has been read already, and then what comes: the end of the connection."""
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _noting_status(request: RecordedRequest, send: Send) -> Send:
    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            # Before the client can see the answer, or it could ask for the recording first.
            request.status = message["status"]
        await send(message)

    return noting


async def _pause(scripted: ScriptedResponse, receive: Receive) -> bool:
    """Wait as the script says, or until the client has gone; say whether it is still there."""
    if not scripted.delay and scripted.until is None:
        return True
    gone = asyncio.ensure_future(receive())
    waiting = asyncio.ensure_future(_wait(scripted))
    try:
        await asyncio.wait({gone, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return not gone.done()
    finally:
        gone.cancel()
        waiting.cancel()


async def _wait(scripted: ScriptedResponse) -> None:
    await asyncio.sleep(scripted.delay)
    while scripted.until and not scripted.until.is_set():  # noqa: ASYNC110 - the event is a test thread's
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


async def _drop(scope: Scope, receive: Receive) -> None:
    extension: dict[str, Any] | None = scope.get("extensions", {}).get(DROP)
    if extension is None:
        raise RuntimeError("only a server with http=DroppingProtocol can drop a connection")
    extension["drop"]()
    # uvicorn takes a return before it has noticed the end for a bug of the application.
    while (await receive())["type"] != "http.disconnect":
        pass
