"""The other issuers it plays: IMDS, a plain OIDC issuer, a federated one."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from emulator.directory import CLIENT_ID, EXPIRED, SECRET

from app.emulator.emulator import Emulator

Decode = Callable[[str], dict[str, Any]]
QUERY = {"api-version": "2018-02-01", "resource": "https://vault.azure.net"}


@pytest.fixture
def imds(emulator: Emulator, session: requests.Session) -> Callable[..., requests.Response]:
    def imds(headers: Any = None, **query: str | None) -> requests.Response:
        asked = {"Metadata": "true"} if headers is None else headers
        parameters = QUERY | {name.replace("_version", "-version"): value for name, value in query.items()}
        url = f"{emulator.base_url}/metadata/identity/oauth2/token"
        return session.get(url, params=parameters, headers=asked, timeout=10)

    return imds


def test_imds_answers_in_strings(
    imds: Callable[..., requests.Response], decode: Decode, emulator: Emulator
) -> None:
    answer = imds().json()
    identity = emulator.registry.managed_identities[0]
    assert all(isinstance(value, str) for value in answer.values())
    assert list(answer).index("expires_in") < list(answer).index("expires_on")
    assert answer["client_id"] == identity.client_id
    claims = decode(answer["access_token"])
    assert (claims["sub"], claims["aud"]) == (identity.principal_id, "https://vault.azure.net")
    assert int(answer["expires_on"]) == claims["exp"]


@pytest.mark.parametrize("selector", ["client_id", "object_id", "principal_id", "msi_res_id", "mi_res_id"])
def test_a_user_assigned_identity_has_five_selectors(
    selector: str, imds: Callable[..., requests.Response], emulator: Emulator
) -> None:
    identity = emulator.registry.managed_identities[1]
    value = {
        "client_id": identity.client_id,
        "msi_res_id": identity.resource_id,
        "mi_res_id": identity.resource_id,
    }
    answer = imds(**{selector: value.get(selector, identity.principal_id)})
    assert answer.json()["client_id"] == identity.client_id


@pytest.mark.parametrize(
    ("headers", "query", "text"),
    [
        ({}, {}, "Required metadata header not specified"),
        ({"Metadata": "True", "X-Forwarded-For": "1.2.3.4"}, {}, "X-Forwarded-For"),
        (None, {"api_version": None}, "api-version"),
        (None, {"resource": None}, "resource"),
        (None, {"client_id": "44444444-4444-4444-4444-444444444444"}, "Identity not found"),
    ],
    ids=["metadata", "forwarded", "api-version", "resource", "identity"],
)
def test_imds_refuses_what_the_real_one_refuses(
    headers: Any, query: dict[str, Any], text: str, imds: Callable[..., requests.Response]
) -> None:
    answer = imds(headers, **query)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert text in answer.json()["error_description"]


def test_without_a_system_assigned_identity_a_selector_is_needed(
    imds: Callable[..., requests.Response], emulator: Emulator
) -> None:
    identities = emulator.registry.managed_identities
    system_assigned = identities.pop(0)
    try:
        assert imds().status_code == 400
    finally:
        identities.insert(0, system_assigned)


@pytest.fixture
def oidc(emulator: Emulator, session: requests.Session) -> Callable[..., requests.Response]:
    def oidc(**fields: str | None) -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": SECRET,
            "scope": "read",
        }
        return session.post(f"{emulator.oidc_issuer}/token", data=form | fields, timeout=10)

    return oidc


def test_the_oidc_issuer_takes_any_one_scope(
    oidc: Callable[..., requests.Response], decode: Decode, emulator: Emulator
) -> None:
    answer = oidc().json()
    assert (answer["scope"], answer["expires_in"]) == ("read", 3599)
    claims = decode(answer["access_token"])
    assert (claims["iss"], claims["sub"]) == (emulator.oidc_issuer, CLIENT_ID)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_secret": EXPIRED}, "invalid_client"),
        ({"client_secret": None}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"scope": "read write"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
    ids=str,
)
def test_the_oidc_issuer_refuses_as_the_standard_says(
    fields: dict[str, Any], error: str, oidc: Callable[..., requests.Response]
) -> None:
    answer = oidc(**fields)
    assert answer.status_code == (401 if error == "invalid_client" else 400)
    assert answer.json()["error"] == error


def test_a_federated_assertion_verifies_against_its_issuers_keys(emulator: Emulator, decode: Decode) -> None:
    claims = decode(emulator.federated_assertion("system:serviceaccount:a:b"))
    assert claims["aud"] == ["api://AzureADTokenExchange"]
