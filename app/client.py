"""Asking a running broker, over TCP or a Unix socket, with nothing but the standard library.

The container's health check runs this every few seconds; it must not cost the start of a web framework.
"""

import http.client
import json
import socket
from urllib.parse import quote, urlencode, urlsplit

DEFAULT_URL = "http://127.0.0.1:7575"
TIMEOUT_SECONDS = 15.0  # longer than the broker lets a caller wait for a first token


class AskError(Exception):
    """The broker could not be reached, or answered with an error. The message is for a person."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def token(url: str, name: str | None, *, style: str = "text", min_ttl: int = 0) -> str:
    """Return the token called `name`, or the only one, in the native dialect's form `style`."""
    path = f"/token/{quote(name, safe='')}" if name else "/token"
    options = {"format": style, **({"min_ttl": str(min_ttl)} if min_ttl else {})}
    status, body = _get(url, f"{path}?{urlencode(options)}", TIMEOUT_SECONDS)
    if status != http.client.OK:
        raise AskError(_explained(status, body))
    return body


def is_healthy(url: str, timeout: float) -> bool:
    """Whether the broker's `/healthz` says so within `timeout` seconds."""
    try:
        status, _ = _get(url, "/healthz", timeout)
    except AskError:
        return False
    return status == http.client.OK


def _get(url: str, path: str, timeout: float) -> tuple[int, str]:
    connection = _connection(url, timeout)
    try:
        connection.request("GET", path, headers={"Metadata": "true"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise AskError(f"no broker answers at {url}: {reason}") from None
    finally:
        connection.close()


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    if url.startswith("unix:"):
        return _UnixConnection(url.removeprefix("unix:").removeprefix("//"), timeout)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or http.client.HTTP_PORT
    except ValueError:
        host, port = None, 0
    if not host or not url.startswith("http://") or "@" in url:
        raise AskError("the URL is neither http://HOST:PORT nor unix:/PATH")
    return http.client.HTTPConnection(host, port, timeout=timeout)


def _explained(status: int, body: str) -> str:
    try:
        problem = json.loads(body)
        parts = (problem.get("aadsts"), problem["detail"])
        text = f"{problem['error']} (HTTP {status}): {' '.join(part for part in parts if part)}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"HTTP {status}, and not from a token broker"
    # Whatever listens there writes to this terminal.
    return "".join(character if character.isprintable() else "?" for character in text)
