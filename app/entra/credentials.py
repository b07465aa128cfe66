"""How an application proves what it is: a secret, a certificate, a signed assertion, a managed identity.

Everything a credential can be wrong about without asking the authority is found out when it is loaded, because
MSAL takes empty secrets, bytes and unparsable keys in silence and fails at the first request. A certificate's
dates are the exception: they are kept for whoever reports them, and judged by the authority, whose clock
counts; refusing to start would take the other identities down with the one that lapsed.
"""

import errno
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs12

from app.core.errors import CredentialError

MIN_KEY_BITS = 2048  # what Entra asks for, and what PyJWT signs with without a warning
# Secrets, keys and projected tokens are a few kilobytes; anything larger is the wrong file.
MAX_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A password of the application."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A key whose certificate is registered with the application.

    `chain` is the certificate, and any of its issuers, as PEM. With `thumbprint` (SHA-1, hex) the assertion is
    signed with RS256 and names the certificate by `x5t`, as samples before 2024 do; without, with PS256 and
    `x5t#S256`. The dates are None where only a key and a thumbprint are known.
    """

    key: rsa.RSAPrivateKey = field(repr=False)
    chain: str | None = None
    thumbprint: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class SignedAssertion:
    """A file into which somebody else (a Kubernetes projected volume, say) puts a signed assertion."""

    file: Path

    def read(self) -> str:
        """Return the assertion as it is now: these files are replaced while we run."""
        text = _read_text(self.file, "the assertion file")
        if text.count(".") != 2 or not text.isascii() or any(character.isspace() for character in text):  # noqa: PLR2004 - a signed JWT has three parts
            raise CredentialError(f"the assertion file {self.file} does not hold a signed JWT")
        return text


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The managed identity of this machine, whose token serves as assertion (federated credential).

    `client_id` is None for the system-assigned one; `audience` is what Entra wants in it, by cloud.
    """

    client_id: str | None
    audience: str


Credential = ClientSecret | ClientCertificate | SignedAssertion | ManagedIdentity

# What Entra wants as audience of a managed identity's token, where it stands in for a credential:
# learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
_EXCHANGE_AUDIENCES = {
    "login.microsoftonline.us": "api://AzureADTokenExchangeUSGov",
    "login.partner.microsoftonline.cn": "api://AzureADTokenExchangeChina",
    "login.chinacloudapi.cn": "api://AzureADTokenExchangeChina",
}
_EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"


def exchange_audience(authority: str) -> str:
    """Return the audience of a managed identity's token that this cloud's Entra takes for a credential."""
    return _EXCHANGE_AUDIENCES.get(urlsplit(authority).hostname or "", _EXCHANGE_AUDIENCE)


def load_secret(file: Path) -> ClientSecret:
    """Read a client secret; one final line break is not part of it."""
    secret = _read_text(file, "the client secret file")
    if not secret.isprintable():
        raise CredentialError(f"the client secret file {file} has more than one line, or control characters")
    return ClientSecret(secret)


def load_password(file: Path) -> str:
    """Read the password of a key or PFX file; one final line break is not part of it."""
    return _read_text(file, "the password file")


def load_assertion(file: Path) -> SignedAssertion:
    """Check that the file holds an assertion now; its validity is the authority's to judge."""
    assertion = SignedAssertion(file)
    assertion.read()
    return assertion


def load_certificate(
    certificate_file: Path | None,
    private_key_file: Path | None = None,
    *,
    password: str | None = None,
    thumbprint: str | None = None,
) -> ClientCertificate:
    """Load a key with its certificate: from one PEM or PFX file, from two PEM files, or a key alone.

    A key alone needs the `thumbprint` of its certificate. Raises CredentialError, saying which file is wrong
    and how, where anything does not fit together.
    """
    blob = _read(certificate_file, "the certificate file") if certificate_file else b""
    if certificate_file and b"-----BEGIN" not in blob:
        key, certificates = _parse_pfx(blob, certificate_file, password)
    else:
        key_file = private_key_file or certificate_file
        if key_file is None:
            raise CredentialError("neither a certificate file nor a private key file is given")
        key_blob = _read(key_file, "the private key file") if private_key_file else blob
        key = _parse_key(key_blob, key_file, password)
        certificates = _parse_certificates(blob or key_blob, certificate_file or key_file)
    if key.key_size < MIN_KEY_BITS:
        raise CredentialError(f"the private key has {key.key_size} bits; Entra asks for {MIN_KEY_BITS}")
    if not certificates:
        return _without_certificate(key, certificate_file, thumbprint)
    return _matched(key, certificates, thumbprint)


