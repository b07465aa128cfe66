"""Every kind of credential, and every kind of answer, with MSAL unpatched over the wire to the emulator."""

import base64
import json
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import keys
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from emulator_server import running_emulator

from app.core.errors import (
    CredentialError,
    CredentialRejected,
    ScopeRejected,
    Throttled,
    Unavailable,
    UpstreamError,
)
from app.core.tokens import SystemClock, TokenRequest
from app.emulator.emulator import Emulator
from app.emulator.recording import RecordedRequest
from app.emulator.registry import Application, Registry, Tenant
from app.emulator.script import ScriptedResponse
from app.entra.credentials import (
    ClientSecret,
    Credential,
    ManagedIdentity,
    SignedAssertion,
    load_assertion,
    load_certificate,
    load_secret,
)
from app.entra.http import StrictClient
from app.entra.source import EntraTokenSource, Identity

CLIENT_ID = "11111111-1111-1111-1111-111111111111"
SECRET = "s3cr:et%+ ö"
CONTOSO = Tenant("aaaaaaaa-0000-0000-0000-000000000001", ("contoso.onmicrosoft.com",))
FABRIKAM = Tenant("aaaaaaaa-0000-0000-0000-000000000002", ("fabrikam.example",))
SCOPE = "https://graph.microsoft.com/.default"
SUBJECT = "system:serviceaccount:default:app"
AUDIENCE = "api://AzureADTokenExchange"


@pytest.fixture(scope="module")
def shared_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    application = Application(
        CLIENT_ID, secrets=[SECRET], expired_secrets=["expired"], certificates=[keys.certificate()]
    )
    registry = Registry([CONTOSO, FABRIKAM], [application], unknown_resources={"https://unknown.example"})
    with running_emulator(tmp_path_factory.mktemp("emulator"), registry) as emulator:
        emulator.trust(SUBJECT)
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    # MSAL's own variable for where IMDS is: no test may look for it at its real address.
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", shared_emulator.base_url)
    shared_emulator.clear()
    yield shared_emulator
    shared_emulator.clear()


@pytest.fixture
def secret() -> Credential:
    return ClientSecret(SECRET)


def source_of(
    emulator: Emulator, credential: Credential, *, claims: dict[str, Any] | None = None, **options: Any
) -> EntraTokenSource:
    identity = Identity(
        authority=options.pop("authority", emulator.base_url),
        client_id=CLIENT_ID,
        credential=credential,
        client_claims=claims or {},
        oidc=options.pop("oidc", False),
    )
    return EntraTokenSource({"default": identity}, http=StrictClient(ca_bundle=emulator.ca), clock=SystemClock())


def request(tenant: str = CONTOSO.id, scope: str = SCOPE) -> TokenRequest:
    return TokenRequest("default", tenant, scope)


def token_requests(emulator: Emulator) -> list[RecordedRequest]:
    return [one for one in emulator.take_requests() if one.kind == "token"]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# --- credentials: what the emulator saw ---------------------------------------------------------------------


def test_a_client_secret_goes_into_the_form(emulator: Emulator, secret: Credential) -> None:
    token = source_of(emulator, secret).acquire(request())
    [seen] = token_requests(emulator)
    assert (seen.authentication, seen.status) == ("client_secret_post", 200)
    assert jwt.decode(token.value, options={"verify_signature": False})["appid"] == CLIENT_ID


def test_a_secret_file(emulator: Emulator, tmp_path: Path) -> None:
    file = write(tmp_path / "secret", SECRET.encode() + b"\n")
    source_of(emulator, load_secret(file)).acquire(request())
    [seen] = token_requests(emulator)
    assert (seen.authentication, seen.status) == ("client_secret_post", 200)


def certificates(directory: Path, name: str) -> dict[str, Credential]:
    """Every form a certificate can come in, for the key of this name."""
    key, certificate = keys.key_pem(name), keys.certificate_pem(name)
    encrypted = keys.key_pem(name, keys.PASSWORD)
    pem = write(directory / "one.pem", key + certificate)
    public = write(directory / "public.pem", certificate)
    private = write(directory / "private.pem", key)
    thumbprint = keys.thumbprint(name)
    return {
        "pem": load_certificate(pem),
        "pem with thumbprint": load_certificate(pem, thumbprint=thumbprint),
        "two files": load_certificate(public, private),
        "two files with thumbprint": load_certificate(public, private, thumbprint=thumbprint),
        "key and thumbprint": load_certificate(None, private, thumbprint=thumbprint),
        "encrypted pem": load_certificate(
            write(directory / "encrypted.pem", encrypted + certificate), password=keys.PASSWORD
        ),
        "pfx": load_certificate(write(directory / "one.pfx", keys.pfx(name)), password=keys.PASSWORD),
    }


