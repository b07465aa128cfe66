"""Binding the sockets we listen on, before the server starts: what cannot be bound is a start-up error.

Only loopback addresses and Unix sockets: there are no callers' keys yet, and whoever reaches an open port is in
effect the application.
"""

import errno
import ipaddress
import os
import socket
import stat
from pathlib import Path

UNIX = "unix:"


def bind(address: str) -> socket.socket:
    """Bind `host:port` (port 0: any free one) or `unix:/path`.

    Raises ValueError for an address it refuses, OSError with the address in it for one that cannot be had.
    """
    try:
        if address.startswith(UNIX):
            return _bind_unix(Path(address.removeprefix(UNIX)))
        return _bind_loopback(address)
    except OSError as error:
        raise OSError(error.errno, error.strerror, address) from None


def url_of(listener: socket.socket) -> str:
    """Return how clients name a bound socket."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{name}"
    return f"http://[{name[0]}]:{name[1]}" if listener.family == socket.AF_INET6 else f"http://{name[0]}:{name[1]}"


def _bind_loopback(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    if not _is_loopback(host) or not port.isdecimal():
        raise ValueError(f"{address} is neither a loopback HOST:PORT nor unix:/PATH")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
    except OSError:
        listener.close()
        raise
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
        raise OSError(errno.EEXIST, "exists and is not a socket", str(path))
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)  # a full backlog would make it wait
        # Any other answer (no permission, say) does not tell that nobody is there.
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, "is in use", str(path))
    path.unlink()
