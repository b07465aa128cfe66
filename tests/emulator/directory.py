"""The tenants, the application and the keys that the emulator's tests are about."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from app.emulator.registry import Tenant

TENANT = Tenant("aaaaaaaa-1111-1111-1111-111111111111", ("contoso.onmicrosoft.com", "contoso.example"))
OTHER = Tenant("22222222-2222-2222-2222-222222222222", ("fabrikam.onmicrosoft.com",))
CLIENT_ID = "33333333-3333-3333-3333-333333333333"
SECRET = "planted-secret:with+odd %40 characters"
EXPIRED = "planted-expired-secret"


@dataclass
class KeyPair:
    """A key and its self-signed certificate, as a person makes them for an application."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> str:
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode()

    @property
    def certificate_pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def make_certificate(key: rsa.RSAPrivateKey, days: int) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an application")])
    end = datetime.now(UTC) + timedelta(days=days)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    return builder.not_valid_before(end - timedelta(days=30)).not_valid_after(end).sign(key, hashes.SHA256())
