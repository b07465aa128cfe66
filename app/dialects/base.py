"""What all wire protocols share: their shape, the way of a request through them, and the table of statuses.

A dialect is one file with five parts in the same order: constants with a link to the real endpoint's
documentation, `parse`, `render`, `render_error`, its routes. The first three are pure, so a golden test of
bytes needs no server.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from starlette.datastructures import Headers

from app.core.broker import Broker, Issued
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
    place_of,
)
from app.core.tokens import Clock, TokenRequest

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_PARAMETERS = 32

# On every answer of a token route, errors included. Pragma is for HTTP/1.0 caches, and RFC 6749 5.1 asks for it.
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"}

STATUSES: dict[type[BrokerError], int] = {
    InvalidRequest: 400,
    UnknownToken: 404,
    AccessDenied: 403,
    ScopeRejected: 400,
    CredentialError: 502,
    CredentialRejected: 502,
    Throttled: 429,
    Unavailable: 503,
    InternalError: 500,
}
WAITING = frozenset({429, 503})  # the statuses that come with Retry-After


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as dialects see it; `name` is that of the path, `query` as it was sent."""

    name: str | None
    query: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request comes down to; `style` is how a dialect with several forms of answer is to give it."""

    request: TokenRequest
    min_ttl: int = 0
    style: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A path of a dialect. `parameters` are OpenAPI parameter objects, and document what `parse` reads."""

    path: str
    method: str
    summary: str
    parameters: tuple[Mapping[str, Any], ...] = ()
    responses: Mapping[int | str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dialect:
    """A wire protocol. `render` is given the whole seconds the token has left; both renders return bytes whole."""

    name: str
    parse: Callable[[Incoming, Catalog], Ask]
    render: Callable[[Ask, Issued, int], Response]
    render_error: Callable[[BrokerError], Response]
    routes: tuple[Route, ...]


def nearest(table: Mapping[type[BrokerError], T], error: BrokerError) -> T:
    """Return what the table has for the error's class, or for its nearest ancestor."""
    return next(table[kind] for kind in type(error).__mro__ if kind in table)


def status_of(error: BrokerError) -> int:
    return nearest(STATUSES, error)


def served(content: str, media_type: str, issued: Issued, remaining: int) -> Response:
    """Return a 200 that says how fresh it is (RFC 9211, RFC 9111 5.1)."""
    freshness = {
        "Cache-Status": f"token-broker; {'hit' if issued.hit else 'fwd=miss'}; ttl={remaining}",
        "Age": str(max(issued.token.lifetime - remaining, 0)),
    }
    return Response(content, media_type=media_type, headers={**NO_STORE, **freshness})


def parameters(query: str, known: frozenset[str]) -> dict[str, str]:
    """Return the query's parameters; refuses any that is not known, or comes twice.

    An ignored `scopes=` would hand out a token for another scope than the caller meant.
    """
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:
        raise InvalidRequest("the query is malformed") from None
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidRequest("a parameter is given twice")
    if not found.keys() <= known:
        raise InvalidRequest(f"a parameter is unknown; known are {', '.join(sorted(known))}")
    return found


def add_routes(router: APIRouter, dialect: Dialect, *, catalog: Catalog, broker: Broker, clock: Clock) -> None:
    """Add the dialect's routes, each of which parses, asks the broker, and renders.

    To the application's own router: FastAPI hides the routes of an included one from who looks for the methods
    of a path.
    """

    async def answer(request: Request) -> Response:
        try:
            scope = request.scope
            incoming = Incoming(
                scope["path_params"].get("name"), scope["query_string"].decode("latin-1"), request.headers
            )
            ask = dialect.parse(incoming, catalog)
            issued = await broker.token(ask.request, min_ttl=ask.min_ttl)
            return dialect.render(ask, issued, int(issued.token.remaining(clock)))
        except BrokerError as error:
            return dialect.render_error(error)
        except Exception as error:  # noqa: BLE001 - a traceback prints what it holds, FastAPI's page another shape
            logger.error("internal error", extra={"error": place_of(error)})  # noqa: TRY400 - as above
            return dialect.render_error(InternalError("internal error"))

    for route in dialect.routes:
        router.add_api_route(
            route.path,
            answer,
            methods=[route.method],
            summary=route.summary,
            tags=[dialect.name],
            operation_id=f"{dialect.name}_{route.method.lower()}{route.path}".translate(_IDENTIFIER),
            response_class=Response,
            responses=dict(route.responses),
            openapi_extra={"parameters": list(route.parameters)},
        )


_IDENTIFIER = str.maketrans("/{}", "___")
