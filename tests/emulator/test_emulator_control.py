"""The control interface: who may use it, and what it does."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import requests
from emulator.directory import SECRET
from starlette.types import Message

from app.emulator.emulator import Emulator

Ask = Callable[..., requests.Response]
Control = Callable[..., requests.Response]
RESOURCES = ["responses", "requests", "settings", "assertion"]


@pytest.fixture
def control(emulator: Emulator, session: requests.Session) -> Control:
    def control(method: str, resource: str, value: Any = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {emulator.control_token}"}
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        url = f"{emulator.base_url}/emulator/{resource}"
        return session.request(method, url, data=body, headers=headers, timeout=10)

    return control


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer é", "Basic", "Bearer"])
def test_it_wants_its_token(
    resource: str, authorization: str | None, emulator: Emulator, session: requests.Session
) -> None:
    headers = {"Authorization": authorization.encode()} if authorization else None
    answer = session.post(f"{emulator.base_url}/emulator/{resource}", headers=headers, timeout=10)
    assert answer.status_code in {401, 405}
    answer = session.get(f"{emulator.base_url}/emulator/{resource}", headers=headers, timeout=10)
    assert answer.status_code in {401, 405}


@pytest.mark.parametrize(
    ("client", "status"),
    [(("192.0.2.1", 1), 403), (("::ffff:192.0.2.1", 1), 403), (None, 403), (("::ffff:127.0.0.1", 1), 200)],
    ids=str,
)
def test_it_answers_loopback_peers_only(client: Any, status: int, emulator: Emulator) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/emulator/requests",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {emulator.control_token}".encode())],
        "client": client,
    }
    anyio.run(emulator.app, scope, receive, send)
    assert sent[0]["status"] == status


def test_enqueued_responses_are_given(control: Control, ask: Ask) -> None:
    answer = control("POST", "responses", [{"status": 503, "body": {"a": 1}}, {"aadsts": 7000222}])
    assert answer.json() == {"enqueued": 2}
    assert control("POST", "responses", {"drop": True}).json() == {"enqueued": 1}
    assert ask().json() == {"a": 1}
    assert ask().json()["error_codes"] == [7000222]
    with pytest.raises(requests.exceptions.ConnectionError):
        ask()


def test_one_mistake_in_a_list_enqueues_none_of_it(control: Control, ask: Ask) -> None:
    answer = control("POST", "responses", [{"status": 503}, {"status": 9}])
    assert (answer.status_code, answer.json()) == (400, {"error": "status must be from 200 to 599"})
    assert ask().status_code == 200


def test_enqueued_responses_can_be_forgotten(control: Control, ask: Ask) -> None:
    control("POST", "responses", {"status": 503})
    assert control("DELETE", "responses").status_code == 204
    assert ask().status_code == 200


def test_recorded_requests_are_seen_and_taken(control: Control, ask: Ask) -> None:
    ask()
    seen, taken, left = control("GET", "requests"), control("DELETE", "requests"), control("GET", "requests")
    assert seen.json() == taken.json()
    assert [one["authentication"] for one in taken.json()["requests"]] == ["client_secret_post"]
    assert SECRET not in taken.text
    assert left.json() == {"requests": []}
    assert left.headers["cache-control"] == "no-store"


def test_settings_are_shown_and_changed(control: Control, ask: Ask) -> None:
    assert control("GET", "settings").json() == {"lifetime": 3599, "refresh_in": None}
    assert control("POST", "settings", {"lifetime": 9, "refresh_in": 4}).json() == {"lifetime": 9, "refresh_in": 4}
    assert ask().json()["refresh_in"] == 4
    assert control("POST", "settings", {"refresh_in": None}).json() == {"lifetime": 9, "refresh_in": None}


def test_an_assertion_can_be_had(control: Control, emulator: Emulator) -> None:
    answer = control("POST", "assertion", {"subject": "pod", "lifetime": 60}).json()
    assert answer["issuer"] == emulator.federated_issuer
    assert answer["assertion"].count(".") == 2


@pytest.mark.parametrize(
    ("resource", "value", "text"),
    [
        ("settings", b"{planted", "the body is not JSON"),
        ("settings", b"\xff", "the body is not JSON"),
        ("settings", [], "must be an object with lifetime, refresh_in"),
        ("settings", {"lifetim": 3}, "must be an object with lifetime, refresh_in"),
        ("settings", {"lifetime": 0}, "lifetime must be a whole number"),
        ("settings", {"lifetime": True}, "lifetime must be a whole number"),
        ("settings", {"refresh_in": "5"}, "refresh_in must be a whole number"),
        ("settings", {"lifetime": 5, "refresh_in": 0}, "refresh_in must be a whole number"),
        ("assertion", {}, "subject must be"),
        ("assertion", {"subject": 3}, "subject must be"),
        ("assertion", {"subject": "pod", "audience": None}, "subject must be"),
        ("responses", {"statuss": 3}, "a response may have"),
    ],
    ids=str,
)
def test_each_mistake_is_said_and_changes_nothing(
    resource: str, value: Any, text: str, control: Control, emulator: Emulator
) -> None:
    answer = control("POST", resource, value)
    assert answer.status_code == 400
    assert text in answer.json()["error"]
    assert "planted" not in answer.text
    assert (emulator.settings.lifetime, emulator.settings.refresh_in) == (3599, None)


def test_its_own_requests_are_not_recorded(control: Control, emulator: Emulator) -> None:
    control("GET", "requests")
    assert emulator.take_requests() == []
