"""The checks that every request passes before any route sees it.

Pure ASGI, outside the web framework: a route added later cannot forget it, and a refused request costs next
to nothing.
"""

import re
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.loopback import is_loopback
from app.core.errors import AccessDenied

_FORWARDING = re.compile(r"x-forwarded.*|forwarded|via|x-real-ip")
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[0-9.]+|[A-Za-z]+))(?::[0-9]{1,5})?")


class Gate:
    """Lets through what may ask for a token; `open_paths` are exact paths that anybody may ask.

    What a request was found to be stands in its state as `admitted`, for routes that tell strangers less.
    """

    def __init__(
        self, app: ASGIApp, *, open_paths: frozenset[str], refuse: Callable[[AccessDenied], ASGIApp]
    ) -> None:
        self._app = app
        self._open_paths = open_paths
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = _refusal(scope)
        scope.setdefault("state", {})["admitted"] = refusal is None
        if refusal is None or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
        else:
            await self._refuse(refusal)(scope, receive, send)


def _refusal(scope: Scope) -> AccessDenied | None:
    headers = Headers(scope=scope)
    # A page whose host name has been rebound to loopback is of the same origin, and may add any header: but it
    # cannot choose its Host. The port is whatever a tunnel or a published port makes of it.
    if len(headers.getlist("host")) != 1 or not _is_for_loopback(headers["host"]):
        return AccessDenied("the Host header must be a loopback name or address, once")
    # A browser says so when another page asks.
    if "origin" in headers or not {"none"}.issuperset(headers.getlist("sec-fetch-site")):
        return AccessDenied("web pages may not ask")
    # A proxy that forwards is asked by others than those the listener is for.
    if any(map(_FORWARDING.fullmatch, headers.keys())):
        return AccessDenied("forwarded requests are not answered")
    # A server tricked into fetching a URL cannot add a header; every Azure SDK sends this one to IMDS, some as
    # "True".
    if [value.strip(" \t").lower() for value in headers.getlist("metadata")] != ["true"]:
        return AccessDenied('add the header "Metadata: true"')
    return None


def _is_for_loopback(host: str) -> bool:
    name = _HOST.fullmatch(host)
    return name is not None and is_loopback(name["v6"] or name["name"])