FORMS = (
    "pem",
    "pem with thumbprint",
    "two files",
    "two files with thumbprint",
    "key and thumbprint",
    "encrypted pem",
    "pfx",
)


def encoded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@pytest.mark.parametrize("form", FORMS)
def test_a_certificate_signs_an_assertion(emulator: Emulator, tmp_path: Path, form: str) -> None:
    source_of(emulator, certificates(tmp_path, "first")[form]).acquire(request())
    [seen] = token_requests(emulator)
    assert (seen.authentication, seen.status) == ("private_key_jwt", 200)
    header, claims = seen.assertion_header, seen.assertion_claims
    assert header is not None
    assert claims is not None
    assert claims["iss"] == claims["sub"] == CLIENT_ID
    assert claims["aud"] == f"{emulator.base_url}/{CONTOSO.id}/oauth2/v2.0/token"
    if "thumbprint" in form:
        assert header["alg"] == "RS256"
        assert header["x5t"].rstrip("=") == encoded(keys.certificate().fingerprint(hashes.SHA1()))  # noqa: S303 - x5t
        assert "x5t#S256" not in header
    else:
        assert header["alg"] == "PS256"
        assert header["x5t#S256"].rstrip("=") == encoded(keys.certificate().fingerprint(hashes.SHA256()))
        assert "x5t" not in header
    if form == "key and thumbprint":
        assert "x5c" not in header
    else:
        assert base64.b64decode(header["x5c"][0]) == keys.certificate().public_bytes(Encoding.DER)


@pytest.mark.parametrize("form", FORMS)
def test_a_certificate_that_is_not_registered_is_rejected(emulator: Emulator, tmp_path: Path, form: str) -> None:
    with pytest.raises(CredentialRejected) as raised:
        source_of(emulator, certificates(tmp_path, "stranger")[form]).acquire(request())
    assert raised.value.aadsts == 700027


def test_a_registered_certificates_name_does_not_help_another_key(emulator: Emulator, tmp_path: Path) -> None:
    key = write(tmp_path / "key", keys.key_pem("stranger"))
    credential = load_certificate(None, key, thumbprint=keys.thumbprint())
    with pytest.raises(CredentialRejected) as raised:
        source_of(emulator, credential).acquire(request())
    assert raised.value.aadsts == 700027


def test_client_claims_are_signed_into_the_assertion(emulator: Emulator, tmp_path: Path) -> None:
    credential = certificates(tmp_path, "first")["pem"]
    source_of(emulator, credential, claims={"client_ip": "10.0.0.4"}).acquire(request())
    [seen] = token_requests(emulator)
    assert seen.assertion_claims is not None
    assert seen.assertion_claims["client_ip"] == "10.0.0.4"


def test_an_assertion_file_is_read_for_every_request(emulator: Emulator, tmp_path: Path) -> None:
    file = tmp_path / "assertion"
    first = emulator.federated_assertion(SUBJECT)
    second = emulator.federated_assertion(SUBJECT, lifetime=1800)
    source = source_of(emulator, load_assertion(write(file, first.encode())))
    source.acquire(request())
    write(file, second.encode())
    source.acquire(request())
    seen = token_requests(emulator)
    assert [one.authentication for one in seen] == ["federated", "federated"]
    sent = [one.assertion_claims for one in seen]
    assert sent == [jwt.decode(one, options={"verify_signature": False}) for one in (first, second)]


def test_an_expired_assertion_is_rejected(emulator: Emulator, tmp_path: Path) -> None:
    file = write(tmp_path / "assertion", emulator.federated_assertion(SUBJECT, lifetime=-60).encode())
    with pytest.raises(CredentialRejected) as raised:
        source_of(emulator, load_assertion(file)).acquire(request())
    assert raised.value.aadsts == 700024


def test_another_subjects_assertion_is_rejected(emulator: Emulator, tmp_path: Path) -> None:
    file = write(tmp_path / "assertion", emulator.federated_assertion("system:serviceaccount:x:y").encode())
    with pytest.raises(CredentialRejected) as raised:
        source_of(emulator, load_assertion(file)).acquire(request())
    assert raised.value.aadsts == 700213


