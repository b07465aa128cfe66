"""Client assertions: signed by the application's own certificate, or by an issuer it trusts."""

import base64
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from emulator.directory import CLIENT_ID, TENANT, KeyPair, make_certificate

from app.emulator.emulator import Emulator
from app.emulator.registry import Application, FederatedCredential

Ask = Callable[..., requests.Response]
Decode = Callable[[str], dict[str, Any]]
SUBJECT = "system:serviceaccount:shop:billing"


def with_assertion(ask: Ask, assertion: str, **changes: Any) -> requests.Response:
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return ask(client_secret=None, client_assertion=assertion, client_assertion_type=kind, **changes)


def code_of(answer: requests.Response) -> tuple[int, int]:
    return answer.status_code, answer.json().get("error_codes", [0])[0]


@pytest.fixture
def sign(emulator: Emulator, key_pair: KeyPair) -> Callable[..., str]:
    """Sign as MSAL does, except for what is said."""

    def sign(
        key: rsa.RSAPrivateKey = key_pair.key,
        header: str = "x5t",
        algorithm: str = "RS256",
        padding: str = "=",
        **claims: Any,
    ) -> str:
        digest = key_pair.certificate.fingerprint(hashes.SHA1() if header == "x5t" else hashes.SHA256())  # noqa: S303 - x5t is SHA-1
        thumbprint = base64.urlsafe_b64encode(digest).decode().rstrip("=") + padding
        now = time.time()
        own = {"aud": f"{emulator.authority()}/oauth2/v2.0/token", "iss": CLIENT_ID, "sub": CLIENT_ID}
        return jwt.encode(
            own | {"jti": "1", "iat": now, "exp": now + 600} | claims,
            key,
            algorithm,
            headers={header: thumbprint},
        )

    return sign


@pytest.mark.parametrize("padding", ["", "="])
@pytest.mark.parametrize(("header", "algorithm"), [("x5t", "RS256"), ("x5t#S256", "PS256")])
def test_a_registered_certificate_earns_a_token(
    header: str, algorithm: str, padding: str, ask: Ask, sign: Callable[..., str], decode: Decode
) -> None:
    answer = with_assertion(ask, sign(header=header, algorithm=algorithm, padding=padding))
    assert decode(answer.json()["access_token"])["appidacr"] == "2"


def test_the_audience_may_be_the_issuer(ask: Ask, sign: Callable[..., str], emulator: Emulator) -> None:
    assert with_assertion(ask, sign(aud=[emulator.issuer(TENANT)])).status_code == 200


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"aud": "https://other.example/token"}, (401, 700023)),
        ({"exp": time.time() - 1}, (401, 700024)),
        ({"nbf": time.time() + 3600}, (401, 700024)),
        ({"exp": float("nan")}, (401, 700024)),
        ({"exp": "never"}, (401, 700024)),
        ({"exp": 1e300, "nbf": 1e200}, (401, 700024)),
        ({"iss": "44444444-4444-4444-4444-444444444444"}, (401, 700021)),
        ({"sub": "44444444-4444-4444-4444-444444444444"}, (401, 700021)),
    ],
    ids=["aud", "exp", "nbf", "nan", "text", "huge", "iss", "sub"],
)
def test_each_wrong_claim_has_its_code(
    claims: dict[str, Any], expected: tuple[int, int], ask: Ask, sign: Callable[..., str]
) -> None:
    assert code_of(with_assertion(ask, sign(**claims))) == expected


def test_an_unregistered_certificate_is_named(
    ask: Ask, sign: Callable[..., str], application: Application, key_pair: KeyPair
) -> None:
    application.certificates.clear()
    answer = with_assertion(ask, sign())
    assert code_of(answer) == (401, 700027)
    thumbprint = key_pair.certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - as in x5t
    assert f"[Reason - The key was not found., Thumbprint of key used by client: '{thumbprint}'" in answer.text


def test_another_key_under_the_same_thumbprint_is_refused(
    ask: Ask, sign: Callable[..., str], other_key: rsa.RSAPrivateKey
) -> None:
    answer = with_assertion(ask, sign(key=other_key))
    assert code_of(answer) == (401, 700027)
    assert "did not match" in answer.text


