"""The one exception tree. Errors carry facts; which HTTP status they become is decided in dialects/base.py.

    BrokerError
    ├─ RequestError              the caller's doing: asking again the same way will not help
    │  ├─ InvalidRequest           malformed, unknown, duplicate or contradictory parameters
    │  ├─ UnknownToken             no configured token has this name
    │  └─ AccessDenied             the gate refused the request
    └─ UpstreamError             no token could be had
       ├─ CredentialError          our secret, key or assertion cannot be read or used
       ├─ CredentialRejected       the authority does not accept our credential or application
       ├─ ScopeRejected            the authority does not know the resource or scope
       ├─ Throttled                the authority told us to wait
       ├─ Unavailable              the authority cannot be reached, or does not answer as one does
       └─ InternalError            a bug of ours

A message is written by us, whole: it never holds text from upstream or from the caller, because either
may hold a secret, and because callers print it.
"""

import traceback
from typing import Self


class BrokerError(Exception):
    """Anything the broker tells a caller instead of a token."""


class RequestError(BrokerError):
    """The request cannot be answered as it stands."""


class InvalidRequest(RequestError):  # noqa: N818 - the names are what the error codes on the wire say
    """A parameter is malformed, unknown, duplicate, or contradicts another."""


class UnknownToken(RequestError):  # noqa: N818 - as above
    """No configured token has the name asked for."""


class AccessDenied(RequestError):  # noqa: N818 - as above
    """The request did not pass the gate."""


class UpstreamError(BrokerError):
    """The authority gave no token.

    `aadsts` is the number of Entra's AADSTS code, `correlation_id` the GUID to quote to Microsoft support,
    `retry_after` the seconds before anything can have changed; each is None where it is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        aadsts: int | None = None,
        correlation_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.aadsts = aadsts
        self.correlation_id = correlation_id
        self.retry_after = retry_after

    @property
    def with_code(self) -> str:
        """The message, and the AADSTS code where there is one: what people look up."""
        return f"{self} (AADSTS{self.aadsts})" if self.aadsts else str(self)

    def again(self, retry_after: float | None) -> Self:
        """Return an equal error: one object raised to many callers would collect all their tracebacks."""
        return type(self)(
            str(self), aadsts=self.aadsts, correlation_id=self.correlation_id, retry_after=retry_after
        )


class CredentialError(UpstreamError):
    """The credential cannot be read or used, so nothing was asked of the authority."""


class CredentialRejected(UpstreamError):  # noqa: N818 - as above
    """The authority refused the credential or the application."""


class ScopeRejected(UpstreamError):  # noqa: N818 - as above
    """The authority refused the scope or its resource."""


class Throttled(UpstreamError):  # noqa: N818 - as above
    """The authority asked us to wait."""


class Unavailable(UpstreamError):  # noqa: N818 - as above
    """The authority could not be reached in time, failed, or answered what no authority answers."""


class InternalError(UpstreamError):
    """A bug of ours. The message says what and where, not what it said."""


def place_of(error: BaseException) -> str:
    """Return what and where an exception is, without its text: that is somebody else's, and may hold a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].name}:{frames[-1].lineno}" if frames else type(error).__name__
