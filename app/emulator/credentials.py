"""How a client says who it is, and whether that is true: secrets, certificates, federated assertions."""

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from app.emulator.errors import EntraError
from app.emulator.registry import Application

_ALGORITHMS = ["RS256", "PS256"]
_THUMBPRINTS: dict[str, hashes.HashAlgorithm] = {
    "x5t#S256": hashes.SHA256(),
    "x5t": hashes.SHA1(),  # noqa: S303 - x5t is SHA-1 by definition, and names a key rather than proving anything
}


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a client assertion says, before anybody has checked its signature, which is not kept."""

    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def is_self_signed(self) -> bool:
        """Say whether it is signed by the application's certificate, as opposed to an issuer it trusts."""
        return any(name in self.header for name in _THUMBPRINTS)


@dataclass(frozen=True, slots=True)
class Presented:
    """The client id and the proof a request came with. Basic's secret has two readings, so it is a tuple."""

    client_id: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    by_basic: bool = False
    signed: str = field(default="", repr=False)

    @property
    def assertion(self) -> Assertion | None:
        try:
            parts = jwt.decode_complete(self.signed, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return None
        return Assertion(parts["header"], parts["payload"])

    @property
    def method(self) -> str:
        """Return the client authentication method, by its name in OpenID Connect where it has one."""
        if self.signed:
            assertion = self.assertion
            return "federated" if assertion and not assertion.is_self_signed else "private_key_jwt"
        if self.secrets:
            return "client_secret_basic" if self.by_basic else "client_secret_post"
        return "none"


def presented(form: Mapping[str, str], authorization: str) -> Presented:
    """Read the form first, HTTP Basic where it has no secret and no assertion."""
    client_id = form.get("client_id", "")
    if form.get("client_assertion"):
        return Presented(client_id, signed=form["client_assertion"])
    if form.get("client_secret"):
        return Presented(client_id, (form["client_secret"],))
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return Presented(client_id)
    try:
        name, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # binascii.Error and UnicodeDecodeError are both one
        return Presented(client_id)
    # RFC 6749 section 2.3.1 wants both form-encoded; Python's clients and curl send them as they are.
    readings = (unquote_plus(secret), secret) if colon else ()
    return Presented(unquote_plus(name) or client_id, readings, by_basic=True)


def check_secret(given: Presented, application: Application) -> None:
    if _is_one_of(given.secrets, application.secrets):
        return
    expired = _is_one_of(given.secrets, application.expired_secrets)
    raise EntraError(7000222 if expired else 7000215, client_id=application.client_id)


def check_certificate(
    signed: str, assertion: Assertion, application: Application, audiences: set[str], now: float
) -> None:
    """Accept what the key of a certificate registered on the application has signed about itself."""
    claims, client_id = assertion.claims, application.client_id
    certificate, thumbprint = _registered(assertion.header, application)
    if certificate is None:
        problem = (
            "The certificate with identifier used to sign the client assertion is not registered on application."
        )
        raise EntraError(
            700027,
            problem=problem,
            reason="The key was not found.",
            thumbprint=thumbprint,
            client_id=client_id,
        )
    reason = ""
    if not certificate.not_valid_before_utc.timestamp() <= now <= certificate.not_valid_after_utc.timestamp():
        reason = "The key used is expired."
    elif not _is_signed_by(signed, certificate.public_key()):
        reason = "The provided signature value did not match the expected signature value."
    if reason:
        problem = "Client assertion failed signature validation."
        raise EntraError(700027, problem=problem, reason=reason, thumbprint=thumbprint, client_id=client_id)
    if not claims.get("iss") == claims.get("sub") == client_id:
        raise EntraError(700021)
    if not audiences & _audiences(claims):
        raise EntraError(700023)
    _check_time(claims, now)


def check_federated(
    signed: str,
    assertion: Assertion,
    application: Application,
    trusted_key: Callable[[str], RSAPublicKey | None],
    now: float,
) -> None:
    """Accept the word of an issuer for a subject, if the application has a federated credential for both."""
    claims = assertion.claims
    issuer, subject, audiences = str(claims.get("iss")), str(claims.get("sub")), _audiences(claims)
    credentials = application.federated_credentials
    if not credentials:
        raise EntraError(70025, client_id=application.client_id)
    if not (credentials := [known for known in credentials if known.issuer == issuer]):
        raise EntraError(700211, issuer=issuer)
    if not (credentials := [known for known in credentials if known.audience in audiences]):
        raise EntraError(700212, audience=" ".join(sorted(audiences)))
    if not any(known.subject == subject for known in credentials):
        raise EntraError(700213, subject=subject)
    key = trusted_key(issuer)
    if key is None:
        raise EntraError(50013, reason="The key was not found.")
    if not _is_signed_by(signed, key):
        reason = "The provided signature value did not match the expected signature value."
        raise EntraError(50013, reason=reason)
    _check_time(claims, now)


def _is_one_of(given: tuple[str, ...], known: list[str]) -> bool:
    # Both loops run to their ends: how long it takes says nothing about what matched.
    matches = [hmac.compare_digest(one.encode(), other.encode()) for one in given for other in known]
    return any(matches)


def _registered(header: dict[str, Any], application: Application) -> tuple[x509.Certificate | None, str]:
    """Return the certificate that the header names, and the thumbprint it names it by, in hexadecimal."""
    for name, algorithm in _THUMBPRINTS.items():
        if name not in header:
            continue
        try:
            # MSAL leaves the padding on, which RFC 7515 takes off: three more are enough for either.
            wanted = base64.urlsafe_b64decode(str(header[name]).rstrip("=") + "===")
        except ValueError:  # binascii.Error is one
            wanted = b""
        for certificate in application.certificates:
            if certificate.fingerprint(algorithm) == wanted:
                return certificate, wanted.hex().upper()
        return None, wanted.hex().upper()
    return None, ""


def _is_signed_by(signed: str, key: object) -> bool:
    if not isinstance(key, RSAPublicKey):
        return False
    try:
        jwt.PyJWS().decode(signed, key, algorithms=_ALGORITHMS)
    except jwt.InvalidTokenError:
        return False
    return True


def _audiences(claims: dict[str, Any]) -> set[str]:
    audience = claims.get("aud")
    return {str(one) for one in audience} if isinstance(audience, list) else {str(audience)}


def _check_time(claims: dict[str, Any], now: float) -> None:
    # MSAL's `iat` and `exp` are floats and it sends no `nbf`. The comparison is written so that NaN fails it.
    try:
        start, end = float(claims.get("nbf", now)), float(claims["exp"])
    except (KeyError, TypeError, ValueError):
        start = end = 0.0
    if not start <= now < end:
        raise EntraError(700024, now=_moment(now), start=_moment(start), end=_moment(end))


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (OverflowError, ValueError, OSError):
        return "never"
