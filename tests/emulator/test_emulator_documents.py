"""Discovery, instance discovery, the keys, and the certificate they come over."""

import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from emulator.directory import TENANT

from app.emulator.ca import write_certificates
from app.emulator.emulator import Emulator
from app.emulator.registry import Registry

CONFIGURATION = "v2.0/.well-known/openid-configuration"


def test_the_certificate_passes_strict_verification(emulator: Emulator) -> None:
    context = ssl.create_default_context(cafile=str(emulator.ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    port = int(emulator.base_url.rpartition(":")[2])
    for name in ("localhost", "127.0.0.1", "::1"):
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            context.wrap_socket(plain, server_hostname=name).close()


def test_nobody_else_trusts_the_certificate(emulator: Emulator, session: requests.Session) -> None:
    session.verify = True
    with pytest.raises(requests.exceptions.SSLError):
        session.get(emulator.base_url, timeout=10)


def test_the_key_file_is_the_owners_alone_even_where_a_wider_one_was(tmp_path: Path) -> None:
    (tmp_path / "server.key").touch(0o666)
    assert stat.S_IMODE(write_certificates(tmp_path).key.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", [TENANT.id, TENANT.id.upper(), *TENANT.domains])
def test_a_tenant_is_found_by_its_id_and_its_domains(
    name: str, emulator: Emulator, session: requests.Session
) -> None:
    answer = session.get(f"{emulator.base_url}/{name}/{CONFIGURATION}", timeout=10)
    document = answer.json()
    assert answer.headers["cache-control"] == "max-age=86400, private"
    assert document["token_endpoint"] == f"{emulator.base_url}/{TENANT.id}/oauth2/v2.0/token"
    assert document["issuer"] == emulator.issuer(TENANT)
    assert list(document)[:2] == ["token_endpoint", "token_endpoint_auth_methods_supported"]
    urls = [value for value in document.values() if isinstance(value, str) and value.startswith("http")]
    assert all(url.startswith(emulator.base_url) for url in urls)


def test_an_unknown_tenant_has_no_document(emulator: Emulator, session: requests.Session) -> None:
    answer = session.get(f"{emulator.base_url}/nobody.example/{CONFIGURATION}", timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_tenant")
    assert answer.json()["error_codes"] == [90002]
    assert answer.headers["cache-control"] == "max-age=86400, private"


@pytest.mark.parametrize("name", ["organizations", "common"])
def test_the_tenantless_documents_leave_the_issuer_open(
    name: str, emulator: Emulator, session: requests.Session
) -> None:
    document = session.get(f"{emulator.base_url}/{name}/{CONFIGURATION}", timeout=10).json()
    assert document["issuer"] == f"{emulator.base_url}/emulator/{{tenantid}}/v2.0"
    assert document["token_endpoint"] == f"{emulator.base_url}/{name}/oauth2/v2.0/token"


def test_instance_discovery_knows_one_host(emulator: Emulator, session: requests.Session) -> None:
    asked = f"https://login.microsoftonline.com/{TENANT.domains[0]}/oauth2/v2.0/authorize"
    answer = session.get(
        f"{emulator.base_url}/common/discovery/instance",
        params={"api-version": "1.1", "authorization_endpoint": asked},
        timeout=10,
    ).json()
    assert answer["tenant_discovery_endpoint"] == f"{emulator.base_url}/{TENANT.id}/{CONFIGURATION}"
    host = emulator.base_url.removeprefix("https://")
    assert answer["metadata"] == [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}]


def test_a_jwks_client_verifies_a_token(emulator: Emulator, ask: Callable[..., requests.Response]) -> None:
    token = ask().json()["access_token"]
    context = ssl.create_default_context(cafile=str(emulator.ca))
    client = jwt.PyJWKClient(f"{emulator.authority()}/discovery/v2.0/keys", ssl_context=context)
    key = client.get_signing_key_from_jwt(token)
    claims: dict[str, Any] = jwt.decode(token, key, ["RS256"], audience="https://graph.microsoft.com")
    assert claims["iss"] == emulator.issuer()


def test_the_demonstration_registry_shows_no_secret() -> None:
    registry = Registry.demo()
    assert registry.applications[0].secrets[0] not in repr(registry)
