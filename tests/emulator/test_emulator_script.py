"""Scripted responses: what the emulator is told to say, or not to say."""

import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from app.emulator.emulator import Emulator
from app.emulator.script import ScriptedResponse, parse_scripted

Ask = Callable[..., requests.Response]


def test_responses_are_given_in_their_order_and_then_no_more(ask: Ask, emulator: Emulator) -> None:
    throttled = ScriptedResponse(
        status=429, headers={"Retry-After": "60"}, body={"error": "temporarily_unavailable"}
    )
    emulator.enqueue(throttled, ScriptedResponse(status=503, body="<html>down</html>"))
    emulator.enqueue(ScriptedResponse(status=200, body=b"\xff\x00"))
    first, second, third, fourth = (ask() for _ in range(4))
    assert (first.status_code, first.headers["retry-after"]) == (429, "60")
    assert first.json() == {"error": "temporarily_unavailable"}
    assert (second.text, second.headers["content-type"]) == ("<html>down</html>", "text/html; charset=utf-8")
    assert third.content == b"\xff\x00"
    assert fourth.status_code == 200
    assert [request.status for request in emulator.take_requests()] == [429, 503, 200, 200]


def test_a_response_without_a_body_is_empty(ask: Ask, emulator: Emulator) -> None:
    emulator.enqueue(ScriptedResponse(status=403))
    assert (ask().status_code, ask().status_code) == (403, 200)


def test_an_aadsts_code_is_answered_as_entra_does(ask: Ask, emulator: Emulator) -> None:
    emulator.enqueue(ScriptedResponse(aadsts=53003), ScriptedResponse(aadsts=90033, headers={"Retry-After": "7"}))
    blocked, transient = ask(), ask()
    assert blocked.json()["suberror"] == "message_only"
    assert blocked.json()["claims"].startswith('{"access_token"')
    assert (transient.status_code, transient.headers["retry-after"]) == (503, "7")


def test_a_scripted_code_knows_what_the_request_said(ask: Ask, emulator: Emulator) -> None:
    emulator.enqueue(ScriptedResponse(aadsts=500011))
    assert "The resource principal named https://graph.microsoft.com was not found" in ask().text


def test_a_dropped_connection_is_reset(emulator: Emulator) -> None:
    """OpenSSL 3.0 shows a reset as an end of file, so what comes is read below TLS."""
    emulator.enqueue(ScriptedResponse(drop=True))
    context = ssl.create_default_context(cafile=str(emulator.ca))
    with (
        socket.create_connection(("localhost", int(emulator.base_url.rpartition(":")[2]))) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        # A timeout of Python's own would make the descriptor non-blocking.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 10, 0))
        path = f"{emulator.authority().removeprefix(emulator.base_url)}/oauth2/v2.0/token"
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: os.read(connection.fileno(), 4096), b""))


def test_a_client_takes_a_dropped_connection_for_a_transport_failure(ask: Ask, emulator: Emulator) -> None:
    emulator.enqueue(ScriptedResponse(drop=True))
    with pytest.raises(requests.exceptions.ConnectionError):
        ask()
    assert [request.status for request in emulator.take_requests()] == [None]
    assert ask().status_code == 200


def test_a_late_answer_is_the_emulators_own(ask: Ask, emulator: Emulator) -> None:
    emulator.enqueue(ScriptedResponse(delay=0.05))
    answer = ask()
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() >= 0.05


def test_a_client_that_gives_up_ends_the_wait(ask: Ask, emulator: Emulator) -> None:
    emulator.enqueue(ScriptedResponse(delay=600))
    with pytest.raises(requests.exceptions.ReadTimeout):
        ask(timeout=0.05)
    assert [request.status for request in emulator.take_requests()] == [None]
    assert ask().status_code == 200


def test_an_answer_can_be_held_until_an_event(ask: Ask, emulator: Emulator) -> None:
    release = threading.Event()
    emulator.enqueue(ScriptedResponse(until=release))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        assert emulator.wait_for_requests(1)
        assert not answer.done()
        release.set()
        assert answer.result(10).status_code == 200


def test_waiting_for_requests_that_do_not_come_ends(emulator: Emulator) -> None:
    assert not emulator.wait_for_requests(1, timeout=0.01)


def test_a_response_waits_for_its_kind(ask: Ask, emulator: Emulator, session: requests.Session) -> None:
    emulator.enqueue(ScriptedResponse(status=500, kind="discovery"))
    assert ask().status_code == 200
    url = f"{emulator.authority()}/v2.0/.well-known/openid-configuration"
    assert [session.get(url, timeout=10).status_code for _ in range(2)] == [500, 200]


def test_a_body_beyond_the_limit_is_refused(ask: Ask, emulator: Emulator) -> None:
    assert ask(client_info="x" * (1 << 20)).status_code == 413
    assert emulator.count() == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "must be an object"),
        ({"statuss": 500}, "may have"),
        ({"status": True}, "status must be int"),
        ({"status": "500"}, "status must be int"),
        ({"status": 100}, "from 200 to 599"),
        ({"status": 500, "drop": True}, "exclude each other"),
        ({"aadsts": 1}, "no text"),
        ({"delay": -1}, "delay must be"),
        ({"delay": 1e9}, "delay must be"),
        ({"delay": float("nan")}, "delay must be"),
        ({"kind": "other"}, "kind must be"),
        ({"headers": {"a": 1}}, "object of strings"),
        ({"headers": {"a": "b\r\nc: d"}}, "printable"),
        ({"headers": {"a b": "c"}}, "printable"),
        ({"body": {}, "status": None}, "status must be int"),
        ({"body": "x"}, "needs a status"),
    ],
    ids=str,
)
def test_each_mistake_in_a_response_is_said(value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_scripted(value)
