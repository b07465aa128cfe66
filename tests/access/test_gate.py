"""The gate as pure ASGI: a header that comes twice, and what is not HTTP."""

from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.access.gate import Gate
from app.core.errors import AccessDenied

pytestmark = pytest.mark.anyio


async def ask(headers: list[tuple[bytes, bytes]], path: str = "/token", kind: str = "http") -> tuple[str, Scope]:
    """Send one request through a gate; returns what answered, and the scope it saw."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("app")(scope, receive, send)

    def refuse(_: AccessDenied) -> PlainTextResponse:
        return PlainTextResponse("refused")

    body = b""

    async def send(message: Any) -> None:
        nonlocal body
        body += message.get("body", b"")

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": kind, "path": path, "headers": headers, "method": "GET"}
    await Gate(app, open_paths=frozenset({"/livez"}), refuse=refuse)(scope, receive, send)
    return body.decode(), scope


async def test_the_header_twice_is_not_the_header() -> None:
    # Two parties wrote it: a proxy may have added ours to a request that had its own.
    answered, _ = await ask([(b"metadata", b"true"), (b"metadata", b"true")])
    assert answered == "refused"


async def test_an_open_path_is_open_and_knows_whether_its_caller_was_admitted() -> None:
    for headers, admitted in (([], False), ([(b"metadata", b"true")], True)):
        answered, scope = await ask(headers, "/livez")
        assert answered == "app"
        assert scope["state"]["admitted"] is admitted


async def test_what_is_not_http_passes() -> None:
    answered, scope = await ask([], kind="lifespan")
    assert answered == "app"
    assert "state" not in scope
