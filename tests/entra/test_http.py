"""Only a 2xx JSON object is an answer; all else is raised, in bounded time and size."""

import contextlib
import gzip
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import NoReturn

import pytest
import requests
import urllib3
from raw_server import http, raw_server

from app.emulator.ca import Certificates, write_certificates
from app.entra.flight import CONNECT_SECONDS, _by_turns
from app.entra.http import MAX_ANSWER_BYTES, BadAnswer, StrictClient, Unreachable


def test_a_json_object_is_an_answer_without_headers() -> None:
    with raw_server(http("200 OK", b'{"a": 1}', "Retry-After: 60")) as server:
        answer = StrictClient().get(f"{server.url}/x", params={"q": "a b"}, headers={"X-One": "1"})
    assert (answer.status_code, answer.text, dict(answer.headers)) == (200, '{"a": 1}', {})
    assert server.received[0].startswith(b"GET /x?q=a+b HTTP/1.1\r\n")
    assert b"X-One: 1" in server.received[0]


def test_a_form_is_posted() -> None:
    with raw_server(http("200 OK", b"{}")) as server:
        StrictClient().post(
            f"{server.url}/token?a=b", data={"scope": "a/.default", "secret": "ö+%"}, params={"c": "d"}
        )
    head, _, body = server.received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /token?a=b&c=d HTTP/1.1\r\n")
    assert b"Content-Type: application/x-www-form-urlencoded" in head
    assert body == b"scope=a%2F.default&secret=%C3%B6%2B%25"


@pytest.mark.parametrize(
    "answer",
    [
        http("400 Bad Request", b'{"error": "invalid_scope"}'),
        http("503 Service Unavailable", b"<html>"),
        http("302 Found", b"{}", "Location: http://127.0.0.1:1/"),
        http("200 OK", b""),
        http("200 OK", b"<html>block page</html>"),
        http("200 OK", b"[1]"),
        http("200 OK", b'{"access_token": "eyJ'),
        http("200 OK", b"[" * 100_000),
        http("200 OK", b"\xff\xfe"),
    ],
)
def test_anything_else_is_raised_and_a_redirect_is_not_followed(answer: bytes) -> None:
    with raw_server(answer) as server, pytest.raises(BadAnswer) as raised:
        StrictClient().get(server.url)
    assert isinstance(raised.value, requests.RequestException)
    assert "block page" not in str(raised.value) + repr(raised.value)


def test_the_error_object_and_the_wait_can_be_read() -> None:
    with (
        raw_server(http("429 Too Many Requests", b'{"error": "x"}', "Retry-After: 17")) as server,
        pytest.raises(BadAnswer) as raised,
    ):
        StrictClient().get(server.url)
    assert raised.value.status == 429
    assert raised.value.fields() == {"error": "x"}
    assert raised.value.retry_after() == 17


def test_retry_after_may_be_a_date() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    wait = BadAnswer(503, {"Retry-After": moment}, "").retry_after()
    assert wait is not None
    assert 290 < wait <= 300


@pytest.mark.parametrize("text", ["", "-5", "soon", "1e3", "٣", "Mon, 99 Foo 2026"])
def test_a_retry_after_that_is_neither_is_no_wait(text: str) -> None:
    assert BadAnswer(503, {"Retry-After": text}, "").retry_after() is None


def test_a_huge_retry_after_is_a_number_still() -> None:
    assert BadAnswer(503, {"Retry-After": "9" * 5000}, "").retry_after() == 9999999999


def test_a_compressed_answer_was_not_asked_for_and_is_not_unpacked() -> None:
    with raw_server(http("200 OK", gzip.compress(b'{"a": 1}'), "Content-Encoding: gzip")) as server:
        with pytest.raises(BadAnswer):
            StrictClient().get(server.url)
        assert b"gzip" not in server.received[0]


def test_a_chunked_answer_is_read() -> None:
    chunked = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n4\r\n: 1}\r\n0\r\n\r\n'
    with raw_server(chunked) as server:
        assert StrictClient().get(server.url).text == '{"a": 1}'


def test_a_huge_answer_is_not_read_to_its_end() -> None:
    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has had enough: what is tested
            connection.sendall(http("200 OK", b'"' + b"x" * (MAX_ANSWER_BYTES + 1) + b'"'))

    with raw_server(answer) as server, pytest.raises(Unreachable, match="too large"):
        StrictClient().get(server.url)


def test_a_server_that_says_nothing_is_left_in_time() -> None:
    over = threading.Event()

    def say_nothing(_: socket.socket) -> None:
        over.wait(30)

    with raw_server(say_nothing) as server:
        with pytest.raises(Unreachable, match="in time"):
            StrictClient(read_seconds=0.05).get(server.url)
        over.set()


