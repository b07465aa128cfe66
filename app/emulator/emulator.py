"""The emulator: the parts wired together, and the routes under which clients find them."""

import json
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from app.emulator import documents
from app.emulator.control import Control
from app.emulator.errors import EntraError
from app.emulator.exchange import Exchange, form_fields
from app.emulator.imds import MetadataEndpoint
from app.emulator.mint import Mint, Settings, SigningKey
from app.emulator.recording import RecordedRequest, Recorder
from app.emulator.registry import EXCHANGE_AUDIENCE, FederatedCredential, Registry, Tenant, is_guid
from app.emulator.script import Script, ScriptedResponse
from app.emulator.token_endpoint import TENANTLESS, OAuthError, TokenEndpoint

_CONFIGURATION = "/.well-known/openid-configuration"


class Emulator:
    """An authority at `base_url`, which is where the caller serves `app`, with the options of serving.py.

    `registry` and `settings` may be changed at any time. `enqueue` says what the next requests get,
    `take_requests` what the last ones were. `ca` is the file that clients must trust.
    """

    def __init__(
        self,
        base_url: str,
        registry: Registry | None = None,
        *,
        clock: Callable[[], float] = time.time,
        lifetime: int = 3599,
        refresh_in: int | None = None,
        ca: Path | None = None,
        control_token: str | None = None,
        signing_key: SigningKey | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.registry = registry or Registry.demo()
        self.settings = Settings(lifetime, refresh_in)
        self.ca = ca
        self.control_token = control_token or secrets.token_urlsafe(32)
        self._clock = clock
        self._recorder = Recorder()
        self._script = Script()
        self._mint = Mint(self.base_url, self.registry, self.settings, clock, signing_key)
        self._endpoint = TokenEndpoint(self.registry, self._mint, self.settings, clock)
        self._metadata = MetadataEndpoint(self.registry, self._mint, self.settings, clock)
        control = Control(self.control_token, self._recorder, self._script, self.settings, self._mint)
        router = Starlette(routes=[*control.routes(), *self._routes()])
        router.router.redirect_slashes = False
        self.app: ASGIApp = Exchange(router, self._recorder, self._script, clock, self._scripted_refusal)

    @property
    def oidc_issuer(self) -> str:
        return self._mint.oidc_issuer

    @property
    def federated_issuer(self) -> str:
        return self._mint.federated_issuer

    def authority(self, tenant: str | None = None) -> str:
        """Return what MSAL calls the authority: of this tenant, else of the first."""
        return f"{self.base_url}/{tenant or self.registry.tenants[0].id}"

    def issuer(self, tenant: Tenant | None = None) -> str:
        """Return the `iss` of this tenant's tokens, its managed identities' among them; else of the first's."""
        return self._mint.issuer(tenant or self.registry.tenants[0])

    def federated_assertion(self, subject: str, audience: str = EXCHANGE_AUDIENCE, lifetime: float = 3600) -> str:
        """Return what a cluster would project into a pod for this subject; a negative lifetime: expired."""
        return self._mint.federated_assertion(subject, audience, lifetime)

    def trust(self, subject: str) -> None:
        """Let the first application in with assertions for this subject, and with any managed identity's token."""
        self.registry.applications[0].federated_credentials += [
            FederatedCredential(self.federated_issuer, subject),
            *(FederatedCredential(self.issuer(), one.principal_id) for one in self.registry.managed_identities),
        ]

    def enqueue(self, *responses: ScriptedResponse) -> None:
        self._script.add(*responses)

    def take_requests(self) -> list[RecordedRequest]:
        """Return what was recorded since the last time, and forget it."""
        return self._recorder.take()

    def clear(self) -> None:
        """Forget what is enqueued and what is recorded."""
        self._script.clear()
        self._recorder.take()

    def count(self, kind: str = "token") -> int:
        """Return how many requests of this kind are recorded and not taken yet."""
        return self._recorder.count(kind)

    def wait_for_requests(self, count: int, kind: str = "token", timeout: float = 10) -> bool:
        """Block until that many requests have arrived, answered or not; False if time ran out."""
        return self._recorder.wait_for(kind, count, timeout)

    def _routes(self) -> list[Route]:
        return [
            Route("/common/discovery/instance", self._instance),
            Route("/metadata/identity/oauth2/token", self._imds),
            Route(f"/oidc{_CONFIGURATION}", self._document(documents.oidc_configuration)),
            Route("/oidc/token", self._oidc, methods=["POST"]),
            Route("/oidc/keys", self._keys),
            Route(f"/federated{_CONFIGURATION}", self._document(documents.federated_configuration)),
            Route("/federated/keys", self._keys),
            # Where a validator looks that starts from a token's issuer; the other one is where MSAL looks.
            Route(f"/emulator/{{tenant}}/v2.0{_CONFIGURATION}", self._configuration),
            Route(f"/{{tenant}}/v2.0{_CONFIGURATION}", self._configuration),
            Route("/{tenant}/discovery/v2.0/keys", self._keys),
            Route("/{tenant}/oauth2/v2.0/token", self._token, methods=["POST"]),
        ]

    async def _token(self, request: Request) -> Response:
        form = form_fields(request.headers, await request.body())
        authorization = request.headers.get("authorization", "")
        try:
            body = self._endpoint.entra(request.path_params["tenant"], form, authorization)
        except EntraError as error:
            return self._refusal(request.headers, error)
        return _entra_response(200, body, request.headers, str(uuid.uuid4()))

    async def _oidc(self, request: Request) -> Response:
        form = form_fields(request.headers, await request.body())
        try:
            body = self._endpoint.oidc(form, request.headers.get("authorization", ""))
        except OAuthError as error:
            return _uncached(error.body, error.status)
        return _uncached(body)

    async def _imds(self, request: Request) -> Response:
        try:
            return _uncached(self._metadata.token(request.headers, request.query_params))
        except OAuthError as error:
            return _uncached(error.body, error.status)

    async def _configuration(self, request: Request) -> Response:
        name = request.path_params["tenant"]
        tenant = self.registry.tenant(name)
        if tenant is None and name not in TENANTLESS:
            error = EntraError(90002, tenant=name)
            error.error = "invalid_tenant"  # "invalid_request" at the token endpoint: both are recorded
            response = self._refusal(request.headers, error)
            response.headers["cache-control"] = "max-age=86400, private"
            return response
        issuer = self._mint.issuer(tenant or Tenant("{tenantid}"))
        body = documents.openid_configuration(self.base_url, tenant.id if tenant else name, issuer)
        return _cached(body)

    async def _instance(self, request: Request) -> Response:
        # Entra names the tenant of the `authorization_endpoint` asked about; it is that URL's first segment.
        asked = request.query_params.get("authorization_endpoint", "").partition("//")[2].split("/")
        tenant = self.registry.tenant(asked[1]) if len(asked) > 1 else None
        return _cached(documents.instance_discovery(self.base_url, (tenant or self.registry.tenants[0]).id))

    async def _keys(self, request: Request) -> Response:  # noqa: ARG002 - the same for all issuers
        return _cached(self._mint.key.jwks())

    def _document(self, make: Callable[[str], dict[str, Any]]) -> Callable[[Request], Any]:
        async def document(request: Request) -> Response:  # noqa: ARG001 - the same for all requests
            return _cached(make(self.base_url))

        return document

    def _scripted_refusal(self, scope: Scope, form: dict[str, str], code: int) -> Response:
        request = Request(scope)
        tenant = scope["path"].split("/")[1]
        named = {name: form.get(name, "") for name in ("client_id", "scope", "grant_type")}
        resource = named["scope"].removesuffix("/.default")
        error = EntraError(code, tenant=tenant, resource=resource, **named)
        return self._refusal(request.headers, error)

    def _refusal(self, headers: Mapping[str, str], error: EntraError) -> Response:
        trace_id, correlation_id = str(uuid.uuid4()), headers.get("client-request-id", "")
        body = error.body(
            base_url=self.base_url,
            now=self._clock(),
            trace_id=trace_id,
            correlation_id=correlation_id if is_guid(correlation_id) else None,
        )
        return _entra_response(error.status, body, headers, trace_id, error.code)


def _entra_response(
    status: int, body: dict[str, Any], asked: Mapping[str, str], request_id: str, code: int = 0
) -> Response:
    """Return `body` with Entra's headers in Entra's order.

    Without Strict-Transport-Security: a browser that trusts the CA would refuse http://localhost for a year.
    """
    telemetry = {"x-ms-clitelem": f"1,{code},0,,"} if "x-client-current-telemetry" in asked else {}
    headers = {
        "cache-control": "no-store, no-cache",
        "pragma": "no-cache",
        "expires": "-1",
        "content-type": "application/json; charset=utf-8",
        "x-content-type-options": "nosniff",
        "p3p": 'CP="DSP CUR OTPi IND OTRi ONL FIN"',
        "x-ms-request-id": request_id,
        "x-ms-ests-server": "2.1.0 - EMULATOR",
        **telemetry,
        "x-xss-protection": "0",
    }
    response = Response(json.dumps(body, separators=(",", ":")), status, headers)
    attributes = "path=/; secure; HttpOnly; SameSite=None"
    response.headers.append("set-cookie", f"fpc={secrets.token_urlsafe(24)}; {attributes}")
    response.headers.append("set-cookie", f"x-ms-gateway-slice=estsfd; {attributes}")
    response.headers.append("set-cookie", f"stsservicecookie=estsfd; {attributes}")
    return response


def _uncached(body: Mapping[str, Any], status: int = 200) -> Response:
    return JSONResponse(body, status, {"cache-control": "no-store", "pragma": "no-cache"})


def _cached(body: dict[str, Any]) -> Response:
    return JSONResponse(body, headers={"cache-control": "max-age=86400, private"})