def test_an_assertion_file_that_is_gone_is_our_failure_and_asks_nothing(
    emulator: Emulator, tmp_path: Path
) -> None:
    with pytest.raises(CredentialError, match="does not exist"):
        source_of(emulator, SignedAssertion(tmp_path / "gone")).acquire(request())
    assert not token_requests(emulator)


@pytest.mark.parametrize("system", [True, False])
def test_a_managed_identity_stands_in_for_a_credential(emulator: Emulator, *, system: bool) -> None:
    identity = next(one for one in emulator.registry.managed_identities if one.system_assigned is system)
    credential = ManagedIdentity(None if system else identity.client_id, AUDIENCE)
    source = source_of(emulator, credential)
    source.acquire(request())
    source.acquire(request())
    seen = emulator.take_requests()
    assert [one.kind for one in seen] == ["discovery", "imds", "token", "imds", "token"]
    assert seen[1].query["resource"] == AUDIENCE
    assert seen[1].query.get("client_id") == (None if system else identity.client_id)
    assert seen[2].authentication == "federated"
    assert seen[2].assertion_claims is not None
    assert seen[2].assertion_claims["sub"] == identity.principal_id


def test_a_managed_identity_that_fails_is_not_taken_for_a_rejection(emulator: Emulator) -> None:
    emulator.enqueue(ScriptedResponse(status=400, body={"error": "invalid_client"}, kind="imds"))
    with pytest.raises(CredentialError, match="managed identity"):
        source_of(emulator, ManagedIdentity(None, AUDIENCE)).acquire(request())


@pytest.mark.parametrize(("wrong", "aadsts"), [("wrong", 7000215), ("expired", 7000222)])
def test_a_wrong_secret_is_rejected(emulator: Emulator, wrong: str, aadsts: int) -> None:
    source = source_of(emulator, ClientSecret(wrong))
    with pytest.raises(CredentialRejected) as raised:
        source.acquire(request())
    assert raised.value.aadsts == aadsts
    assert raised.value.correlation_id is not None
    assert wrong not in str(raised.value)


# --- authorities ---------------------------------------------------------------------------------------------


def issued_in(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["tid"])


@pytest.mark.parametrize("tenant", [CONTOSO.id, *CONTOSO.domains])
def test_a_tenant_by_id_or_domain(emulator: Emulator, secret: Credential, tenant: str) -> None:
    assert issued_in(source_of(emulator, secret).acquire(request(tenant)).value) == CONTOSO.id


def test_one_identity_in_many_tenants(emulator: Emulator, secret: Credential) -> None:
    source = source_of(emulator, secret)
    tenants = [issued_in(source.acquire(request(tenant)).value) for tenant in (CONTOSO.id, FABRIKAM.domains[0])]
    assert tenants == [CONTOSO.id, FABRIKAM.id]


def test_organizations_with_a_secret(emulator: Emulator, secret: Credential) -> None:
    assert issued_in(source_of(emulator, secret).acquire(request("organizations")).value) == CONTOSO.id


def test_an_unknown_tenant_is_rejected(emulator: Emulator, secret: Credential) -> None:
    with pytest.raises(CredentialRejected) as raised:
        source_of(emulator, secret).acquire(request("nobody.example"))
    assert raised.value.aadsts == 90002


def test_an_unknown_application_is_rejected(emulator: Emulator, secret: Credential) -> None:
    identity = Identity(emulator.base_url, "22222222-2222-2222-2222-222222222222", secret)
    source = EntraTokenSource({"default": identity}, http=StrictClient(ca_bundle=emulator.ca), clock=SystemClock())
    with pytest.raises(CredentialRejected) as raised:
        source.acquire(request())
    assert raised.value.aadsts == 700016


def test_an_oidc_issuer_takes_any_scope(emulator: Emulator, secret: Credential) -> None:
    source = source_of(emulator, secret, authority=emulator.oidc_issuer, oidc=True)
    token = source.acquire(TokenRequest("default", "", "read:things"))
    [seen] = token_requests(emulator)
    assert (seen.path, seen.form["scope"]) == ("/oidc/token", "read:things")
    assert token.value