DRIPS = {
    "status line": (b"HTTP/1.1 2", b"0"),
    "header": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"a"),
    "another 100": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
    "chunk extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=", b"a"),
    "trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X-A: b\r\n"),
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    return context


@pytest.mark.parametrize("where", DRIPS)
def test_a_server_that_drips_is_left_in_time(certificates: Certificates, tls: ssl.SSLContext, where: str) -> None:
    over = threading.Event()
    head, drop = DRIPS[where]

    def drip(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has left: what is tested
            connection.sendall(head)
            while not over.wait(0.01):
                connection.sendall(drop)

    client = StrictClient(ca_bundle=certificates.ca, read_seconds=5.0, flight_seconds=0.5)
    with raw_server(drip, tls=tls) as server:
        with client.within_flight(), pytest.raises(Unreachable, match="in time"):
            client.get(server.url.replace("http://127.0.0.1", "https://localhost"))
        over.set()


def test_without_that_bound_a_drip_would_hold(certificates: Certificates, tls: ssl.SSLContext) -> None:
    """The negative control: a plain client is still reading when the bounded one has left."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            for _ in range(100):
                connection.sendall(b"a")
                over.wait(0.01)
            connection.sendall(b"\r\nContent-Length: 2\r\n\r\n{}")

    with (
        raw_server(drip, tls=tls) as server,
        urllib3.PoolManager(ca_certs=str(certificates.ca), timeout=0.5, retries=False) as pool,
    ):
        assert pool.request("GET", server.url.replace("http://127.0.0.1", "https://localhost")).data == b"{}"


def test_tls_keys_are_not_written_down(
    certificates: Certificates, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))

    def ask(context: ssl.SSLContext | None) -> str:
        with raw_server(http("200 OK", b"{}"), tls=tls) as server:
            url = server.url.replace("http://127.0.0.1", "https://localhost")
            if context is None:
                StrictClient(ca_bundle=certificates.ca).get(url)
            else:
                with urllib3.PoolManager(ssl_context=context) as pool:
                    pool.request("GET", url)
        return log.read_text() if log.exists() else ""

    assert "SECRET" not in ask(None)
    assert "SECRET" in ask(
        ssl.create_default_context(cafile=certificates.ca)
    )  # what the environment does otherwise


def test_a_flight_is_one_bound_for_all_its_requests() -> None:
    client = StrictClient(flight_seconds=0.0)
    with client.within_flight(), pytest.raises(Unreachable, match="in time"):
        client.get("http://127.0.0.1:1/")


def test_a_flight_labels_its_requests_and_only_those() -> None:
    client = StrictClient()
    with raw_server(http("200 OK", b"{}"), http("200 OK", b"{}")) as server:
        with client.within_flight("01234567-89ab-cdef-0123-456789abcdef"):
            client.get(server.url, headers={"client-request-id": "from MSAL"})
        client.get(server.url, headers={"client-request-id": "from MSAL"})
    assert b"client-request-id: 01234567-89ab-cdef-0123-456789abcdef" in server.received[0]
    assert b"client-request-id: from MSAL" in server.received[1]


def test_a_closed_port_is_a_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match="refused"):
        StrictClient().get(f"http://127.0.0.1:{port}/")


def test_a_connection_that_breaks_is_not_tried_again() -> None:
    with raw_server(b"", b"") as server, pytest.raises(Unreachable, match="broke"):
        StrictClient().post(f"{server.url}/", data={"a": "b"})
    assert len(server.received) == 1


@pytest.fixture
def no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that knows no name: no test asks a real one."""

    def resolve(*_args: object, **_options: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.usefixtures("no_such_name")
def test_a_name_that_does_not_exist_is_said_so() -> None:
    with pytest.raises(Unreachable, match="resolved"):
        StrictClient().get("https://broker-test.invalid/")


def test_a_proxy_is_used_with_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "authority.example")
    with raw_server(http("407 Proxy Authentication Required", b"")) as proxy:
        client = StrictClient(proxy_url=f"http://user:pass%20word@127.0.0.1:{proxy.port}")
        with pytest.raises(Unreachable, match="proxy") as raised:
            client.get("https://authority.example/")
    assert proxy.received[0].startswith(b"CONNECT authority.example:443")
    assert b"proxy-authorization: Basic dXNlcjpwYXNzIHdvcmQ=" in proxy.received[0]
    assert client.proxy == f"127.0.0.1:{proxy.port}"
    assert "pass" not in str(raised.value)


@pytest.mark.usefixtures("no_such_name")
def test_the_environments_proxy_is_not_looked_for_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    client = StrictClient()
    assert client.proxy is None
    with pytest.raises(Unreachable, match="resolved"):
        client.get("https://broker-test.invalid/")


@pytest.mark.usefixtures("no_such_name")
def test_no_proxy_is_obeyed_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "broker-test.invalid")
    with pytest.raises(Unreachable, match="resolved"):
        StrictClient(proxy_url="http://127.0.0.1:1", obey_no_proxy=True).get("https://broker-test.invalid/")


