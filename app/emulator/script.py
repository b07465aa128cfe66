"""Answers put in the emulator's mouth: throttling, outages, garbage, silence, a dropped connection."""

import json
import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.emulator.errors import is_known

KINDS = frozenset({"token", "discovery", "instance", "jwks", "imds"})
MAX_DELAY_SECONDS = 600
_STATUSES = range(200, 600)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+: [\x20-\x7e]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedResponse:
    """What the next request of a `kind` gets.

    With a `status`: that status, these headers and this body (an object or list is sent as JSON, text and
    bytes as they are). With `aadsts`: Entra's answer of that code, plus these headers. With `drop`: no answer,
    the connection is reset. With none of them: the emulator's own answer. All of it `delay` seconds late, and
    not before `until` is set.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = field(default=b"", repr=False)  # may be a token
    aadsts: int | None = None
    drop: bool = False
    delay: float = 0
    until: threading.Event | None = None
    kind: str = "token"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(sorted(KINDS))}")
        if [self.status is not None, self.aadsts is not None, self.drop].count(True) > 1:
            raise ValueError("status, aadsts and drop exclude each other")
        if self.status is not None and self.status not in _STATUSES:
            raise ValueError("status must be from 200 to 599")
        if self.aadsts is not None and not is_known(self.aadsts):
            raise ValueError("the emulator has no text for this aadsts code")
        if not 0 <= self.delay <= MAX_DELAY_SECONDS:
            raise ValueError(f"delay must be from 0 to {MAX_DELAY_SECONDS} seconds")
        if not all(_HEADER.fullmatch(f"{name}: {value}") for name, value in self.headers.items()):
            raise ValueError("headers must be printable ASCII, their names tokens")
        if self.status is None and self.body:
            raise ValueError("a body needs a status")

    @property
    def is_own_answer(self) -> bool:
        return self.status is None and self.aadsts is None and not self.drop

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str):
            return self.body.encode()
        return json.dumps(self.body).encode()

    def content_type(self) -> str:
        text = isinstance(self.body, str | bytes)
        return "text/html; charset=utf-8" if text else "application/json; charset=utf-8"


_TYPES: dict[str, tuple[type, ...]] = {
    "status": (int,),
    "headers": (dict,),
    "body": (dict, list, str),
    "aadsts": (int,),
    "drop": (bool,),
    "delay": (int, float),
    "kind": (str,),
}


def parse_scripted(value: object) -> ScriptedResponse:
    """Read one from the control interface's JSON; raises ValueError saying what is wrong with it."""
    if not isinstance(value, dict):
        raise ValueError("a response must be an object")  # noqa: TRY004 - one exception for all of them
    for name, member in value.items():
        if name not in _TYPES:
            raise ValueError(f"a response may have {', '.join(_TYPES)}")
        # `type`, for a bool is an int to isinstance.
        if type(member) not in _TYPES[name]:
            raise ValueError(f"{name} must be {' or '.join(kind.__name__ for kind in _TYPES[name])}")
    if not all(isinstance(text, str) for text in value.get("headers", {}).values()):
        raise ValueError("headers must be an object of strings")
    return ScriptedResponse(**value)


class Script:
    """The scripted responses, first in first out for each kind; used from any thread."""

    def __init__(self) -> None:
        self._responses: deque[ScriptedResponse] = deque()
        self._lock = threading.Lock()

    def add(self, *responses: ScriptedResponse) -> None:
        with self._lock:
            self._responses.extend(responses)

    def take(self, kind: str) -> ScriptedResponse | None:
        with self._lock:
            for response in self._responses:
                if response.kind == kind:
                    self._responses.remove(response)
                    return response
        return None

    def clear(self) -> None:
        with self._lock:
            self._responses.clear()