@pytest.mark.parametrize(
    ("scope", "aadsts"), [("https://unknown.example/.default", 500011), ("https://graph.microsoft.com/x", 1002012)]
)
def test_a_scope_the_authority_does_not_know(
    emulator: Emulator, secret: Credential, scope: str, aadsts: int
) -> None:
    with pytest.raises(ScopeRejected) as raised:
        source_of(emulator, secret).acquire(request(scope=scope))
    assert raised.value.aadsts == aadsts


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_configured_ca_bundle_wins_over_the_environments(
    emulator: Emulator, secret: Credential, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv(name, str(write(tmp_path / "other.pem", keys.certificate_pem())))
    assert source_of(emulator, secret).acquire(request()).value


def test_the_environments_ca_bundle_holds_where_none_is_configured(
    emulator: Emulator, secret: Credential, monkeypatch: pytest.MonkeyPatch
) -> None:
    identities = {"default": Identity(emulator.base_url, CLIENT_ID, secret)}
    with pytest.raises(Unavailable, match="TLS"):
        EntraTokenSource(identities, http=StrictClient(), clock=SystemClock()).acquire(request())
    monkeypatch.setenv("SSL_CERT_FILE", str(emulator.ca))
    assert EntraTokenSource(identities, http=StrictClient(), clock=SystemClock()).acquire(request()).value


# --- answers ---------------------------------------------------------------------------------------------------


def test_a_tokens_time_is_counted_from_before_the_request(emulator: Emulator, secret: Credential) -> None:
    clock = SystemClock()
    before_wall, before_boot = int(clock.wall()), clock.boot()
    token = source_of(emulator, secret).acquire(request())
    assert token.lifetime == 3599
    assert before_wall + 3599 <= token.expires_on <= clock.wall() + 3599
    assert before_boot + 3599 <= token.expires_boot <= clock.boot() + 3599
    assert token.refresh_in is None


def test_refresh_in_is_kept(emulator: Emulator, secret: Credential, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator.settings, "refresh_in", 1200)
    refresh_in = source_of(emulator, secret).acquire(request()).refresh_in
    assert refresh_in is not None
    assert 1198 <= refresh_in <= 1200


def success(**changes: Any) -> ScriptedResponse:
    body = {"token_type": "Bearer", "expires_in": 3599, "access_token": "abc.def.ghi", **changes}
    return ScriptedResponse(status=200, body={name: value for name, value in body.items() if value is not None})


def test_a_lifetime_may_be_a_string(emulator: Emulator, secret: Credential) -> None:
    emulator.enqueue(success(expires_in="3599"))
    assert source_of(emulator, secret).acquire(request()).lifetime == 3599


@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "with space"},
        {"access_token": "with\r\nInjected: header"},
        {"access_token": 5},
        {"expires_in": None},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": 10**12},
        {"expires_in": "soon"},
        {"expires_in": True},
        {"expires_in": 12.5},
        {"refresh_in": "1800"},
        {"token_type": "pop"},
    ],
)
def test_a_success_that_is_none_is_a_failure(
    emulator: Emulator, secret: Credential, changes: dict[str, Any]
) -> None:
    emulator.enqueue(success(**changes))
    with pytest.raises(Unavailable):
        source_of(emulator, secret).acquire(request())


@pytest.mark.parametrize(
    ("answer", "kind", "retry_after"),
    [
        (ScriptedResponse(status=429, headers={"Retry-After": "17"}, body={"error": "x"}), Throttled, 17),
        (ScriptedResponse(status=429, body="<html>"), Throttled, None),
        (ScriptedResponse(status=503, headers={"Retry-After": "5"}, body="x"), Unavailable, 5),
        (ScriptedResponse(status=400, body={"error": "temporarily_unavailable"}), Unavailable, None),
        (ScriptedResponse(status=403, body="<html>blocked</html>"), Unavailable, None),
        (ScriptedResponse(status=200, body="<html>sign in</html>"), Unavailable, None),
        (ScriptedResponse(status=200, body=""), Unavailable, None),
        (ScriptedResponse(status=302, headers={"Location": "https://localhost:1/"}), Unavailable, None),
        (ScriptedResponse(drop=True), Unavailable, None),
        (
            ScriptedResponse(status=400, body={"error": "invalid_grant", "error_codes": [53003]}),
            CredentialRejected,
            None,
        ),
    ],
)
def test_what_an_answer_means(
    emulator: Emulator,
    secret: Credential,
    answer: ScriptedResponse,
    kind: type[UpstreamError],
    retry_after: float | None,
) -> None:
    emulator.enqueue(answer)
    source = source_of(emulator, secret)
    with pytest.raises(UpstreamError) as raised:
        source.acquire(request())
    assert type(raised.value) is kind
    assert raised.value.retry_after == retry_after
    assert len(token_requests(emulator)) == 1
    assert source.acquire(request()).value  # nothing of it is remembered by MSAL


