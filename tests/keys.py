"""Keys and certificates for tests, each made once a run: an RSA key takes a tenth of a second."""

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

PASSWORD = "pass phrase"


WEAK = "weak"
EXPIRED = "expired"


def rsa_key(name: str = "first") -> rsa.RSAPrivateKey:
    """The key of this name, the same each time."""
    return _rsa_key(name)


def certificate(name: str = "first") -> x509.Certificate:
    """A self-signed certificate of the key of this name."""
    return _certificate(name)


@cache
def _rsa_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024 if name == WEAK else 2048)


@cache
def _certificate(name: str) -> x509.Certificate:
    days = -2 if name == EXPIRED else 30
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(rsa_key(name).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + timedelta(days=days)) - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .sign(rsa_key(name), hashes.SHA256())
    )


def certificate_pem(name: str = "first") -> bytes:
    return certificate(name).public_bytes(Encoding.PEM)


def key_pem(name: str = "first", password: str | None = None) -> bytes:
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return rsa_key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def ec_key_pem() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pfx(name: str = "first", password: str | None = PASSWORD, *, cas: tuple[str, ...] = ()) -> bytes:
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    others = [certificate(one) for one in cas]
    return pkcs12.serialize_key_and_certificates(b"app", rsa_key(name), certificate(name), others, encryption)


def thumbprint(name: str = "first") -> str:
    return certificate(name).fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - x5t is defined as SHA-1
