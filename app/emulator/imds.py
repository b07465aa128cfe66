"""The instance metadata service's token endpoint, as a virtual machine with managed identities has it.

Its tokens can be exchanged: an application whose federated credential names the tenant's issuer and the
identity's principal id accepts one for `api://AzureADTokenExchange` as its client assertion.
"""

from collections.abc import Callable, Mapping

from app.emulator.mint import Mint, Settings
from app.emulator.registry import Registry
from app.emulator.token_endpoint import OAuthError


class MetadataEndpoint:
    """Answers for the registry's managed identities, in the strings that the real one uses for numbers."""

    def __init__(self, registry: Registry, mint: Mint, settings: Settings, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._mint = mint
        self._settings = settings
        self._clock = clock

    def token(self, headers: Mapping[str, str], query: Mapping[str, str]) -> dict[str, str]:
        if headers.get("metadata", "").lower() != "true":
            raise OAuthError(400, "invalid_request", "Required metadata header not specified")
        if "x-forwarded-for" in headers:
            raise OAuthError(400, "invalid_request", "X-Forwarded-For is not allowed")
        for name in ("api-version", "resource"):
            if not query.get(name):
                raise OAuthError(400, "invalid_request", f"Required query variable '{name}' is missing")
        identity = self._registry.managed_identity(
            client_id=query.get("client_id", ""),
            principal_id=query.get("object_id") or query.get("principal_id", ""),
            resource_id=query.get("msi_res_id") or query.get("mi_res_id", ""),
        )
        if identity is None:
            raise OAuthError(400, "invalid_request", "Identity not found")
        now, lifetime = int(self._clock()), self._settings.lifetime
        return {
            "access_token": self._mint.identity_token(self._registry.tenants[0], identity, query["resource"]),
            "client_id": identity.client_id,
            "expires_in": str(lifetime),
            "expires_on": str(now + lifetime),
            "ext_expires_in": str(lifetime),
            "not_before": str(now - 300),
            "resource": query["resource"],
            "token_type": "Bearer",
        }
