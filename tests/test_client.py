"""Asking a running broker, over TCP and over a Unix socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import FakeClock, ScriptedSource
from raw_server import http, raw_server
from servers import serving

from app import client
from app.core.broker import Broker
from app.core.catalog import Catalog, ConfiguredToken
from app.core.errors import CredentialRejected
from app.core.tokens import TokenRequest
from app.main import gated, web_api
from app.server.listeners import bind, url_of

GRAPH = TokenRequest("default", "contoso", "https://graph.microsoft.com/.default")


@pytest.fixture
def source(clock: FakeClock) -> ScriptedSource:
    return ScriptedSource(clock)


@pytest.fixture(params=["127.0.0.1:0", "[::1]:0", "unix"])
def url(request: pytest.FixtureRequest, source: ScriptedSource, clock: FakeClock, tmp_path: Path) -> Iterator[str]:
    broker = Broker(source, clock=clock, authorities={"default": "login.example"})
    api = web_api(Catalog([ConfiguredToken("graph", GRAPH, keep_warm=False, required=False)]), broker, clock)
    address = f"unix:{tmp_path}/b.sock" if request.param == "unix" else request.param
    listener = bind(address)
    url = url_of(listener)
    with serving(gated(api), listener):
        yield url


def test_a_token_by_name_or_without(url: str, source: ScriptedSource) -> None:
    token = client.token(url, "graph")
    assert token == f"token-1-{GRAPH.scope}\n"
    assert client.token(url, None) == token
    assert client.token(url, "graph", style="header") == f"Authorization: Bearer {token}"
    assert client.token(url, "graph", min_ttl=60) == token
    assert len(source.requests) == 1


def test_an_error_is_for_a_person(url: str, source: ScriptedSource) -> None:
    source.fail(CredentialRejected("the authority does not accept it", aadsts=7000215))
    with pytest.raises(client.AskError) as raised:
        client.token(url, "graph")
    assert str(raised.value) == "credential_rejected (HTTP 502): AADSTS7000215 the authority does not accept it"


def test_a_name_is_one_segment_whatever_is_in_it(url: str) -> None:
    with pytest.raises(client.AskError, match=r"HTTP 404"):
        client.token(url, "../livez?x=#")


def test_health(url: str) -> None:
    assert client.is_healthy(url, 5)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "unix:/nonexistent/b.sock"])
def test_nobody_there(url: str) -> None:
    assert not client.is_healthy(url, 1)
    with pytest.raises(client.AskError):
        client.token(url, None)


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "https://127.0.0.1:1",
        "ftp://x",
        "127.0.0.1:7575",
        "",
        "http://h:port",
        "http://user:canary@h:1",
        "http://[::1",
    ],
)
def test_a_url_of_another_kind(url: str) -> None:
    with pytest.raises(client.AskError, match="neither") as raised:
        client.token(url, None)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    "answer",
    [
        http("500 Oops", b"<html>"),
        http("404 Not Found", b"[]"),
        http("404 Not Found", b'{"error": 1}'),
        b"SSH-2.0\r\n",
    ],
)
def test_something_else_is_there(answer: bytes) -> None:
    with raw_server(answer) as server, pytest.raises(client.AskError):
        client.token(server.url, None)


def test_what_a_terminal_would_obey_is_made_visible() -> None:
    body = b'{"error": "\\u001b]0;x", "detail": "\\u001b[2J"}'
    with raw_server(http("404 Not Found", body)) as server, pytest.raises(client.AskError) as raised:
        client.token(server.url, None)
    assert str(raised.value) == "?]0;x (HTTP 404): ?[2J"


def test_an_unhealthy_broker() -> None:
    with raw_server(http("503 Service Unavailable", b"unready\n")) as server:
        assert not client.is_healthy(server.url, 5)