def test_plain_http_goes_direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with raw_server(http("200 OK", b"{}")) as server:
        assert StrictClient(proxy_url="http://127.0.0.1:1").get(server.url).text == "{}"


def test_a_bundle_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        StrictClient(ca_bundle=tmp_path / "none.pem")


def test_a_name_with_many_dead_addresses_takes_no_more_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four addresses that swallow connections: their backlog is full, and the system drops what comes."""
    addresses = [f"127.0.0.{number}" for number in range(1, 5)]
    with contextlib.ExitStack() as stack:
        port = 0
        for address in addresses:
            port = stack.enter_context(socket.create_server((address, port), backlog=0)).getsockname()[1]
            for _ in range(2):
                filler = stack.enter_context(socket.socket())
                filler.settimeout(0)
                filler.connect_ex((address, port))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
        client = StrictClient(flight_seconds=0.3)
        started = time.monotonic()
        with client.within_flight(), pytest.raises(Unreachable, match="timed out"):
            client.get(f"https://many.example:{port}/")
        assert time.monotonic() - started < CONNECT_SECONDS  # which each of the four would have for itself


def test_the_next_address_is_tried(
    monkeypatch: pytest.MonkeyPatch, certificates: Certificates, tls: ssl.SSLContext
) -> None:
    with raw_server(http("200 OK", b"{}"), tls=tls) as server:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, server.port)) for one in ("127.0.0.9", "127.0.0.1")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
        url = server.url.replace("http://127.0.0.1", "https://localhost")
        assert StrictClient(ca_bundle=certificates.ca).get(url).text == "{}"


def test_behind_dead_addresses_a_live_one_is_reached(
    monkeypatch: pytest.MonkeyPatch, certificates: Certificates, tls: ssl.SSLContext
) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(raw_server(http("200 OK", b"{}"), tls=tls))
        dead = [f"127.0.0.{number}" for number in range(2, 6)]
        for address in dead:
            stack.enter_context(socket.create_server((address, server.port), backlog=0))
            for _ in range(2):
                filler = stack.enter_context(socket.socket())
                filler.settimeout(0)
                filler.connect_ex((address, server.port))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, server.port)) for one in [*dead, "127.0.0.1"]]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
        client = StrictClient(ca_bundle=certificates.ca)
        with client.within_flight():
            assert client.get(server.url.replace("http://127.0.0.1", "https://localhost")).text == "{}"


def test_the_families_of_a_names_addresses_come_by_turns() -> None:
    v6 = [(socket.AF_INET6, 1, 6, "", (f"::{number}", 443, 0, 0)) for number in range(3)]
    v4 = [(socket.AF_INET, 1, 6, "", ("10.0.0.1", 443))] * 2
    assert _by_turns([*v6, *v4]) == ["::0", "10.0.0.1", "::1", "::2"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_drips_is_left_in_time(certificates: Certificates, tls: ssl.SSLContext, scheme: str) -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client has left: what is tested
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not over.wait(0.01):
                connection.sendall(b"a")

    with raw_server(drip, tls=tls if scheme == "https" else None) as proxy:
        url = f"{scheme}://localhost:{proxy.port}"
        client = StrictClient(ca_bundle=certificates.ca, proxy_url=url, flight_seconds=0.5)
        with client.within_flight(), pytest.raises(Unreachable):
            client.get("https://authority.example/")
        over.set()
    assert proxy.received[0].startswith(b"CONNECT authority.example:443")


def test_the_way_to_a_tls_proxy_is_trusted_and_logged_as_all_else(
    certificates: Certificates, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))
    with raw_server(http("407 Proxy Authentication Required", b""), tls=tls) as proxy:
        client = StrictClient(ca_bundle=certificates.ca, proxy_url=f"https://u:p%E2%82%AC@localhost:{proxy.port}")
        with pytest.raises(Unreachable, match="proxy"):
            client.get("https://authority.example/")
    assert b"proxy-authorization: Basic dTpw4oKs" in proxy.received[0]
    assert not (tmp_path / "keys.log").exists() or "SECRET" not in (tmp_path / "keys.log").read_text()
