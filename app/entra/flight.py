"""What getting one token may take: a bound on time that holds for whatever the other side does.

The timeouts of sockets, and urllib3's, are for each read and for each address; these are for the whole flight.
What they do not cover is resolving a name, which takes as long as the system's resolver lets it.
"""

import socket
import ssl
import threading
import time
from typing import Any

from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

CONNECT_SECONDS = 3.0
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


class BoundedSocket(ssl.SSLSocket):
    """A TLS socket whose reads end with the flight.

    A timeout of sockets is for each read: against a server that drips a byte at a time (in a header, a chunk's
    extension, an endless 100 Continue) it would hold for ever.
    """

    def recv_into(self, *arguments: Any, **options: Any) -> int:
        self.settimeout(flight.left(self.gettimeout() or READ_SECONDS))
        return super().recv_into(*arguments, **options)


class BoundedConnection(HTTPSConnection):
    """A connection that is made, whatever the number of addresses, within the flight's time."""

    def _new_conn(self) -> socket.socket:
        # urllib3 gives every address of a name the whole connect timeout; Entra's names have many.
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        failure = OSError()
        for address in dict.fromkeys(str(one[4][0]) for one in found):
            try:
                timeout = flight.left(CONNECT_SECONDS)
                return create_connection((address, self.port), timeout, self.source_address, self.socket_options)
            except OSError as error:
                failure = error
        kind = ConnectTimeoutError if isinstance(failure, TimeoutError) else NewConnectionError
        raise kind(self, "") from failure


class BoundedPool(HTTPSConnectionPool):
    """A pool of such connections."""

    ConnectionCls = BoundedConnection
