"""The HTTP client MSAL is given: strict about what counts as an answer, and about time and size.

MSAL caches error responses, logs bodies it cannot parse, and loses statuses and Retry-After on the way. None of
that happens when every answer but a 2xx JSON object is raised as an exception instead, which MSAL passes
through and never caches. The exceptions derive from requests.RequestException because that is the class by
which MSAL tells transport failures from its own.
"""

import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import requests
import urllib3
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

CONNECT_SECONDS = 3.0
READ_SECONDS = 8.0
FLIGHT_SECONDS = 9.0  # everything one token costs, discovery included
MAX_ANSWER_BYTES = 1024 * 1024
_CHUNK_BYTES = 64 * 1024

_FAILURES: tuple[tuple[type[HTTPError], str], ...] = (
    (NameResolutionError, "its name cannot be resolved"),
    (ReadTimeoutError, "it did not answer in time"),
    (SSLError, "the TLS connection failed; is its certificate issued by the configured CA?"),
    (ProxyError, "the proxy could not connect to it"),
    (NewConnectionError, "the connection was refused"),
    (ConnectTimeoutError, "connecting to it timed out"),  # after its subclass
    (HTTPError, "the connection broke"),
)


class Unreachable(requests.ConnectionError):
    """No answer came. The message says why, in our words."""


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

    `ca_bundle` and `proxy_url` replace whatever the environment says; without them SSL_CERT_FILE, HTTPS_PROXY
    and NO_PROXY hold. Plain HTTP never goes through a proxy: only the machine's own metadata endpoint is asked
    that way. Raises OSError where the bundle cannot be loaded.
    """

    def __init__(
        self,
        *,
        ca_bundle: Path | None = None,
        proxy_url: str | None = None,
        read_seconds: float = READ_SECONDS,
        flight_seconds: float = FLIGHT_SECONDS,
    ) -> None:
        # Not requests: REQUESTS_CA_BUNDLE in the environment would win over our own bundle there.
        context = ssl.create_default_context(cafile=ca_bundle)
        options: dict[str, Any] = {"ssl_context": context, "maxsize": 4, "retries": _RETRIES}
        self._direct = urllib3.PoolManager(**options)
        self._by_environment = proxy_url is None
        proxy = proxy_url or getproxies_environment().get("https")
        self._proxy = proxy if not proxy or "://" in proxy else f"http://{proxy}"
        self._proxied = _through(self._proxy, options) if self._proxy else self._direct
        self._read_seconds = read_seconds
        self._flight_seconds = flight_seconds
        self._flight = threading.local()

    @property
    def proxy(self) -> str | None:
        """Host and port of the proxy in use, without the password its URL may hold."""
        return urlsplit(self._proxy).netloc.rpartition("@")[2] if self._proxy else None

    @contextmanager
    def flight(self, correlation_id: str | None = None) -> Iterator[None]:
        """Bound what this thread asks for within the block by one flight's time, and label it."""
        self._flight.deadline = time.monotonic() + self._flight_seconds
        self._flight.correlation_id = correlation_id
        try:
            yield
        finally:
            del self._flight.deadline, self._flight.correlation_id

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
        if correlation_id := getattr(self._flight, "correlation_id", None):
            sent["client-request-id"] = correlation_id
        try:
            status, received, text = self._exchange(method, address, sent, body)
        except HTTPError as error:
            raise Unreachable(f"the authority cannot be reached: {_reason(error)}") from None
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
            timeout=urllib3.Timeout(
                connect=min(CONNECT_SECONDS, self._left()), read=min(self._read_seconds, self._left())
            ),
        )
        received = bytearray()
        try:
            while chunk := response.read1(_CHUNK_BYTES, decode_content=True):
                received += chunk
                _check_size(received)
                self._left()
        except BaseException:
            response.close()  # what is unread would be taken for the next answer
            raise
        response.release_conn()
        return response.status, response.headers, received.decode("utf-8", "replace")

    def _left(self) -> float:
        deadline = getattr(self._flight, "deadline", None)
        left = self._flight_seconds if deadline is None else float(deadline - time.monotonic())
        if left <= 0:
            raise Unreachable("the authority cannot be reached: it did not answer in time")
        return left

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        if parts.scheme != "https" or (self._by_environment and proxy_bypass(parts.netloc)):
            return self._direct
        return self._proxied


# Connecting is tried twice; a request that was sent is not sent again, nor does urllib3 sleep for a Retry-After.
_RETRIES = urllib3.Retry(
    total=1, connect=1, read=0, redirect=0, status=0, other=0, respect_retry_after_header=False
)


def _through(proxy: str, options: Mapping[str, Any]) -> urllib3.ProxyManager:
    login = urllib3.util.parse_url(proxy).auth
    headers = urllib3.make_headers(proxy_basic_auth=unquote(login)) if login else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


def _check_size(received: bytearray) -> None:
    if len(received) > MAX_ANSWER_BYTES:
        raise Unreachable("the authority's answer is too large")


def _reason(error: HTTPError) -> str:
    cause: object = error.reason if isinstance(error, MaxRetryError) else error
    return next((text for kind, text in _FAILURES if isinstance(cause, kind)), "the connection broke")


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None
