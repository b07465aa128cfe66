"""Runs ASGI applications on bound sockets until SIGINT or SIGTERM, several under one set of signals."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn
import uvloop
from starlette.types import ASGIApp

_OPTIONS: dict[str, Any] = {
    "http": "httptools",
    "ws": "none",
    "lifespan": "on",
    "log_config": None,
    "access_log": False,  # it would print the query
    "server_header": False,
    "proxy_headers": False,  # X-Forwarded-For must not change who asks
    "timeout_keep_alive": 75,  # longer than clients keep idle connections, so that they close first
    "timeout_graceful_shutdown": 10,
}


@dataclass(frozen=True, slots=True)
class Served:
    """An application and its sockets; `options` are further options of uvicorn (TLS files, say)."""

    app: ASGIApp
    sockets: Sequence[socket.socket]
    options: dict[str, Any] = field(default_factory=dict)


def run(served: Sequence[Served], *, on_up: Callable[[], None]) -> int:
    """Serve until told to stop; `on_up` is called once all are listening.

    Returns the exit status, which is 1 where one of them did not come up.

    A clean stop is a return: unlike uvicorn's own run, which ends the process by the signal it got.
    """
    return 0 if uvloop.run(_run(served, on_up)) else 1


class _Server(uvicorn.Server):
    """A server that leaves the process's signals alone and says when it listens."""

    def __init__(self, served: Served) -> None:
        super().__init__(uvicorn.Config(served.app, **{**_OPTIONS, **served.options}))
        self.up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets=sockets)
        except SystemExit:  # uvicorn's word for an application that does not start; the others must still end
            self.should_exit = True
        else:
            self.up.set()


async def _run(served: Sequence[Served], on_up: Callable[[], None]) -> bool:
    servers = {_Server(one): list(one.sockets) for one in served}

    def stop() -> None:
        for server in servers:
            server.force_exit = server.should_exit  # a second signal means it
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    running = [asyncio.create_task(server.serve(sockets=sockets)) for server, sockets in servers.items()]
    starting = asyncio.create_task(_all_up(servers))
    await asyncio.wait([starting, *running], return_when=asyncio.FIRST_COMPLETED)
    came_up = starting.done()
    if came_up:
        on_up()
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    starting.cancel()
    for server in servers:
        server.should_exit = True  # one without the others is of no use
    await asyncio.gather(*running)
    return came_up


async def _all_up(servers: Iterable[_Server]) -> None:
    for server in servers:
        await server.up.wait()
