"""Is it alive, and can it serve: three questions that orchestrators ask, with no credential.

They differ because the answers cost differently. A restart throws the cache away, and in an outage of the
authority the cache is all there is: so liveness never depends on the authority, and `/healthz`, on which Docker
and Swarm replace a container, only waits for the first readiness.
"""

import json
from collections.abc import Iterable

from fastapi import APIRouter, Request, Response

from app.core.broker import Broker
from app.core.catalog import ConfiguredToken
from app.core.tokens import TokenRequest

PATHS = frozenset({"/livez", "/readyz", "/healthz"})
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def add_routes(router: APIRouter, tokens: Iterable[ConfiguredToken], broker: Broker) -> None:
    """Add the health routes.

    Required tokens must be kept warm: one that is fetched only when somebody asks keeps the broker unready.
    """
    required = {token.name: token.request for token in tokens if token.required}

    async def livez() -> Response:
        """200 as long as the process turns."""
        return _word(ok=True)

    async def readyz(request: Request) -> Response:
        """200 while every required token can be handed out; with `Metadata: true`, the reasons as JSON."""
        reasons = {name: _reason(broker, wanted) for name, wanted in required.items()}
        ready = not any(reasons.values())
        if not getattr(request.state, "admitted", False):
            return _word(ok=ready)
        body = json.dumps({"ready": ready, "tokens": {name: why or "ok" for name, why in reasons.items()}})
        return Response(body, 200 if ready else 503, media_type="application/json", headers=_HEADERS)

    async def healthz() -> Response:
        """200 once every required token has been obtained, and from then on for ever."""
        return _word(ok=all(broker.obtained(request) for request in required.values()))

    for path, endpoint in (("/livez", livez), ("/readyz", readyz), ("/healthz", healthz)):
        router.add_api_route(path, endpoint, methods=["GET"], response_class=Response, tags=["health"])
        router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)  # wget --spider


def _reason(broker: Broker, request: TokenRequest) -> str | None:
    if broker.servable(request):
        return None
    failure = broker.failure(request)
    if failure is None:
        return "expired, and being renewed" if broker.obtained(request) else "not fetched yet"
    return failure.with_code


def _word(*, ok: bool) -> Response:
    return Response("ok\n" if ok else "unready\n", 200 if ok else 503, media_type="text/plain", headers=_HEADERS)
