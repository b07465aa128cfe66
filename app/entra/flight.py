"""What getting one token may take: a bound on time that holds for whatever the other side does.

The timeouts of sockets, and urllib3's, are for each read and for each address; these are for the whole flight.
What they do not cover is resolving a name, which takes as long as the system's resolver lets it.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterable
from itertools import chain, zip_longest
from typing import Any

from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

CONNECT_SECONDS = 3.0  # for one address
MIN_CONNECT_SECONDS = 0.5
ALL_CONNECTS_SECONDS = 6.0  # for all addresses of a name, which leaves time to ask the one that answers
READ_SECONDS = 8.0
FLIGHT_SECONDS = 9.0  # everything one token costs, discovery included


class Flight(threading.local):
    """What this thread's requests are bounded by, and labelled with."""

    deadline: float | None = None
    correlation_id: str | None = None

    def left(self, most: float) -> float:
        """Return the seconds a step may still take, `most` at the most; raises TimeoutError when time is up."""
        left = most if self.deadline is None else min(most, self.deadline - time.monotonic())
        if left <= 0:
            raise TimeoutError
        return left


flight = Flight()


class _Bounded:
    """Reads that end with the flight.

    A timeout of sockets is for each read: against a server that drips a byte at a time (in a header, a chunk's
    extension, an endless 100 Continue) it would hold for ever.
    """

    def recv(self: Any, *arguments: Any) -> Any:
        self.settimeout(flight.left(self.gettimeout() or READ_SECONDS))
        return super().recv(*arguments)  # type: ignore[misc]  # of the socket class this is mixed into

    def recv_into(self: Any, *arguments: Any) -> Any:
        self.settimeout(flight.left(self.gettimeout() or READ_SECONDS))
        return super().recv_into(*arguments)  # type: ignore[misc]  # as above


class BoundedTcpSocket(_Bounded, socket.socket):
    """What a proxy answers to CONNECT is read from this one."""


class BoundedTlsSocket(_Bounded, ssl.SSLSocket):
    """What an authority answers is read from this one."""


class BoundedConnection(HTTPSConnection):
    """A connection that is made, whatever the number of addresses, within the flight's time."""

    def _new_conn(self) -> socket.socket:
        # urllib3 gives every address of a name the whole connect timeout; Entra's names have many.
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        failure = OSError()
        addresses = _by_turns(found)
        share = max(MIN_CONNECT_SECONDS, min(CONNECT_SECONDS, ALL_CONNECTS_SECONDS / max(len(addresses), 1)))
        for address in addresses:
            try:
                timeout = flight.left(share)
                made = create_connection((address, self.port), timeout, self.source_address, self.socket_options)
            except OSError as error:
                failure = error
            else:
                bounded = BoundedTcpSocket(fileno=made.detach())
                bounded.settimeout(timeout)
                return bounded
        kind = ConnectTimeoutError if isinstance(failure, TimeoutError) else NewConnectionError
        raise kind(self, "") from failure


def _by_turns(found: Iterable[tuple[Any, ...]]) -> list[str]:
    """Return the addresses of a name, the families by turns (RFC 8305 section 4): one may not work at all."""
    families: dict[int, list[str]] = {}
    for family, *_, address in found:
        families.setdefault(family, []).append(str(address[0]))
    turns = chain.from_iterable(zip_longest(*families.values()))
    return list(dict.fromkeys(address for address in turns if address is not None))


class BoundedPool(HTTPSConnectionPool):
    """A pool of such connections."""

    ConnectionCls = BoundedConnection