def _without_certificate(
    key: rsa.RSAPrivateKey, certificate_file: Path | None, thumbprint: str | None
) -> ClientCertificate:
    if certificate_file:
        raise CredentialError(f"there is no certificate in {certificate_file}")
    if not thumbprint:
        raise CredentialError("a private key without a certificate needs the certificate's thumbprint")
    return ClientCertificate(key, thumbprint=thumbprint)


def _matched(
    key: rsa.RSAPrivateKey, certificates: list[x509.Certificate], thumbprint: str | None
) -> ClientCertificate:
    leaf = next((one for one in certificates if _is_of(one, key)), None)
    if leaf is None:
        raise CredentialError("the certificate does not belong to the private key")
    if thumbprint and leaf.fingerprint(hashes.SHA1()).hex() != thumbprint.lower():  # noqa: S303 - x5t is defined as SHA-1 (RFC 7515 4.1.7)
        raise CredentialError("the thumbprint is not that of the certificate")
    ordered = [leaf, *(one for one in certificates if one is not leaf)]
    chain = b"".join(one.public_bytes(Encoding.PEM) for one in ordered).decode()
    return ClientCertificate(key, chain, thumbprint, leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def _is_of(certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> bool:
    try:
        return certificate.public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):  # of a kind that is not ours to know, such as an issuer's may be
        return False


def _parse_pfx(blob: bytes, file: Path, password: str | None) -> tuple[rsa.RSAPrivateKey, list[x509.Certificate]]:
    try:
        bag = pkcs12.load_pkcs12(blob, password.encode() if password else None)
    except (ValueError, UnsupportedAlgorithm):
        raise CredentialError(
            f"{file} is neither PEM nor a PFX that opens with the password given, or with none where none is given"
        ) from None
    certificates = [one.certificate for one in (bag.cert, *bag.additional_certs) if one is not None]
    return _rsa(bag.key, file), certificates


def _parse_key(blob: bytes, file: Path, password: str | None) -> rsa.RSAPrivateKey:
    try:
        return _rsa(load_pem_private_key(blob, password.encode() if password else None), file)
    except TypeError:
        fix = (
            "is not encrypted; remove certificate_password"
            if password
            else "is encrypted; set certificate_password_file"
        )
        raise CredentialError(f"the private key in {file} {fix}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CredentialError(f"there is no private key in {file} that can be read with what is given") from None


def _rsa(key: object, file: Path) -> rsa.RSAPrivateKey:
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CredentialError(f"the private key in {file} is not an RSA key, the only kind Entra accepts")
    return key


def _parse_certificates(blob: bytes, file: Path) -> list[x509.Certificate]:
    if b"-----BEGIN CERTIFICATE-----" not in blob:
        return []
    try:
        return x509.load_pem_x509_certificates(blob)
    except ValueError:
        raise CredentialError(f"a certificate in {file} cannot be parsed") from None


def _read(file: Path, what: str) -> bytes:
    try:
        with file.open("rb") as opened:
            blob = opened.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, ValueError):
        # Without its name: where there is no such file, the "name" may be the secret itself, in the wrong option.
        raise CredentialError(f"{what} does not exist{_looked_for(file)}") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise CredentialError(f"{what} does not exist: its name is too long for one") from None
        raise CredentialError(f"{what} {file} cannot be read: {error.strerror}") from None
    if not blob.strip():
        raise CredentialError(f"{what} {file} is empty")
    if len(blob) > MAX_FILE_BYTES:
        raise CredentialError(f"{what} {file} is larger than {MAX_FILE_BYTES} bytes")
    return blob


def _looked_for(file: Path) -> str:
    return f"; it was looked for in {file.parent}" if file.parent.is_dir() else ""


def _read_text(file: Path, what: str) -> str:
    try:
        text = _read(file, what).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CredentialError(f"{what} {file} is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")
