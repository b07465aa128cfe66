"""The recordings say what was asked, and hold nothing that would let anybody in."""

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import requests
from emulator.directory import CLIENT_ID, SECRET, KeyPair

from app.emulator.emulator import Emulator
from app.emulator.recording import REDACTED, RecordedRequest, Recorder

Ask = Callable[..., requests.Response]


def as_text(requests_: list[RecordedRequest]) -> str:
    return json.dumps([request.as_json() for request in requests_])


def test_a_request_is_recorded_whole_but_for_its_secret(ask: Ask, emulator: Emulator) -> None:
    ask(headers={"client-request-id": "planted"})
    (request,) = emulator.take_requests()
    assert (request.kind, request.method, request.status) == ("token", "POST", 200)
    assert request.path == f"{emulator.authority().removeprefix(emulator.base_url)}/oauth2/v2.0/token"
    assert request.authentication == "client_secret_post"
    assert request.headers["client-request-id"] == "planted"
    assert request.form == {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": REDACTED,
        "scope": "https://graph.microsoft.com/.default",
    }
    assert emulator.take_requests() == []


def test_no_way_of_sending_a_secret_leaves_it_in_a_recording(
    ask: Ask, emulator: Emulator, session: requests.Session
) -> None:
    secret = "planted-7f3a"
    basic = base64.b64encode(f"{CLIENT_ID}:{secret}".encode()).decode()
    url = f"{emulator.authority()}/oauth2/v2.0/token"
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    ask(client_secret=secret)
    ask(client_secret=None, **{"client-secret": secret})
    ask(client_secret=None, headers={"Authorization": f"Basic {basic}"})
    ask(headers={"Cookie": secret, "X-IDENTITY-HEADER": secret, "secret": secret})
    session.post(url, json={"client_secret": secret}, timeout=10)
    session.post(url, data=json.dumps({"client_secret": secret}), headers=form_type, timeout=10)
    session.get(url, params={"client_secret": secret}, timeout=10)
    recorded = emulator.take_requests()
    text = as_text(recorded) + repr(recorded)
    assert len(recorded) == 7
    assert secret not in text
    assert basic not in text
    assert recorded[2].authentication == "client_secret_basic"


def test_the_search_for_a_secret_finds_one_that_is_there(ask: Ask, emulator: Emulator) -> None:
    """The control of the test above: the same search, over a field that is recorded as it came."""
    ask(scope="planted-7f3a/.default")
    recorded = emulator.take_requests()
    assert "planted-7f3a" in as_text(recorded)
    assert "planted-7f3a" in repr(recorded)


def test_an_assertion_is_recorded_without_its_signature(ask: Ask, emulator: Emulator, key_pair: KeyPair) -> None:
    assertion = jwt.encode({"sub": CLIENT_ID}, key_pair.key, "RS256", headers={"x5t": "abc"})
    ask(client_secret=None, client_assertion=assertion)
    (request,) = emulator.take_requests()
    assert request.authentication == "private_key_jwt"
    assert request.assertion_header == {"alg": "RS256", "typ": "JWT", "x5t": "abc"}
    assert request.assertion_claims == {"sub": CLIENT_ID}
    assert assertion.rpartition(".")[2] not in as_text([request])


def test_each_kind_of_request_is_told_apart(emulator: Emulator, session: requests.Session) -> None:
    paths = {
        "/common/discovery/instance": "instance",
        "/common/v2.0/.well-known/openid-configuration": "discovery",
        "/oidc/.well-known/openid-configuration": "discovery",
        "/common/discovery/v2.0/keys": "jwks",
        "/federated/keys": "jwks",
        "/oidc/token": "token",
        "/metadata/identity/oauth2/token": "imds",
        "/": "other",
    }
    for path in paths:
        session.get(emulator.base_url + path, timeout=10)
    assert [request.kind for request in emulator.take_requests()] == list(paths.values())


def test_no_more_than_ten_thousand_are_kept() -> None:
    recorder = Recorder()
    for number in range(10_003):
        recorder.add(RecordedRequest("token", "POST", str(number), 0, {}, {}, {}))
    kept = recorder.take()
    assert (len(kept), kept[0].path) == (10_000, "3")


def test_nothing_is_logged(ask: Ask, emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    token = ask().json()["access_token"]
    ask(client_secret="wrong")
    assert not [record for record in caplog.records if record.name.startswith("app")]
    for secret in (token, SECRET, emulator.control_token):
        assert secret not in caplog.text


def test_the_emulators_parts_show_no_secret(emulator: Emulator) -> None:
    shown: list[Any] = [emulator, emulator.registry, emulator.settings]
    assert SECRET in emulator.registry.applications[0].secrets
    assert all(SECRET not in repr(one) and emulator.control_token not in repr(one) for one in shown)
