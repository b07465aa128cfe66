"""Binding the sockets we listen on, before the server starts: what cannot be bound is a start-up error.

Only loopback addresses and Unix sockets: there are no callers' keys yet, and whoever reaches an open port is in
effect the application.
"""

import errno
import os
import re
import socket
import stat
from pathlib import Path

from app.access.loopback import is_loopback

UNIX = "unix:"
_TCP = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<v4>[^:\[\]]+)):(?P<port>[0-9]{1,5})")
_MAX_PORT = 65535


def parse_address(text: str) -> tuple[str, int] | Path:
    """Return host and port of `HOST:PORT` or `[IPV6]:PORT`, or the path of `unix:/PATH`.

    Raises ValueError, with the whole fix in its text, for what is not one of these or not loopback.
    """
    if text.startswith(UNIX):
        if not text.startswith(f"{UNIX}/"):
            raise ValueError("the path of a Unix socket must be absolute: unix:/run/token-broker/broker.sock")
        return Path(text.removeprefix(UNIX))
    found = _TCP.fullmatch(text)
    if not found or int(found["port"]) > _MAX_PORT:
        raise ValueError("must be HOST:PORT, [IPV6]:PORT or unix:/PATH")
    host = found["v6"] or found["v4"]
    if not is_loopback(host) or (":" in host) != bool(found["v6"]):
        raise ValueError(
            "this version serves loopback addresses and Unix sockets only: it does not know callers' keys yet,"
            " and without them everyone who reaches another address would get tokens"
        )
    return "127.0.0.1" if host.lower() == "localhost" else host, int(found["port"])


def bind(text: str) -> socket.socket:
    """Bind an address; port 0 is any free one.

    Raises ValueError for an address it refuses, OSError with the address in its text for one that cannot be had.
    """
    address = parse_address(text)
    try:
        return _bind_unix(address) if isinstance(address, Path) else _bind_tcp(*address)
    except OSError as error:
        raise OSError(f"{text}: {error.strerror or error}") from None


def bind_tcp(text: str) -> socket.socket:
    """Bind an address that is not a Unix socket; raises as `bind` does."""
    if text.startswith(UNIX):
        raise ValueError("must be HOST:PORT or [IPV6]:PORT")
    return bind(text)


def url_of(listener: socket.socket) -> str:
    """Return how clients name a bound socket."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{name}"
    return f"http://[{name[0]}]:{name[1]}" if listener.family == socket.AF_INET6 else f"http://{name[0]}:{name[1]}"


def _bind_tcp(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _bind_unix(path: Path) -> socket.socket:
    _clear_stale(path)
    listener = socket.socket(socket.AF_UNIX)
    # 0660 from the first instant: a chmod after the bind leaves a moment in which anybody can connect.
    before = os.umask(0o117)
    try:
        listener.bind(str(path))
        listener.listen()  # at once: until then, another broker would take the socket for a stale one
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _clear_stale(path: Path) -> None:
    """Remove a socket nobody listens on, as a killed broker leaves it. Anything else is not ours to remove."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "exists and is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)  # a full backlog would make it wait
        # Any other answer (no permission, say) does not tell that nobody is there.
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, "is in use")
    path.unlink()
