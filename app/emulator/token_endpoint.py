"""The client-credentials grant: what a form and an Authorization header earn, as plain values in and out."""

from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from app.emulator.credentials import Presented, check_certificate, check_federated, check_secret, presented
from app.emulator.errors import EntraError
from app.emulator.mint import Mint, Settings
from app.emulator.registry import Application, Registry, Tenant

# Endpoints that are not one tenant's. Entra answers there with a token of the application's home tenant.
TENANTLESS = frozenset({"organizations", "common"})
_SUFFIX = "/.default"
_GRANT = "client_credentials"


class OAuthError(Exception):
    """A refusal as RFC 6749 section 5.2 has it, without Entra's additions."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, "error_description": description}


class TokenEndpoint:
    """Answers token requests to the tenants, and to the generic OIDC issuer."""

    def __init__(self, registry: Registry, mint: Mint, settings: Settings, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._mint = mint
        self._settings = settings
        self._clock = clock

    def entra(self, tenant_name: str, form: Mapping[str, str], authorization: str) -> dict[str, Any]:
        """Return the body of a success; raises EntraError."""
        tenant = self._registry.tenant(tenant_name)
        if tenant is None and tenant_name not in TENANTLESS:
            raise EntraError(90002, tenant=tenant_name)
        if not form.get("grant_type"):
            raise EntraError(900144, parameter="grant_type")
        if form["grant_type"] != _GRANT:
            raise EntraError(70003, grant_type=form["grant_type"])
        given = presented(form, authorization)
        if not given.client_id:
            raise EntraError(900144, parameter="client_id")
        application = self._registry.application(given.client_id)
        if application is None or (tenant and not application.is_installed_in(tenant)):
            directory = tenant.name if tenant else tenant_name
            raise EntraError(700016, client_id=given.client_id, tenant=directory)
        if tenant is None and given.signed:
            raise EntraError(50194, client_id=application.client_id)
        tenant = tenant or self._registry.home(application)
        self._authenticate(given, application, tenant)
        resource = self._resource(form.get("scope", ""), tenant)
        token = self._mint.access_token(tenant, application, resource, by_secret=bool(given.secrets))
        return self._success(token)

    def oidc(self, form: Mapping[str, str], authorization: str) -> dict[str, Any]:
        """Return the body of a success of the OIDC issuer, which knows secrets only; raises OAuthError."""
        if form.get("grant_type") != _GRANT:
            raise OAuthError(400, "unsupported_grant_type", "only client_credentials is supported")
        given = presented(form, authorization)
        application = self._registry.application(given.client_id)
        if application is None or not given.secrets:
            raise OAuthError(401, "invalid_client", "unknown client, or no client secret")
        try:
            check_secret(given, application)
        except EntraError as error:
            raise OAuthError(401, "invalid_client", "the client secret is wrong or expired") from error
        scope = form.get("scope", "")
        if len(scope.split()) != 1:
            raise OAuthError(400, "invalid_scope", "exactly one scope is needed")
        token = self._mint.oidc_token(application, scope)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self._settings.lifetime,
            "scope": scope,
        }

    def _authenticate(self, given: Presented, application: Application, tenant: Tenant) -> None:
        if not given.signed:
            if not given.secrets:
                raise EntraError(7000216)
            check_secret(given, application)
            return
        assertion = given.assertion
        if assertion is None:
            raise EntraError(50027)
        if assertion.is_self_signed:
            base = self._mint.base_url
            audiences = {f"{base}/{name}/oauth2/v2.0/token" for name in (tenant.id, *tenant.domains)}
            # Microsoft's documentation asks for the first of these, MSAL sends the token endpoint.
            audiences |= {f"{base}/{tenant.id}/v2.0", self._mint.issuer(tenant)}
            check_certificate(given.signed, assertion, application, audiences, self._clock())
        else:
            check_federated(given.signed, assertion, application, self._trusted_key, self._clock())

    def _trusted_key(self, issuer: str) -> RSAPublicKey | None:
        return self._mint.key.public if self._mint.is_trusted(issuer) else None

    def _resource(self, scope: str, tenant: Tenant) -> str:
        """Return what precedes `/.default`, unchanged: it becomes the audience, trailing slash and all."""
        if not scope.strip():
            raise EntraError(900144, parameter="scope")
        if len(scope.split()) != 1:
            raise EntraError(70011, scope=scope)
        resource = scope.strip().removesuffix(_SUFFIX)
        if resource == scope.strip():
            raise EntraError(1002012, scope=scope)
        if not self._registry.knows_resource(resource):
            raise EntraError(500011, resource=resource, tenant=tenant.name)
        return resource

    def _success(self, token: str) -> dict[str, Any]:
        """Return Entra's four keys in Entra's order; `refresh_in` comes only where it is set."""
        lifetime, refresh_in = self._settings.lifetime, self._settings.refresh_in
        return {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            **({} if refresh_in is None else {"refresh_in": refresh_in}),
            "access_token": token,
        }
