"""MSAL, unpatched, over the wire."""

from collections.abc import Callable
from typing import Any

import msal
import pytest
import requests
from cryptography.hazmat.primitives import hashes
from emulator.directory import CLIENT_ID, SECRET, TENANT, KeyPair

from app.emulator.emulator import Emulator
from app.emulator.registry import Application, FederatedCredential

SCOPES = ["https://graph.microsoft.com/.default"]
Client = Callable[..., Any]


@pytest.fixture
def client(emulator: Emulator, session: requests.Session) -> Client:
    def client(credential: Any, **authority: str) -> Any:
        return msal.ConfidentialClientApplication(
            CLIENT_ID,
            client_credential=credential,
            instance_discovery=False,
            azure_region=False,
            http_client=session,
            **(authority or {"authority": emulator.authority(TENANT.domains[0])}),
        )

    return client


def test_a_secret_earns_a_token(client: Client, emulator: Emulator) -> None:
    result = client(SECRET).acquire_token_for_client(SCOPES)
    assert result["expires_in"] == 3599
    assert [(one.kind, one.authentication) for one in emulator.take_requests()] == [
        ("discovery", "none"),
        ("token", "client_secret_post"),
    ]


def test_a_wrong_secret_is_an_error_result(client: Client) -> None:
    assert client("wrong").acquire_token_for_client(SCOPES)["error_codes"] == [7000215]


@pytest.mark.parametrize("form", ["thumbprint", "certificate", "both"])
def test_a_certificate_earns_a_token_in_each_of_msals_forms(
    form: str, client: Client, emulator: Emulator, key_pair: KeyPair
) -> None:
    credential = {"private_key": key_pair.key_pem}
    if form != "certificate":
        credential["thumbprint"] = key_pair.certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - as in x5t
    if form != "thumbprint":
        credential["public_certificate"] = key_pair.certificate_pem
    assert "access_token" in client(credential).acquire_token_for_client(SCOPES)
    request = emulator.take_requests()[-1]
    assert request.authentication == "private_key_jwt"
    assert request.assertion_header
    assert request.assertion_header["alg"] == ("PS256" if form == "certificate" else "RS256")
    assert request.assertion_claims
    assert request.assertion_claims["sub"] == CLIENT_ID


def test_a_federated_assertion_earns_a_token(client: Client, emulator: Emulator, application: Application) -> None:
    application.federated_credentials.append(FederatedCredential(emulator.federated_issuer, "pod"))
    credential = {"client_assertion": lambda: emulator.federated_assertion("pod")}
    assert "access_token" in client(credential).acquire_token_for_client(SCOPES)
    assert emulator.take_requests()[-1].authentication == "federated"


def test_the_oidc_issuer_passes_msals_checks(client: Client, emulator: Emulator) -> None:
    result = client(SECRET, oidc_authority=emulator.oidc_issuer).acquire_token_for_client(["read"])
    assert result["scope"] == "read"


def test_organizations_earns_a_token_of_the_home_tenant(client: Client, emulator: Emulator) -> None:
    application = client(SECRET, authority=emulator.authority("organizations"))
    assert "access_token" in application.acquire_token_for_client(SCOPES)


def test_an_unknown_tenant_fails_when_the_client_is_made(client: Client, emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="nobody"):
        client(SECRET, authority=emulator.authority("nobody.example"))


def test_refresh_advice_reaches_msal(client: Client, emulator: Emulator) -> None:
    emulator.settings.lifetime, emulator.settings.refresh_in = 86399, 43199
    assert "refresh_on" in client(SECRET).acquire_token_for_client(SCOPES)
