"""Signs everything the emulator issues: access tokens, managed identities' tokens, federated assertions.

Every issuer has "emulator" or the emulator's own host in it, so that no validator of real tokens can take
one for real. One key signs for all issuers; `iss` tells them apart.
"""

import hashlib
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from app.emulator.registry import Application, ManagedIdentity, Registry, Tenant

# Entra dates `iat` and `nbf` five minutes back, for the sake of slow clocks.
_BACKDATED_SECONDS = 300


@dataclass(slots=True)
class Settings:
    """How long tokens live, and whether an answer advises when to refresh. Changes hold from the next token on."""

    lifetime: int = 3599
    refresh_in: int | None = None


class SigningKey:
    """An RSA key and how it is published."""

    def __init__(self) -> None:
        self._private = rsa.generate_private_key(65537, 2048)
        der = self._private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.kid = hashlib.sha256(der).hexdigest()[:27]

    @property
    def public(self) -> rsa.RSAPublicKey:
        return self._private.public_key()

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._private, "RS256", headers={"kid": self.kid})

    def jwks(self) -> dict[str, Any]:
        key = RSAAlgorithm.to_jwk(self.public, as_dict=True)
        return {
            "keys": [{"kty": "RSA", "use": "sig", "kid": self.kid, "n": key["n"], "e": key["e"], "alg": "RS256"}]
        }


class Mint:
    """Issues tokens of the registry's tenants, of the OIDC issuer, and of the federated issuer."""

    def __init__(
        self,
        base_url: str,
        registry: Registry,
        settings: Settings,
        clock: Callable[[], float],
        key: SigningKey | None = None,
    ) -> None:
        self.base_url = base_url
        self.key = key or SigningKey()
        self.oidc_issuer = f"{base_url}/oidc"
        self.federated_issuer = f"{base_url}/federated"
        self._registry = registry
        self._settings = settings
        self._clock = clock

    def issuer(self, tenant: Tenant) -> str:
        return f"{self.base_url}/emulator/{tenant.id}/v2.0"

    def is_trusted(self, issuer: str) -> bool:
        """Say whether this is an issuer whose assertions can be verified: one of our own."""
        return issuer in {self.federated_issuer, *(self.issuer(tenant) for tenant in self._registry.tenants)}

    def access_token(self, tenant: Tenant, application: Application, resource: str, *, by_secret: bool) -> str:
        """Return an app-only token of the v1 kind, which most of Microsoft's own resources ask for."""
        issuer, object_id = self.issuer(tenant), application.object_id(tenant)
        roles = application.roles_for(resource)
        return self.key.sign(
            {
                **self._frame(issuer, resource),
                "aio": secrets.token_urlsafe(24),
                "appid": application.client_id,
                "appidacr": "1" if by_secret else "2",
                "idp": issuer,
                "idtyp": "app",
                "oid": object_id,
                "rh": secrets.token_urlsafe(24),
                **({"roles": roles} if roles else {}),
                "sub": object_id,
                "tid": tenant.id,
                "uti": secrets.token_urlsafe(16),
                "ver": "1.0",
                "emulator": True,
            }
        )

    def identity_token(self, tenant: Tenant, identity: ManagedIdentity, resource: str) -> str:
        """Return a token of a managed identity; it can serve as an application's federated assertion."""
        issuer = self.issuer(tenant)
        return self.key.sign(
            {
                **self._frame(issuer, resource),
                "appid": identity.client_id,
                "appidacr": "2",
                "idp": issuer,
                "idtyp": "app",
                "oid": identity.principal_id,
                "sub": identity.principal_id,
                "tid": tenant.id,
                "uti": secrets.token_urlsafe(16),
                "ver": "1.0",
                "emulator": True,
            }
        )

    def oidc_token(self, application: Application, scope: str) -> str:
        """Return a token as an issuer other than Entra makes it: the scope is a claim and the audience."""
        return self.key.sign(
            {
                **self._frame(self.oidc_issuer, scope),
                "client_id": application.client_id,
                "scope": scope,
                "sub": application.client_id,
                "emulator": True,
            }
        )

    def federated_assertion(self, subject: str, audience: str, lifetime: float) -> str:
        """Return what a Kubernetes cluster would project into a pod; `aud` is a list there, too."""
        now = int(self._clock())
        return self.key.sign(
            {
                "aud": [audience],
                "iss": self.federated_issuer,
                "iat": now,
                "nbf": now,
                "exp": int(now + lifetime),
                "jti": str(uuid.uuid4()),
                "sub": subject,
            }
        )

    def _frame(self, issuer: str, audience: str) -> dict[str, Any]:
        now = int(self._clock())
        started = now - _BACKDATED_SECONDS
        return {
            "aud": audience,
            "iss": issuer,
            "iat": started,
            "nbf": started,
            "exp": now + self._settings.lifetime,
        }
