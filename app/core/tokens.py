"""The values everything else is about: what is asked for, what is obtained, and the time both live in."""

import re
import time
from dataclasses import dataclass, field
from typing import Protocol

from app.core.errors import InvalidRequest

MAX_SCOPE_LENGTH = 512
DEFAULT_SUFFIX = "/.default"
# RFC 6749 section 3.3, scope-token: printable ASCII without space, quote and backslash. A space would make
# two scopes of it, and MSAL treats the empty scope as "any cached token".
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Clock(Protocol):
    """Two readings of the present, in seconds. Tests pass a clock they can advance."""

    def wall(self) -> float:
        """Seconds since the epoch: what goes on the wire. Steps when somebody sets the clock."""

    def boot(self) -> float:
        """Seconds since some moment, counting suspend, never stepping."""


class SystemClock:
    """The machine's clock."""

    # time.monotonic stands still while Linux is suspended, and a token does not; macOS has no such clock to
    # offer, and there its monotonic one is all that is left.
    _BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def wall(self) -> float:
        return time.time()

    def boot(self) -> float:
        return time.clock_gettime(self._BOOT)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Which token is meant: the cache key and the single-flight key. Options such as `min_ttl` are not in it.

    `identity` is the configured name of an app registration, `tenant` the tenant id or domain to ask
    (empty for an OIDC issuer), `scope` exactly one scope, spelled as it is sent.
    """

    identity: str
    tenant: str
    scope: str


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token as obtained. `expires_on` and `expires_boot` are the same moment on the two clocks.

    Both are counted from before the request was sent, so they err on the early side. `lifetime` and
    `refresh_in` are seconds, as the authority said.
    """

    value: str = field(repr=False)
    expires_on: int
    expires_boot: float
    lifetime: int
    refresh_in: int | None = None

    def remaining(self, clock: Clock) -> float:
        """Return the seconds left: the smaller of what the two clocks say.

        So neither a wall clock set back nor a suspended machine makes an expired token look alive.
        """
        return min(self.expires_on - clock.wall(), self.expires_boot - clock.boot())


class TokenSource(Protocol):
    """Where tokens come from."""

    def acquire(
        self, request: TokenRequest, *, claims: str | None = None, correlation_id: str | None = None
    ) -> AccessToken:
        """Ask the authority once and block until it has answered. Raises UpstreamError and nothing else.

        `claims` is the JSON text of a claims challenge; `correlation_id` a GUID that the authority will log.
        """


def parse_scope(text: str) -> str:
    """Return `text` if it is exactly one scope; no letter of it is changed, for scopes are case-sensitive."""
    if not text:
        raise InvalidRequest("the scope is empty")
    if len(text) > MAX_SCOPE_LENGTH:
        raise InvalidRequest(f"the scope is longer than {MAX_SCOPE_LENGTH} characters")
    if any(character.isspace() for character in text):
        raise InvalidRequest("exactly one scope can be asked for at a time")
    if not _SCOPE.fullmatch(text):
        raise InvalidRequest("the scope has a character that scopes cannot have")
    return text


def scope_of(resource: str) -> str:
    """Return the scope that stands for a v1 resource.

    A trailing slash is kept: `https://management.azure.com/` becomes `https://management.azure.com//.default`,
    because Entra copies what precedes `/.default` into the token's audience.
    """
    return parse_scope(
        resource if not resource or resource.endswith(DEFAULT_SUFFIX) else resource + DEFAULT_SUFFIX
    )


def resource_of(scope: str) -> str:
    """Return the resource a scope is for, without one trailing slash: the spelling scopes are compared by."""
    return scope.removesuffix(DEFAULT_SUFFIX).removesuffix("/")


def is_guid(text: str) -> bool:
    """Whether `text` has the form of a tenant id or a correlation id."""
    return _GUID.fullmatch(text) is not None
