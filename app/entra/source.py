"""Tokens from Microsoft Entra ID, or another OIDC issuer, through MSAL: the only module that imports it.

MSAL is the protocol engine, for misses only. Its token cache is replaced by one that keeps nothing, because
freshness is the broker's decision and there must be only one of those; its instance discovery and region
detection are off, because they ask hosts nobody configured.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msal
from msal.authority import WELL_KNOWN_AUTHORITY_HOSTS, Authority

from app.core.errors import (
    CredentialError,
    CredentialRejected,
    ScopeRejected,
    Throttled,
    Unavailable,
    UpstreamError,
    place_of,
)
from app.core.tokens import AccessToken, Clock, TokenRequest, is_guid
from app.entra.credentials import (
    ClientCertificate,
    ClientSecret,
    Credential,
    ManagedIdentity,
    SignedAssertion,
)
from app.entra.http import BadAnswer, StrictClient, TooSlow, Unreachable

# Nothing issues longer-lived tokens than a day or so; a wild number must not become a wild expiry.
MAX_LIFETIME = 366 * 24 * 3600
# RFC 6750 2.1, b64token. A line break in it would be a header of the sender's choice in the `header` form.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_PRINTABLE = re.compile(r"[!-~]+")
_AADSTS_CODES = range(1_000, 10_000_000)
_SCOPE_ERRORS = frozenset({"invalid_scope", "invalid_resource"})
_TRANSIENT_ERRORS = frozenset({"temporarily_unavailable", "server_error"})
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class Identity:
    """An app registration and its proof of identity.

    `authority` is the URL before the tenant (`https://login.microsoftonline.com`), or, with `oidc`, the issuer.
    `client_claims` are signed into the assertion of a certificate.
    """

    authority: str
    client_id: str
    credential: Credential
    client_claims: Mapping[str, Any] = field(default_factory=dict)
    oidc: bool = False


class EntraTokenSource:
    """A TokenSource over MSAL. Safe to call from any number of threads."""

    def __init__(self, identities: Mapping[str, Identity], *, http: StrictClient, clock: Clock) -> None:
        self._identities = identities
        self._http = http
        self._clock = clock
        self._applications: dict[tuple[str, str], msal.ConfidentialClientApplication] = {}
        self._building: dict[tuple[str, str], threading.Lock] = {}

    def acquire(
        self, request: TokenRequest, *, claims: str | None = None, correlation_id: str | None = None
    ) -> AccessToken:
        """Ask the authority; takes about 9 seconds at the most once connected. Raises UpstreamError only."""
        outcome = self._outcome(request, claims, correlation_id)
        if isinstance(outcome, UpstreamError):
            raise outcome
        return outcome

    def _outcome(
        self, request: TokenRequest, claims: str | None, correlation_id: str | None
    ) -> AccessToken | UpstreamError:
        """Return a failure instead of raising it: a raised one keeps the frames, secrets and all, it came from."""
        # Before anything is sent: what the journey takes comes off the token's life, not on top of it.
        wall, boot = self._clock.wall(), self._clock.boot()
        try:
            with self._http.within_flight(correlation_id):
                application = self._application(request)
                answer = application.acquire_token_for_client([request.scope], claims_challenge=claims)
            return _token(answer, wall, boot)
        except UpstreamError as error:
            return error.again(error.retry_after)
        except BadAnswer as error:
            return _error(error)
        except Unreachable as error:
            if self._identities[request.identity].oidc and not isinstance(error, TooSlow):
                # Where its document sent us may be what is wrong. Entra's is held to be on the authority's host.
                self._applications.pop((request.identity, request.tenant), None)
            return Unavailable(str(error))
        except Exception as error:  # noqa: BLE001 - MSAL raises many kinds, with secrets and answers in their texts
            return Unavailable(f"MSAL failed: {place_of(error)}")

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()

    def _application(self, request: TokenRequest) -> msal.ConfidentialClientApplication:
        """Return the MSAL application, made at first use: its constructor asks for the authority's endpoints."""
        key = request.identity, request.tenant
        with self._building.setdefault(key, threading.Lock()):
            application = self._applications.get(key)
            if application is None:
                application = self._build(self._identities[request.identity], request.tenant)
                self._applications[key] = application
            return application

    def _build(self, identity: Identity, tenant: str) -> msal.ConfidentialClientApplication:
        where = (
            {"oidc_authority": identity.authority}
            if identity.oidc
            else {"authority": f"{identity.authority}/{tenant}"}
        )
        application = msal.ConfidentialClientApplication(
            identity.client_id,
            client_credential=self._msal_credential(identity.credential),
            client_claims=dict(identity.client_claims) or None,
            http_client=self._http,
            token_cache=_NoCache(),
            instance_discovery=False,
            azure_region=False,
            **where,
        )
        _check_endpoint(identity, application.authority)
        return application

    def _msal_credential(self, credential: Credential) -> str | dict[str, Any]:
        match credential:
            case ClientSecret():
                return credential.value
            case ClientCertificate():
                # The key as an object: a PEM text MSAL parses anew, holding the GIL, at each signature.
                parts = {
                    "private_key": credential.key,
                    "public_certificate": credential.chain,
                    "thumbprint": credential.thumbprint,
                }
                return {name: part for name, part in parts.items() if part is not None}
            case SignedAssertion():
                return {"client_assertion": credential.read}
            case ManagedIdentity():
                return {"client_assertion": self._managed_identity_token(credential)}

    def _managed_identity_token(self, credential: ManagedIdentity) -> Callable[[], str]:
        which = (
            msal.SystemAssignedManagedIdentity()
            if credential.client_id is None
            else msal.UserAssignedManagedIdentity(client_id=credential.client_id)
        )
        client = msal.ManagedIdentityClient(which, http_client=self._http, token_cache=_NoCache())

        def token() -> str:
            try:
                answer = client.acquire_token_for_client(resource=credential.audience)
                return str(answer["access_token"])
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not the authority that failed
                raise CredentialError(f"the managed identity gave no token: {_why(error)}") from None

        return token


