"""The broker's own protocol: one GET for a shell script, errors as RFC 9457 problem documents.

Documented in docs/native.md. It is stricter than the protocols of others: unknown and duplicate parameters are
refused.
"""

import json
import math
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.routing import Route as StarletteRoute

from app.core.broker import Issued
from app.core.catalog import Catalog
from app.core.errors import (
    AccessDenied,
    BrokerError,
    CredentialError,
    CredentialRejected,
    InternalError,
    InvalidRequest,
    ScopeRejected,
    Throttled,
    Unavailable,
    UnknownToken,
    UpstreamError,
)
from app.core.tokens import TokenRequest, parse_scope, scope_of
from app.dialects.base import (
    NO_STORE,
    WAITING,
    Ask,
    Dialect,
    Incoming,
    Route,
    nearest,
    parameters,
    served,
    status_of,
)

STYLES = ("json", "text", "header")
PARAMETERS = frozenset({"scope", "resource", "tenant", "min_ttl", "format"})
_MIN_TTL_DIGITS = 9

ERROR_CODES: dict[type[BrokerError], str] = {
    InvalidRequest: "invalid_request",
    UnknownToken: "unknown_token",
    AccessDenied: "access_denied",
    ScopeRejected: "invalid_scope",
    CredentialError: "credential_error",
    CredentialRejected: "credential_rejected",
    Throttled: "upstream_throttled",
    Unavailable: "upstream_unavailable",
    InternalError: "internal_error",
}


def parse(incoming: Incoming, catalog: Catalog) -> Ask:
    found = parameters(incoming.query, PARAMETERS)
    return Ask(
        request=_find(incoming.name, found, catalog),
        min_ttl=_min_ttl(found.get("min_ttl")),
        style=_style(found.get("format"), incoming.headers.get("accept", "")),
    )


def render(ask: Ask, issued: Issued, remaining: int) -> Response:
    token = issued.token
    if ask.style == "text":
        return served(f"{token.value}\n", "text/plain", issued, remaining)
    if ask.style == "header":
        # For `curl -H @-`: the token stays out of the argument list, which every user of the machine can read.
        return served(f"Authorization: Bearer {token.value}\n", "text/plain", issued, remaining)
    body = {
        "access_token": token.value,
        "token_type": "Bearer",
        "expires_in": remaining,
        "expires_on": token.expires_on,
        "scope": ask.request.scope,
    }
    return served(json.dumps(body), "application/json", issued, remaining)


def render_error(error: BrokerError) -> Response:
    status = status_of(error)
    facts: dict[str, Any] = {}
    if isinstance(error, UpstreamError):
        facts = {
            "aadsts": f"AADSTS{error.aadsts}" if error.aadsts else None,
            "correlation_id": error.correlation_id,
            # Rounded up, so that who waits as long as told does not come a moment too early.
            "retry_after": max(math.ceil(error.retry_after or 0), 1) if status in WAITING else None,
        }
    return problem(status, nearest(ERROR_CODES, error), str(error), **facts)


def problem(status: int, error: str, detail: str, *, allow: str | None = None, **facts: object) -> Response:
    """Return a problem document; facts that are None are left out."""
    known = {name: fact for name, fact in facts.items() if fact is not None}
    body = {"title": HTTPStatus(status).phrase, "status": status, "error": error, "detail": detail, **known}
    headers = dict(NO_STORE)
    if "retry_after" in known:
        headers["Retry-After"] = str(known["retry_after"])
    if allow:
        headers["Allow"] = allow
    return Response(json.dumps(body), status, media_type="application/problem+json", headers=headers)


async def no_such_route(request: Request, error: HTTPException) -> Response:
    """Answer where no route does, in place of FastAPI, on any path."""
    found = [route for route in request.app.routes if isinstance(route, StarletteRoute)]
    methods = [route.methods or set() for route in found if route.matches(request.scope)[0] is not Match.NONE]
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and methods:
        allow = ", ".join(sorted(set().union(*methods)))
        return problem(405, "method_not_allowed", "this path does not have that method", allow=allow)
    return problem(404, "not_found", "there is nothing at this path; tokens are at /token")


def _find(name: str | None, found: dict[str, str], catalog: Catalog) -> TokenRequest:
    selectors = [one for one in (name, found.get("scope"), found.get("resource")) if one is not None]
    if len(selectors) > 1:
        raise InvalidRequest("a name, a scope and a resource exclude each other")
    tenant = found.get("tenant")
    if "scope" in found:
        return catalog.find_scope(parse_scope(found["scope"]), tenant)
    if "resource" in found:
        return catalog.find_scope(scope_of(found["resource"]), tenant)
    return catalog.find_named(name, tenant)


def _min_ttl(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _MIN_TTL_DIGITS):
        raise InvalidRequest("min_ttl is not a whole number of seconds")
    return int(text)


def _style(text: str | None, accept: str) -> str:
    if text is None:
        return "text" if accept.split(";", maxsplit=1)[0].strip().lower() == "text/plain" else "json"
    if text not in STYLES:
        raise InvalidRequest(f"format is not one of {', '.join(STYLES)}")
    return text


def _parameter(name: str, description: str, **schema: object) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
    }


_OPTIONS = (
    _parameter("tenant", "One of the identity's tenants, where it has several"),
    _parameter("min_ttl", "Seconds the token must still have", type="integer", minimum=0),
    _parameter("format", "Form of the answer", enum=list(STYLES), default="json"),
)
_SELECTORS = (
    _parameter("scope", "The scope of a configured token, in place of its name"),
    _parameter("resource", "The same as a v1 resource: the scope without /.default"),
)
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The token", "content": {"application/json": {}, "text/plain": {}}},
    **{
        status: {"description": HTTPStatus(status).phrase, "content": {"application/problem+json": {}}}
        for status in (400, 403, 404, 429, 502, 503)
    },
}

DIALECT = Dialect(
    name="native",
    parse=parse,
    render=render,
    render_error=render_error,
    routes=(
        Route("/token", "GET", "The only token, or the one meant by scope", (*_SELECTORS, *_OPTIONS), _RESPONSES),
        Route("/token/{name}", "GET", "The token of this name", (_NAME, *_OPTIONS), _RESPONSES),
    ),
)
