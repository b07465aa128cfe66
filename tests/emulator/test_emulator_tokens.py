"""The token endpoint: what a secret earns, and Entra's refusals."""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import pytest
import requests
from emulator.directory import CLIENT_ID, EXPIRED, OTHER, SECRET, TENANT

from app.emulator.emulator import Emulator
from app.emulator.registry import Application

Ask = Callable[..., requests.Response]
Decode = Callable[[str], dict[str, Any]]
CORRELATION_ID = "44444444-4444-4444-4444-444444444444"


def code_of(answer: requests.Response) -> tuple[int, str, int]:
    body = answer.json()
    return answer.status_code, body["error"], body["error_codes"][0]


def test_the_answer_has_entras_keys_in_entras_order(ask: Ask) -> None:
    answer = ask()
    assert list(answer.json()) == ["token_type", "expires_in", "ext_expires_in", "access_token"]
    assert answer.json()["expires_in"] == answer.json()["ext_expires_in"] == 3599
    assert answer.headers["cache-control"] == "no-store, no-cache"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert "x-ms-clitelem" not in answer.headers
    assert "strict-transport-security" not in answer.headers


def test_the_token_is_app_only_and_says_it_is_from_an_emulator(
    ask: Ask, decode: Decode, emulator: Emulator, application: Application
) -> None:
    claims = decode(ask().json()["access_token"])
    assert claims["iss"] == f"{emulator.base_url}/emulator/{TENANT.id}/v2.0"
    assert claims["emulator"] is True
    assert claims["aud"] == "https://graph.microsoft.com"
    assert claims["exp"] - claims["iat"] == 3899
    assert claims["iat"] == claims["nbf"]
    assert claims["sub"] == claims["oid"] == application.object_id(TENANT)
    expected = {"appid": CLIENT_ID, "appidacr": "1", "idtyp": "app", "tid": TENANT.id, "ver": "1.0"}
    assert expected.items() <= claims.items()
    assert claims["roles"] == ["User.Read.All"]


def test_the_audience_is_what_precedes_the_suffix(ask: Ask, decode: Decode) -> None:
    claims = decode(ask(scope="https://management.azure.com//.default").json()["access_token"])
    assert claims["aud"] == "https://management.azure.com/"
    assert "roles" not in claims


def test_lifetime_and_refresh_advice_are_settings(ask: Ask, emulator: Emulator) -> None:
    emulator.settings.lifetime, emulator.settings.refresh_in = 5, 2
    answer = ask().json()
    assert list(answer) == ["token_type", "expires_in", "ext_expires_in", "refresh_in", "access_token"]
    assert (answer["expires_in"], answer["refresh_in"]) == (5, 2)


@pytest.mark.parametrize("encode", [quote_plus, str], ids=["encoded", "raw"])
def test_basic_authentication_is_read_encoded_and_raw(encode: Callable[[str], str], ask: Ask) -> None:
    pair = f"{encode(CLIENT_ID)}:{encode(SECRET)}".encode()
    headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    assert ask(headers=headers, client_id=None, client_secret=None).status_code == 200


def test_a_broken_basic_header_is_no_credential(ask: Ask) -> None:
    for value in ("Basic $$$", "Basic /w==", "Basic", "Bearer x", f"Basic {base64.b64encode(b'x').decode()}"):
        answer = ask(headers={"Authorization": value}, client_secret=None)
        assert answer.json()["error_codes"][0] in {7000216, 700016}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"client_secret": "wrong"}, (401, "invalid_client", 7000215)),
        ({"client_secret": EXPIRED}, (401, "invalid_client", 7000222)),
        ({"client_secret": None}, (401, "invalid_client", 7000216)),
        ({"client_id": CORRELATION_ID}, (400, "unauthorized_client", 700016)),
        ({"tenant": OTHER.id}, (400, "unauthorized_client", 700016)),
        ({"tenant": "nobody.example"}, (400, "invalid_request", 90002)),
        ({"client_id": None}, (400, "invalid_request", 900144)),
        ({"grant_type": None}, (400, "invalid_request", 900144)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
        ({"scope": None}, (400, "invalid_request", 900144)),
        ({"scope": "https://a.example/.default https://b.example/.default"}, (400, "invalid_scope", 70011)),
        ({"scope": "https://graph.microsoft.com/User.Read"}, (400, "invalid_scope", 1002012)),
        ({"scope": "https://unknown.example/.default"}, (400, "invalid_resource", 500011)),
        ({"scope": "no-resource/.default"}, (400, "invalid_resource", 500011)),
    ],
    ids=str,
)
def test_each_refusal_has_entras_status_and_code(
    changes: dict[str, Any], expected: tuple[int, str, int], ask: Ask
) -> None:
    assert code_of(ask(**changes)) == expected


def test_a_closed_list_of_resources_leaves_out_the_rest(ask: Ask, emulator: Emulator) -> None:
    emulator.registry.resources = {"api://mine"}
    assert ask().json()["error_codes"] == [500011]
    assert ask(scope="api://mine/.default").status_code == 200


def test_a_rotated_secret_is_accepted_at_once(ask: Ask, application: Application) -> None:
    application.secrets[:] = ["new"]
    assert ask().status_code == 401
    assert ask(client_secret="new").status_code == 200


def test_a_refusal_has_entras_body(ask: Ask, emulator: Emulator) -> None:
    telemetry = {"x-client-current-telemetry": "4|730,2|", "client-request-id": CORRELATION_ID}
    answer = ask(client_secret="wrong", headers=telemetry)
    body = answer.json()
    assert list(body) == [
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
        "error_uri",
    ]
    assert body["error_description"] == (
        "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client "
        f"secret value, not the client secret ID, for a secret added to app '{CLIENT_ID}'. Trace ID: "
        f"{body['trace_id']} Correlation ID: {CORRELATION_ID} Timestamp: {body['timestamp']}"
    )
    assert body["correlation_id"] == CORRELATION_ID
    assert body["trace_id"] == answer.headers["x-ms-request-id"]
    assert body["error_uri"] == f"{emulator.base_url}/error?code=7000215"
    assert answer.headers["x-ms-clitelem"] == "1,7000215,0,,"
    assert answer.headers["cache-control"] == "no-store, no-cache"


def test_a_correlation_id_that_is_no_guid_is_not_echoed(ask: Ask) -> None:
    answer = ask(client_secret="wrong", headers={"client-request-id": "planted"})
    assert "planted" not in answer.text


@pytest.mark.parametrize("tenant", ["organizations", "common"])
def test_a_secret_at_a_tenantless_endpoint_earns_a_token_of_the_home_tenant(
    tenant: str, ask: Ask, decode: Decode
) -> None:
    assert decode(ask(tenant).json()["access_token"])["tid"] == TENANT.id


def test_an_application_of_all_tenants_gets_a_token_of_each(
    ask: Ask, decode: Decode, application: Application
) -> None:
    application.tenants = ()
    tokens = [decode(ask(tenant.domains[0]).json()["access_token"]) for tenant in (TENANT, OTHER)]
    assert [claims["tid"] for claims in tokens] == [TENANT.id, OTHER.id]
    assert tokens[0]["oid"] != tokens[1]["oid"]


def test_a_json_body_is_not_a_form(emulator: Emulator, session: requests.Session) -> None:
    url = f"{emulator.authority()}/oauth2/v2.0/token"
    answer = session.post(url, json={"grant_type": "client_credentials"}, timeout=10)
    assert answer.json()["error_codes"] == [900144]