class _NoCache(msal.TokenCache):  # type: ignore[misc]  # msal has no types
    """A token cache that keeps nothing, so that every call to MSAL is a request."""

    def search(self, *_args: object, **_kwargs: object) -> Iterator[dict[str, Any]]:
        return iter(())

    def add(self, *_args: object, **_kwargs: object) -> None:
        pass


def _why(error: Exception) -> str:
    """Return the text of an exception of ours; of another, what and where it is."""
    return str(error) if isinstance(error, BadAnswer | Unreachable) else place_of(error)


def _check_endpoint(identity: Identity, authority: Authority) -> None:
    """Refuse to send the credential where the authority's document says, if that is not the authority itself.

    An issuer that is not Entra may have its endpoint on another host, but must call itself what it is configured
    as (OpenID Connect Discovery 1.0, section 4.3); MSAL is content with much less.
    """
    endpoint = str(authority.token_endpoint)
    if identity.oidc:
        trusted = str(authority._issuer).rstrip("/") == identity.authority  # noqa: SLF001 - MSAL keeps it nowhere else
    else:
        own, found = _host(identity.authority), _host(endpoint)
        trusted = found == own or {own[0], found[0]} <= WELL_KNOWN_AUTHORITY_HOSTS
    # Printable: what one parser of URLs strips, another takes for part of the host.
    if not trusted or not _PRINTABLE.fullmatch(endpoint) or "@" in endpoint:
        raise Unavailable("the authority's discovery document does not belong to it")


def _host(url: str) -> tuple[str | None, int]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or _HTTPS_PORT


def _token(answer: Mapping[str, Any], wall: float, boot: float) -> AccessToken:
    value = answer.get("access_token")
    lifetime = _seconds(answer.get("expires_in"))
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise Unavailable("the authority's answer has no token in it")
    if str(answer.get("token_type", "Bearer")).lower() != "bearer":
        raise Unavailable("the authority's token is not a bearer token")
    if lifetime is None or not 0 < lifetime <= MAX_LIFETIME:
        raise Unavailable("the authority's answer does not say how long its token lives")
    # MSAL has turned refresh_in into a moment on the wall clock of the machine.
    refresh_on = answer.get("refresh_on")
    refresh_in = refresh_on - int(time.time()) if isinstance(refresh_on, int) else None
    return AccessToken(
        value=value,
        expires_on=int(wall + lifetime),
        expires_boot=boot + lifetime,
        lifetime=lifetime,
        refresh_in=refresh_in if refresh_in and refresh_in > 0 else None,
    )


def _seconds(value: object) -> int | None:
    """Return a count of seconds; some issuers send it as a string."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:12])
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _error(answer: BadAnswer) -> UpstreamError:
    """Tell what a refusal means. Its description stays here: it names tenants and may echo what was sent."""
    fields = answer.fields()
    code = fields.get("error")
    codes = fields.get("error_codes")
    aadsts = codes[0] if isinstance(codes, list) and codes else None
    correlation_id = str(fields.get("correlation_id"))
    facts: dict[str, Any] = {
        "aadsts": aadsts if type(aadsts) is int and aadsts in _AADSTS_CODES else None,
        "correlation_id": correlation_id if is_guid(correlation_id) else None,
    }
    if answer.status == _TOO_MANY_REQUESTS:
        return Throttled("the authority asks us to wait", retry_after=answer.retry_after(), **facts)
    if answer.status >= _SERVER_ERROR or code in _TRANSIENT_ERRORS:
        return Unavailable("the authority is failing", retry_after=answer.retry_after(), **facts)
    if not isinstance(code, str):
        return Unavailable("what answered is not the authority; is a proxy in between?", **facts)
    if code in _SCOPE_ERRORS:
        return ScopeRejected("the authority does not accept the scope", **facts)
    return CredentialRejected("the authority does not accept the application or its credential", **facts)