def test_an_expired_certificate_is_refused(ask: Ask, application: Application, key_pair: KeyPair) -> None:
    expired = make_certificate(key_pair.key, -1)
    application.certificates[:] = [expired]
    digest = base64.urlsafe_b64encode(expired.fingerprint(hashes.SHA256())).decode()
    assertion = jwt.encode({"sub": CLIENT_ID}, key_pair.key, "RS256", headers={"x5t#S256": digest})
    answer = with_assertion(ask, assertion)
    assert code_of(answer) == (401, 700027)
    assert "The key used is expired." in answer.text


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_an_algorithm_that_proves_nothing_is_refused(algorithm: str, ask: Ask, sign: Callable[..., str]) -> None:
    header = jwt.get_unverified_header(sign())
    key = "" if algorithm == "none" else "0" * 32
    assertion = jwt.encode({"sub": CLIENT_ID}, key, algorithm, headers={"x5t": header["x5t"]})
    assert code_of(with_assertion(ask, assertion)) == (401, 700027)


def test_what_is_no_jwt_is_malformed(ask: Ask) -> None:
    assert code_of(with_assertion(ask, "not-a-jwt")) == (400, 50027)


def test_a_thumbprint_that_is_no_base64_is_an_unknown_one(ask: Ask, key_pair: KeyPair) -> None:
    assertion = jwt.encode({"sub": CLIENT_ID}, key_pair.key, "RS256", headers={"x5t": "a"})
    assert code_of(with_assertion(ask, assertion)) == (401, 700027)


def test_organizations_takes_no_assertion(ask: Ask, sign: Callable[..., str]) -> None:
    assert code_of(with_assertion(ask, sign(), tenant="organizations")) == (400, 50194)


@pytest.fixture
def federated(application: Application, emulator: Emulator) -> Application:
    application.federated_credentials.append(FederatedCredential(emulator.federated_issuer, SUBJECT))
    return application


@pytest.mark.usefixtures("federated")
def test_a_federated_assertion_earns_a_token(ask: Ask, emulator: Emulator, decode: Decode) -> None:
    answer = with_assertion(ask, emulator.federated_assertion(SUBJECT))
    assert decode(answer.json()["access_token"])["appidacr"] == "2"


@pytest.mark.usefixtures("federated")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"subject": "system:serviceaccount:shop:other"}, (401, 700213)),
        ({"subject": SUBJECT, "audience": "https://other.example"}, (401, 700212)),
        ({"subject": SUBJECT, "lifetime": -1}, (401, 700024)),
    ],
    ids=["subject", "audience", "expired"],
)
def test_each_federated_mismatch_has_its_code(
    arguments: dict[str, Any], expected: tuple[int, int], ask: Ask, emulator: Emulator
) -> None:
    assert code_of(with_assertion(ask, emulator.federated_assertion(**arguments))) == expected


def test_an_application_without_federated_credentials_takes_none(ask: Ask, emulator: Emulator) -> None:
    assert code_of(with_assertion(ask, emulator.federated_assertion(SUBJECT))) == (401, 70025)


def test_an_issuer_the_application_does_not_name_is_refused(
    ask: Ask, federated: Application, emulator: Emulator
) -> None:
    federated.federated_credentials[:] = [FederatedCredential(emulator.issuer(), SUBJECT)]
    assert code_of(with_assertion(ask, emulator.federated_assertion(SUBJECT))) == (401, 700211)


@pytest.mark.parametrize("known", [True, False], ids=["forged", "unknown issuer"])
def test_only_the_issuers_own_key_can_speak_for_it(
    known: bool,  # noqa: FBT001 - a parameter of the test
    ask: Ask,
    federated: Application,
    emulator: Emulator,
    other_key: rsa.RSAPrivateKey,
) -> None:
    issuer = emulator.federated_issuer if known else "https://other.example"
    federated.federated_credentials.append(FederatedCredential("https://other.example", SUBJECT))
    claims = {"iss": issuer, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "exp": time.time() + 600}
    assert code_of(with_assertion(ask, jwt.encode(claims, other_key, "RS256"))) == (401, 50013)


def test_a_managed_identitys_token_is_a_federated_assertion(
    ask: Ask, application: Application, emulator: Emulator, session: requests.Session
) -> None:
    identity = emulator.registry.managed_identities[0]
    application.federated_credentials.append(FederatedCredential(emulator.issuer(), identity.principal_id))
    token = session.get(
        f"{emulator.base_url}/metadata/identity/oauth2/token",
        params={"api-version": "2018-02-01", "resource": "api://AzureADTokenExchange"},
        headers={"Metadata": "true"},
        timeout=10,
    ).json()["access_token"]
    assert with_assertion(ask, token).status_code == 200