def test_a_success_with_retry_after_is_not_replayed_by_msal(emulator: Emulator, secret: Credential) -> None:
    emulator.enqueue(ScriptedResponse(status=200, headers={"Retry-After": "60"}, body=success().body))
    source = source_of(emulator, secret)
    assert source.acquire(request()).value == "abc.def.ghi"
    assert source.acquire(request()).value != "abc.def.ghi"


def test_the_authoritys_words_are_not_repeated(emulator: Emulator, secret: Credential) -> None:
    body = {
        "error": "canary",
        "error_description": "canary",
        "correlation_id": "canary",
        "error_codes": ["canary"],
    }
    emulator.enqueue(ScriptedResponse(status=400, body=body))
    with pytest.raises(UpstreamError) as raised:
        source_of(emulator, secret).acquire(request())
    assert "canary" not in repr(raised.value) + json.dumps(vars(raised.value))


@pytest.mark.parametrize(
    "answer",
    [
        ScriptedResponse(status=400, body={"error": "invalid_client"}),
        ScriptedResponse(drop=True),
        ScriptedResponse(status=200, body={}),
        ScriptedResponse(status=200, body="x", kind="discovery"),
    ],
)
def test_a_failure_keeps_no_frame_that_held_the_secret(
    emulator: Emulator, secret: Credential, answer: ScriptedResponse
) -> None:
    emulator.enqueue(answer)
    with pytest.raises(UpstreamError) as raised:
        source_of(emulator, secret).acquire(request())
    assert raised.value.__context__ is None
    assert raised.value.__cause__ is None
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(raised.value.__traceback__)]
    assert frames[1:] == ["acquire"]


@pytest.mark.parametrize("code", [-5, 5, True, 10**4000, "7000215", None, [1]])
def test_what_is_no_aadsts_code_is_none(emulator: Emulator, secret: Credential, code: object) -> None:
    emulator.enqueue(ScriptedResponse(status=400, body={"error": "invalid_client", "error_codes": [code]}))
    with pytest.raises(CredentialRejected) as raised:
        source_of(emulator, secret).acquire(request())
    assert raised.value.aadsts is None


# --- how MSAL is held: the assumptions made of this minor version ---------------------------------------------


def test_discovery_is_asked_once_and_tokens_every_time(emulator: Emulator, secret: Credential) -> None:
    source = source_of(emulator, secret)
    tokens = {source.acquire(request()).value for _ in range(3)}
    assert len(tokens) == 3
    assert [one.kind for one in emulator.take_requests()] == ["discovery", "token", "token", "token"]


def test_nothing_is_asked_before_the_first_token(emulator: Emulator, secret: Credential) -> None:
    source_of(emulator, secret)
    assert emulator.take_requests() == []


ELSEWHERE = "https://127.0.0.1:1/x/token"


def discovery(emulator: Emulator, **changes: str) -> ScriptedResponse:
    body = {
        "issuer": emulator.oidc_issuer,
        "authorization_endpoint": f"{emulator.oidc_issuer}/authorize",
        "token_endpoint": f"{emulator.oidc_issuer}/token",
    }
    return ScriptedResponse(status=200, body=body | changes, kind="discovery")


@pytest.mark.parametrize(
    "endpoint",
    [ELSEWHERE, "https://localhost/x/token", "https://localhost:1@127.0.0.1:1/x", "https:\n//localhost/x"],
)
def test_entras_document_cannot_send_the_credential_elsewhere(
    emulator: Emulator, secret: Credential, endpoint: str
) -> None:
    emulator.enqueue(discovery(emulator, token_endpoint=endpoint))
    source = source_of(emulator, secret)
    with pytest.raises(Unavailable, match=r"does not belong|MSAL failed"):
        source.acquire(request())
    assert not token_requests(emulator)
    assert source.acquire(request()).value


@pytest.mark.parametrize(
    "issuer", ["{issuer}/other", "https://attacker.b2clogin.com", "https://login.microsoftonline.com/x"]
)
def test_another_issuers_document_is_refused(emulator: Emulator, secret: Credential, issuer: str) -> None:
    emulator.enqueue(discovery(emulator, issuer=issuer.format(issuer=emulator.oidc_issuer)))
    source = source_of(emulator, secret, authority=emulator.oidc_issuer, oidc=True)
    with pytest.raises(Unavailable, match="does not belong"):
        source.acquire(TokenRequest("default", "", "read"))
    assert not token_requests(emulator)


