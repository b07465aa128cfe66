"""The composition root: settings in, wired objects and the ASGI application out.

The only place that knows all the parts. Each is given what it needs as plain values, and nothing happens at
import: `create_app` is an ASGI factory, and with it under any server the gate holds.
"""

import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from app.access.gate import Gate
from app.config import ConfigurationError, IdentitySettings, Settings, load
from app.core.broker import Broker
from app.core.catalog import Catalog, ConfiguredToken
from app.core.errors import CredentialError
from app.core.tokens import Clock, SystemClock, TokenRequest
from app.dialects import native
from app.dialects.base import Dialect, add_routes
from app.entra.credentials import (
    ClientSecret,
    Credential,
    ManagedIdentity,
    exchange_audience,
    load_assertion,
    load_certificate,
    load_password,
    load_secret,
)
from app.entra.http import StrictClient
from app.entra.source import EntraTokenSource, Identity
from app.ops import health

logger = logging.getLogger(__name__)

DIALECTS: tuple[Dialect, ...] = (native.DIALECT,)

# Any of these makes MSAL ask somebody else than IMDS for the managed identity's token.
_MANAGED_IDENTITY_VARIABLES = (
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSAL_MANAGED_IDENTITY_ENDPOINT",
)


def create_app(settings: Settings | None = None) -> ASGIApp:
    """Return the broker as an ASGI application, from `settings` or else from the environment.

    Raises ConfigurationError where a credential cannot be used. Nothing is asked of the authority before the
    application starts up.
    """
    settings = settings or load()
    clock = SystemClock()
    identities = identities_of(settings)
    catalog = catalog_of(settings)
    http = client_of(settings)
    source = EntraTokenSource(identities, http=http, clock=clock)
    broker = Broker(
        source,
        clock=clock,
        authorities={name: identity.authority for name, identity in identities.items()},
        kept=[token.request for token in catalog.tokens.values() if token.keep_warm],
    )
    _tell(settings, http)
    return gated(web_api(catalog, broker, clock, expose_openapi=settings.expose_openapi, on_stop=source.close))


def gated(api: ASGIApp) -> ASGIApp:
    """Return the application behind the gate."""
    return Gate(api, open_paths=health.PATHS, refuse=native.render_error)


def web_api(
    catalog: Catalog,
    broker: Broker,
    clock: Clock,
    *,
    expose_openapi: bool = False,
    on_stop: Callable[[], None] | None = None,
) -> FastAPI:
    """Return all routes over a broker that lives as long as the application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await broker.start()
        yield
        await broker.close()
        if on_stop:
            on_stop()

    api = FastAPI(
        title="Token broker",
        description="Cached app-only access tokens from Microsoft Entra ID, over local HTTP.",
        openapi_url="/openapi.json" if expose_openapi else None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the redirect is built from the caller's Host
        lifespan=lifespan,
        exception_handlers={HTTPException: native.no_such_route},
    )
    for dialect in DIALECTS:
        add_routes(api.router, dialect, catalog=catalog, broker=broker, clock=clock)
    health.add_routes(api.router, catalog.tokens.values(), broker)
    return api


def catalog_of(settings: Settings) -> Catalog:
    """Return the configured tokens."""
    identities = settings.identities
    return Catalog(
        ConfiguredToken(
            name=name,
            request=TokenRequest(
                identity=token.identity,
                tenant=token.tenant or identities[token.identity].tenant or "",
                scope=token.scope,
            ),
            # A token with a tenant of its own is for that tenant only.
            tenants=frozenset(() if token.tenant else identities[token.identity].tenants),
            keep_warm=token.keep_warm,
            required=token.keep_warm if token.required is None else token.required,
        )
        for name, token in settings.tokens.items()
    )


def client_of(settings: Settings) -> StrictClient:
    """Return the HTTP client for all authorities."""
    try:
        return StrictClient(
            ca_bundle=_ca_bundle(settings),
            proxy_url=settings.proxy_url or settings.environment_proxy,
            obey_no_proxy=settings.proxy_url is None,
        )
    except OSError as error:
        reason = "it holds no PEM certificate" if isinstance(error, ssl.SSLError) else error.strerror
    name = "ca_bundle" if settings.ca_bundle else "SSL_CERT_FILE"
    raise ConfigurationError([f"{name}: cannot be used: {reason}"])


def _ca_bundle(settings: Settings) -> Path | None:
    # Not left to OpenSSL, which passes over a file that is not there, and then trusts nobody.
    environments = os.environ.get("SSL_CERT_FILE")
    return settings.ca_bundle or (Path(environments) if environments else None)


def identities_of(settings: Settings) -> dict[str, Identity]:
    """Load every identity's credential; all that cannot be used are in one ConfigurationError."""
    found: dict[str, Identity] = {}
    problems: list[str] = []
    for name, identity in settings.identities.items():
        try:
            credential = _credential(identity)
        except CredentialError as error:
            problems.append(f"identities.{name}: {error}")
            continue
        oidc = identity.authority_type == "oidc"
        found[name] = Identity(
            authority=identity.authority if oidc else settings.authority_host or identity.authority,
            client_id=identity.client_id,
            credential=credential,
            client_claims=identity.client_claims,
            oidc=oidc,
        )
    if problems:
        raise ConfigurationError(problems)
    return found


def _credential(identity: IdentitySettings) -> Credential:
    if identity.client_secret is not None:
        return ClientSecret(identity.client_secret.get_secret_value())
    if identity.client_secret_file is not None:
        return load_secret(identity.client_secret_file)
    if identity.assertion_file is not None:
        return load_assertion(identity.assertion_file)
    if identity.managed_identity is not None:
        client_id = None if identity.managed_identity == "system" else identity.managed_identity
        return ManagedIdentity(client_id, exchange_audience(identity.authority))
    return load_certificate(
        identity.certificate_file,
        identity.private_key_file,
        password=_password(identity),
        thumbprint=identity.thumbprint,
    )


def _password(identity: IdentitySettings) -> str | None:
    if identity.certificate_password_file is not None:
        return load_password(identity.certificate_password_file)
    secret = identity.certificate_password
    return secret.get_secret_value() if secret is not None else None


def _tell(settings: Settings, http: StrictClient) -> None:
    """Log what holds and may surprise."""
    facts = {
        "ca": _ca_bundle(settings) or os.environ.get("SSL_CERT_DIR"),
        "proxy": http.proxy,
        "authority_host": settings.authority_host,
        "ignored": " ".join(settings.ignored_environment) or None,
    }
    if any(identity.managed_identity for identity in settings.identities.values()):
        facts["managed_identity_by"] = " ".join(filter(os.environ.get, _MANAGED_IDENTITY_VARIABLES)) or None
    logger.info("configured", extra={"tokens": " ".join(settings.tokens), **facts})
    for warning in settings.warnings:
        logger.warning("%s", warning)
