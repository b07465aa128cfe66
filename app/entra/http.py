"""The HTTP client MSAL is given: strict about what counts as an answer, and about time and size.

MSAL caches error responses, logs bodies it cannot parse, and loses statuses and Retry-After on the way. None of
that happens when every answer but a 2xx JSON object is raised as an exception instead, which MSAL passes
through and never caches. The exceptions derive from requests.RequestException because that is the class by
which MSAL tells transport failures from its own.
"""

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import proxy_bypass

import requests
import urllib3
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from app.entra.flight import CONNECT_SECONDS, FLIGHT_SECONDS, READ_SECONDS, BoundedPool, BoundedTlsSocket, flight

MAX_ANSWER_BYTES = 1024 * 1024
_CHUNK_BYTES = 64 * 1024

# Nothing is sent twice, nor does urllib3 sleep for a Retry-After: when to try again is the broker's decision.
_NO_RETRIES = urllib3.Retry(
    total=0, connect=0, read=0, redirect=0, status=0, other=0, respect_retry_after_header=False
)

_FAILURES: tuple[tuple[type[HTTPError], str], ...] = (
    (NameResolutionError, "its name cannot be resolved"),
    (NewConnectionError, "no connection can be made"),
    (ConnectTimeoutError, "connecting to it timed out"),  # after its subclass
    (ReadTimeoutError, "it did not answer in time"),
    (SSLError, "the TLS connection failed; is its certificate issued by the configured CA?"),
    (ProxyError, "the proxy could not connect to it"),
)


class Unreachable(requests.ConnectionError):
    """No answer came. The message says why, in our words."""


class TooSlow(Unreachable):
    """No answer came in time; whoever was asked may well be there."""