def test_an_issuers_endpoint_may_be_elsewhere(emulator: Emulator, secret: Credential) -> None:
    emulator.enqueue(
        discovery(emulator, token_endpoint=f"{emulator.base_url.replace('localhost', '127.0.0.1')}/oidc/token")
    )
    source = source_of(emulator, secret, authority=emulator.oidc_issuer, oidc=True)
    assert source.acquire(TokenRequest("default", "", "read")).value


@pytest.mark.parametrize("oidc", [True, False])
def test_an_answer_that_was_too_slow_costs_no_second_discovery(
    emulator: Emulator, secret: Credential, *, oidc: bool
) -> None:
    over = threading.Event()
    emulator.enqueue(ScriptedResponse(until=over))
    identity = Identity(emulator.oidc_issuer if oidc else emulator.base_url, CLIENT_ID, secret, oidc=oidc)
    http = StrictClient(ca_bundle=emulator.ca, read_seconds=0.2)
    source = EntraTokenSource({"default": identity}, http=http, clock=SystemClock())
    with pytest.raises(Unavailable, match="in time"):
        source.acquire(request())
    over.set()
    assert source.acquire(request()).value
    assert [one.kind for one in emulator.take_requests()] == ["discovery", "token", "token"]


@pytest.mark.parametrize("endpoint", ["https://LOCALHOST:{port}/t/oauth2/v2.0/token"])
def test_a_host_has_no_case(emulator: Emulator, secret: Credential, endpoint: str) -> None:
    port = emulator.base_url.rpartition(":")[2]
    emulator.enqueue(
        discovery(emulator, token_endpoint=endpoint.format(port=port).replace("/t/", f"/{CONTOSO.id}/"))
    )
    assert source_of(emulator, secret).acquire(request()).value


def test_a_dead_endpoint_is_asked_for_again(emulator: Emulator, secret: Credential) -> None:
    emulator.enqueue(discovery(emulator, token_endpoint=ELSEWHERE))
    source = source_of(emulator, secret, authority=emulator.oidc_issuer, oidc=True)
    with pytest.raises(Unavailable, match="refused"):
        source.acquire(TokenRequest("default", "", "read"))
    assert source.acquire(TokenRequest("default", "", "read")).value


def test_a_failed_discovery_is_tried_again(emulator: Emulator, secret: Credential) -> None:
    emulator.enqueue(ScriptedResponse(status=503, kind="discovery"), ScriptedResponse(drop=True, kind="discovery"))
    source = source_of(emulator, secret)
    for _ in range(2):
        with pytest.raises(Unavailable):
            source.acquire(request())
    assert source.acquire(request()).value


def test_a_rejection_asks_for_no_instance_discovery(emulator: Emulator) -> None:
    with pytest.raises(CredentialRejected):
        source_of(emulator, ClientSecret("wrong")).acquire(request())
    assert [one.kind for one in emulator.take_requests()] == ["discovery", "token"]


def test_what_is_sent(emulator: Emulator, secret: Credential) -> None:
    source_of(emulator, secret).acquire(request(), correlation_id="01234567-89ab-cdef-0123-456789abcdef")
    [seen] = token_requests(emulator)
    assert seen.form == {
        "client_id": CLIENT_ID,
        "client_info": "1",
        "client_secret": "[redacted]",
        "grant_type": "client_credentials",
        "scope": SCOPE,
    }
    assert seen.headers["client-request-id"] == "01234567-89ab-cdef-0123-456789abcdef"
    assert seen.headers["x-client-sku"] == "MSAL.Python"


def test_a_claims_challenge_is_passed_on(emulator: Emulator, secret: Credential) -> None:
    claims = '{"access_token": {"nbf": {"essential": true}}}'
    source_of(emulator, secret).acquire(request(), claims=claims)
    [seen] = token_requests(emulator)
    assert json.loads(seen.form["claims"]) == json.loads(claims)


def test_closing_closes(emulator: Emulator, secret: Credential) -> None:
    source = source_of(emulator, secret)
    source.acquire(request())
    source.close()
    assert source.acquire(request()).value  # urllib3 opens a new connection: closing is not for ever
