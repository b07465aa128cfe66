"""Several servers under one set of signals."""

import signal
import socket
from collections.abc import Callable

import pytest
from servers import loopback_socket
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from app.server.run import Served, run


async def does_not_start(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no"})


def served(app: ASGIApp) -> tuple[Served, socket.socket]:
    listener = loopback_socket()
    return Served(app, [listener]), listener


def running(apps: list[ASGIApp], on_up: Callable[[], None]) -> int:
    pairs = [served(app) for app in apps]
    try:
        return run([one for one, _ in pairs], on_up=on_up)
    finally:
        for _, listener in pairs:
            listener.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_clean_end_of_all(number: signal.Signals) -> None:
    ups = []

    def on_up() -> None:
        ups.append(True)
        signal.raise_signal(number)

    assert running([Starlette(), Starlette()], on_up) == 0
    assert ups == [True]


def test_one_that_does_not_start_ends_the_others() -> None:
    def on_up() -> None:
        raise AssertionError("it did not come up")

    assert running([Starlette(), does_not_start], on_up) == 1