class BadAnswer(requests.RequestException):
    """An answer came that is not a 2xx JSON object. The body is kept for reading its error code only."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers
        self._body = body

    def fields(self) -> dict[str, Any]:
        """Return the members of the body's JSON object; none where it is not one."""
        return _json_object(self._body) or {}

    def retry_after(self) -> float | None:
        """Return the seconds asked for by Retry-After (RFC 9110 10.2.3: a number or a date)."""
        text = self.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:10])
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx JSON object, in the shape MSAL reads.

    Without headers: MSAL would answer the next requests itself after a success with a Retry-After.
    """

    status_code: int
    text: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    def raise_for_status(self) -> None:
        """Nothing: anything but a success was raised before."""


class StrictClient:
    """An HTTP client for one set of authorities; any number of threads may use it.

    `ca_bundle` replaces the system's certificate authorities, and SSL_CERT_FILE and SSL_CERT_DIR with them.
    `proxy_url` is for https; with `obey_no_proxy`, not for the hosts in the environment's NO_PROXY. Plain HTTP
    never goes through a proxy: only the machine's own metadata endpoint is asked that way. Raises OSError where
    the bundle cannot be loaded.
    """

    def __init__(
        self,
        *,
        ca_bundle: Path | None = None,
        proxy_url: str | None = None,
        obey_no_proxy: bool = False,
        read_seconds: float = READ_SECONDS,
        flight_seconds: float = FLIGHT_SECONDS,
    ) -> None:
        options: dict[str, Any] = {"ssl_context": _tls(ca_bundle), "maxsize": 4, "retries": _NO_RETRIES}
        self._direct = urllib3.PoolManager(**options)
        self._proxied = _through(proxy_url, options) if proxy_url else self._direct
        for manager in (self._direct, self._proxied):
            manager.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": BoundedPool}
        self._proxy_url = proxy_url
        self._obey_no_proxy = obey_no_proxy
        self._read_seconds = read_seconds
        self._flight_seconds = flight_seconds

    @property
    def proxy(self) -> str | None:
        """Host and port of the proxy in use, without the password its URL may hold."""
        return urlsplit(self._proxy_url).netloc.rpartition("@")[2] if self._proxy_url else None

    @contextmanager
    def within_flight(self, correlation_id: str | None = None) -> Iterator[None]:
        """Bound what this thread asks for within the block by one flight's time, and label it."""
        flight.deadline = time.monotonic() + self._flight_seconds
        flight.correlation_id = correlation_id
        try:
            yield
        finally:
            flight.deadline = flight.correlation_id = None

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_ignored: object,
    ) -> Answer:
        """Send a GET; raises Unreachable or BadAnswer. What else MSAL passes does not concern us."""
        return self._send("GET", url, params, headers, None)

    def post(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_ignored: object,
    ) -> Answer:
        """Send a form; raises Unreachable or BadAnswer."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._send("POST", url, params, {**(headers or {}), **form}, urlencode(data or {}))

    def close(self) -> None:
        """Close idle connections."""
        self._direct.clear()
        self._proxied.clear()

    def _send(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: str | None,
    ) -> Answer:
        address = f"{url}{'&' if '?' in url else '?'}{urlencode(params)}" if params else url
        sent = dict(headers or {})
        if flight.correlation_id:
            sent["client-request-id"] = flight.correlation_id
        try:
            status, received, text = self._exchange(method, address, sent, body)
        except TimeoutError:
            raise TooSlow("the authority cannot be reached: it did not answer in time") from None
        except HTTPError as error:
            cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
            # urllib3 counts refused connections among those that timed out.
            slow = isinstance(cause, urllib3.exceptions.TimeoutError) and not isinstance(cause, NewConnectionError)
            kind = TooSlow if slow else Unreachable
            raise kind(f"the authority cannot be reached: {_reason(cause)}") from None
        if not 200 <= status <= 299 or _json_object(text) is None:  # noqa: PLR2004 - the 2xx statuses
            raise BadAnswer(status, received, text)
        return Answer(status, text)

    def _exchange(
        self, method: str, url: str, headers: dict[str, str], body: str | None
    ) -> tuple[int, Mapping[str, str], str]:
        response = self._pool(url).request(
            method,
            url,
            headers=headers,
            body=body,
            redirect=False,  # a credential goes nowhere but where it was meant to go
            preload_content=False,
            timeout=urllib3.Timeout(connect=flight.left(CONNECT_SECONDS), read=flight.left(self._read_seconds)),
        )
        received = bytearray()
        try:
            # As it comes: compression is not asked for, and unpacking has no bound but memory and time.
            while chunk := response.read1(_CHUNK_BYTES, decode_content=False):
                received += chunk
                _check_size(received)
                flight.left(self._read_seconds)
        except BaseException:
            response.close()  # what is unread would be taken for the next answer
            raise
        response.release_conn()
        return response.status, response.headers, received.decode("utf-8", "replace")

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        if parts.scheme != "https" or (self._obey_no_proxy and proxy_bypass(parts.netloc)):
            return self._direct
        return self._proxied


def _tls(ca_bundle: Path | None) -> ssl.SSLContext:
    # Not through requests: there REQUESTS_CA_BUNDLE in the environment would win over our own bundle.
    context = ssl.create_default_context(cafile=ca_bundle)
    # SSLKEYLOGFILE in the environment would write down what it takes to read the secret off the wire.
    context.keylog_filename = None  # type: ignore[assignment]  # typeshed knows no way to turn it off
    context.sslsocket_class = BoundedTlsSocket
    return context


def _through(proxy: str, options: Mapping[str, Any]) -> urllib3.ProxyManager:
    login = urllib3.util.parse_url(proxy).auth
    headers = None
    if login:  # RFC 7617 section 2.1 on the encoding
        headers = urllib3.make_headers(proxy_basic_auth=unquote(login), proxy_basic_auth_encoding="utf-8")
    # The same trust, and the same bounds, for the way to a proxy that is spoken to over TLS.
    return urllib3.ProxyManager(proxy, proxy_headers=headers, proxy_ssl_context=options["ssl_context"], **options)


def _check_size(received: bytearray) -> None:
    if len(received) > MAX_ANSWER_BYTES:
        raise Unreachable("the authority's answer is too large")


def _reason(cause: Exception) -> str:
    text = next((text for kind, text in _FAILURES if isinstance(cause, kind)), "the connection broke")
    system = cause.__cause__
    if isinstance(cause, NewConnectionError) and isinstance(system, OSError) and system.strerror:
        return f"{text}: {system.strerror}"
    return text


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None
