"""What clients asked, kept for whoever tests a client; without anything that would let one in.

Headers, form and query values are recorded by a list of names known to be harmless, not by a list of secret ones:
a client that misspells `client_secret` must not have it recorded.
"""

import re
import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from app.emulator.credentials import presented

MAX_REQUESTS = 10_000
REDACTED = "[redacted]"
_HARMLESS = frozenset(
    (
        "api-version",
        "authorization_endpoint",
        "claims",
        "client_assertion_type",
        "client_id",
        "client_info",
        "grant_type",
        "mi_res_id",
        "msi_res_id",
        "object_id",
        "principal_id",
        "resource",
        "scope",
    )
)
_HARMLESS_HEADERS = re.compile(
    r"accept(-encoding)?|connection|content-(length|type)|host|metadata|user-agent"
    r"|(return-)?client-request-id|x-client-(cpu|current-telemetry|last-telemetry|os|sku|ver)|x-ms-lib-capability"
)
# Anything else in the place of a name may be a body of another format, secrets and all.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,40}")


@dataclass(slots=True)
class RecordedRequest:
    """One request. `status` is None while it is unanswered, for ever if its connection was dropped.

    `authentication` is the client authentication method: `client_secret_post`, `client_secret_basic`,
    `private_key_jwt`, `federated` or `none`. An assertion's header and claims are kept, its signature is not.
    """

    kind: str
    method: str
    path: str
    time: float
    headers: dict[str, str]
    query: dict[str, str]
    form: dict[str, str]
    authentication: str = "none"
    assertion_header: dict[str, Any] | None = None
    assertion_claims: dict[str, Any] | None = None
    status: int | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def record(
    kind: str,
    method: str,
    path: str,
    time: float,
    headers: dict[str, str],
    query: dict[str, str],
    form: dict[str, str],
) -> RecordedRequest:
    """Make a recording of a request given as it came."""
    credentials = presented(form, headers.get("authorization", ""))
    assertion = credentials.assertion
    return RecordedRequest(
        kind=kind,
        method=method,
        path=path,
        time=time,
        headers={
            name: value if _HARMLESS_HEADERS.fullmatch(name) else REDACTED for name, value in headers.items()
        },
        query=_redacted(query),
        form=_redacted(form),
        authentication=credentials.method,
        assertion_header=assertion.header if assertion else None,
        assertion_claims=assertion.claims if assertion else None,
    )


def _redacted(fields: dict[str, str]) -> dict[str, str]:
    return {
        name if _NAME.fullmatch(name) else REDACTED: value if name in _HARMLESS else REDACTED
        for name, value in fields.items()
    }


class Recorder:
    """The last 10,000 requests; used from any thread."""

    def __init__(self) -> None:
        self._requests: deque[RecordedRequest] = deque(maxlen=MAX_REQUESTS)
        self._changed = threading.Condition()

    def add(self, request: RecordedRequest) -> None:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def all(self) -> list[RecordedRequest]:
        with self._changed:
            return list(self._requests)

    def take(self) -> list[RecordedRequest]:
        with self._changed:
            taken = list(self._requests)
            self._requests.clear()
            return taken

    def count(self, kind: str) -> int:
        with self._changed:
            return self._count(kind)

    def wait_for(self, kind: str, count: int, timeout: float) -> bool:
        """Block until that many requests of the kind have come; False if they have not within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count(kind) >= count, timeout)

    def _count(self, kind: str) -> int:
        return sum(request.kind == kind for request in self._requests)
