"""How the emulator is served: HTTPS, on a uvicorn protocol that can drop a connection.

ASGI has no word for "answer nothing and reset the connection", so the protocol offers it to the application
as an extension of the scope.
"""

import socket
import struct
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.emulator.ca import Certificates

DROP = "emulator.drop"
# SO_LINGER on, with no time to linger: closing then sends RST in place of FIN.
_RESET = struct.pack("ii", 1, 0)


class DroppingProtocol(HttpToolsProtocol):
    """uvicorn's protocol, plus `scope["extensions"]["emulator.drop"]["drop"]()`."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {DROP: {"drop": self._drop}}

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_closing():
            self.transport.abort()  # an idle client answers no TLS close, for which the loop waits half a minute

    def _drop(self) -> None:
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


def server_options(certificates: Certificates) -> dict[str, Any]:
    """Return uvicorn's options that the emulator needs."""
    return {
        "http": DroppingProtocol,
        "ssl_certfile": certificates.certificate,
        "ssl_keyfile": certificates.key,
        "server_header": False,
        "proxy_headers": False,  # the control interface looks at the peer's address
        "timeout_graceful_shutdown": 1,  # a client that waits for a scripted delay must not hold up the end
    }
