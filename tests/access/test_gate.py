"""The gate as pure ASGI: a header that comes twice, and what is not HTTP."""

from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.access.gate import Gate
from app.core.errors import AccessDenied

pytestmark = pytest.mark.anyio


METADATA = (b"metadata", b"true")


async def ask(
    headers: list[tuple[bytes, bytes]], path: str = "/token", kind: str = "http", host: bytes = b"localhost"
) -> tuple[str, Scope]:
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

    scope = {
        "type": kind,
        "path": path,
        "headers": [(b"host", host), *headers] if host else headers,
        "method": "GET",
    }
    await Gate(app, open_paths=frozenset({"/livez"}), refuse=refuse)(scope, receive, send)
    return body.decode(), scope


async def test_the_header_twice_is_not_the_header() -> None:
    # Two parties wrote it: a proxy may have added ours to a request that had its own.
    answered, _ = await ask([METADATA, METADATA])
    assert answered == "refused"


async def test_an_open_path_is_open_and_knows_whether_its_caller_was_admitted() -> None:
    for headers, admitted in (([], False), ([METADATA], True)):
        answered, scope = await ask(headers, "/livez")
        assert answered == "app"
        assert scope["state"]["admitted"] is admitted


async def test_what_is_not_http_passes() -> None:
    answered, scope = await ask([], kind="lifespan")
    assert answered == "app"
    assert "state" not in scope


@pytest.mark.parametrize(
    "host",
    [b"localhost", b"LOCALHOST:1", b"127.0.0.1", b"127.0.0.1:7575", b"127.9.9.9:80", b"[::1]", b"[::1]:7575"],
)
async def test_loopback_has_many_names(host: bytes) -> None:
    assert (await ask([METADATA], host=host))[0] == "app"


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"evil.example",
        b"evil.example:7575",
        b"localhost.evil.example",
        b"localhost.",
        b"127.0.0.1.evil.example",
        b"127.1",
        b"0.0.0.0",
        b"10.0.0.1",
        b"[::]",
        b"[::ffff:10.0.0.1]",
        b"user@localhost",
        b"localhost:7575@evil.example",
        b"localhost, evil.example",
        b"localhost:x",
        b"[::1",
        b"\xff",
    ],
)
async def test_a_rebound_name_is_no_loopback_name(host: bytes) -> None:
    assert (await ask([METADATA], host=host))[0] == "refused"


async def test_a_second_host_is_refused() -> None:
    assert (await ask([METADATA, (b"host", b"localhost")]))[0] == "refused"


@pytest.mark.parametrize(
    "header",
    [
        (b"origin", b"http://localhost:7575"),
        (b"origin", b"null"),
        (b"sec-fetch-site", b"same-origin"),
        (b"sec-fetch-site", b"cross-site"),
        (b"x-forwarded-for", b"127.0.0.1"),
        (b"x-forwarded-host", b"localhost"),
        (b"x-forwarded-port", b"7575"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded", b"for=127.0.0.1"),
        (b"x-forwarded-server", b"proxy"),
        (b"x-real-ip", b"127.0.0.1"),
        (b"forwarded", b"for=127.0.0.1"),
        (b"via", b"1.1 proxy"),
    ],
)
async def test_pages_and_proxies_are_refused(header: tuple[bytes, bytes]) -> None:
    assert (await ask([METADATA, header]))[0] == "refused"
    assert (await ask([header], "/livez"))[0] == "app"


async def test_what_a_browser_sends_for_an_address_typed_in_is_no_page() -> None:
    none = (b"sec-fetch-site", b"none")
    assert (await ask([METADATA, none]))[0] == "app"
    assert (await ask([METADATA, none, (b"sec-fetch-site", b"cross-site")]))[0] == "refused"


async def test_white_space_around_a_value_is_not_part_of_it() -> None:
    assert (await ask([(b"metadata", b" True\t")]))[0] == "app"
