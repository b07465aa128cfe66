"""The same cases against a real tenant, which nothing else here can meet. Never run by scripts/test.

`LIVE_TENANT`, `LIVE_CLIENT_ID` and any of `LIVE_CLIENT_SECRET`, `LIVE_CERTIFICATE_FILE` (with
`LIVE_CERTIFICATE_PASSWORD`), `LIVE_ASSERTION_FILE`, `LIVE_MANAGED_IDENTITY` name the app registration;
`LIVE_SCOPE` is a scope it may have, Microsoft Graph's if not set. A case whose credential is not named is skipped.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import commands
import pytest

from app.core.errors import CredentialRejected, ScopeRejected
from app.core.tokens import SystemClock, TokenRequest
from app.entra.credentials import (
    ClientSecret,
    Credential,
    ManagedIdentity,
    load_assertion,
    load_certificate,
)
from app.entra.http import StrictClient
from app.entra.source import EntraTokenSource, Identity

pytestmark = pytest.mark.live

AUTHORITY = "https://login.microsoftonline.com"
CREDENTIALS: dict[str, Callable[[str], Credential]] = {
    "LIVE_CLIENT_SECRET": ClientSecret,
    "LIVE_CERTIFICATE_FILE": lambda file: load_certificate(
        Path(file), password=os.environ.get("LIVE_CERTIFICATE_PASSWORD")
    ),
    "LIVE_ASSERTION_FILE": lambda file: load_assertion(Path(file)),
    "LIVE_MANAGED_IDENTITY": lambda which: ManagedIdentity(
        None if which == "system" else which, "api://AzureADTokenExchange"
    ),
}


def named(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    return value


def request() -> TokenRequest:
    scope = os.environ.get("LIVE_SCOPE", "https://graph.microsoft.com/.default")
    return TokenRequest("default", named("LIVE_TENANT"), scope)


def source(credential: Credential) -> EntraTokenSource:
    identity = Identity(AUTHORITY, named("LIVE_CLIENT_ID"), credential)
    return EntraTokenSource({"default": identity}, http=StrictClient(), clock=SystemClock())


@pytest.mark.parametrize("variable", CREDENTIALS)
def test_each_kind_of_credential_gets_a_token(variable: str) -> None:
    token = source(CREDENTIALS[variable](named(variable))).acquire(request())
    assert token.lifetime >= 600
    assert token.value.count(".") == 2


def test_a_wrong_secret_is_7000215() -> None:
    with pytest.raises(CredentialRejected) as raised:
        source(ClientSecret("wrong")).acquire(request())
    assert raised.value.aadsts == 7000215
    assert raised.value.correlation_id


def test_an_unknown_tenant_is_90002() -> None:
    with pytest.raises(CredentialRejected) as raised:
        source(ClientSecret("wrong")).acquire(replace(request(), tenant="00000000-0000-0000-0000-00000000beef"))
    assert raised.value.aadsts == 90002


@pytest.mark.parametrize(
    ("scope", "aadsts"),
    [
        ("https://token-broker-test.invalid/.default", 500011),
        ("https://graph.microsoft.com/User.Read.All", 1002012),
    ],
)
def test_a_scope_that_cannot_be_had(scope: str, aadsts: int) -> None:
    secret = named("LIVE_CLIENT_SECRET")
    with pytest.raises(ScopeRejected) as raised:
        source(ClientSecret(secret)).acquire(replace(request(), scope=scope))
    assert raised.value.aadsts == aadsts


def test_a_broker_from_the_environment_serves_it() -> None:
    env = {
        "AZURE_TENANT_ID": named("LIVE_TENANT"),
        "AZURE_CLIENT_ID": named("LIVE_CLIENT_ID"),
        "AZURE_CLIENT_SECRET": named("LIVE_CLIENT_SECRET"),
        "BROKER_SCOPES": request().scope,
    }
    assert commands.run("check", env=env).returncode == 0
    with commands.running("serve", "--listen", "127.0.0.1:0", until="listening", env=env) as (_, said):
        url = said.rpartition("url=")[2].strip()
        assert commands.run("token", "--url", url).stdout.count(".") == 2
