"""The checks that every request passes before any route sees it.

Pure ASGI, outside the web framework: a route added later cannot forget it, and a refused request costs next
to nothing.
"""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import AccessDenied


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
    # Neither a page in a browser (without a preflight that is never granted) nor a server tricked into fetching
    # a URL can add a header; every Azure SDK sends this one to IMDS, some as "True".
    values = [value for name, value in scope["headers"] if name == b"metadata"]
    if len(values) == 1 and values[0].lower() == b"true":
        return None
    return AccessDenied('add the header "Metadata: true"')
