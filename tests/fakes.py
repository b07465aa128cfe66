"""Small programs that stand in for the outside world: a clock, a source of tokens."""

import asyncio
import queue
import threading
from dataclasses import dataclass, field

from app.core.errors import BrokerError
from app.core.tokens import AccessToken, Clock, TokenRequest


class FakeClock:
    """A clock that stands still until it is advanced; the two readings can be moved apart."""

    def __init__(self) -> None:
        self.wall_now = 1_800_000_000.0
        self.boot_now = 1_000.0

    def wall(self) -> float:
        return self.wall_now

    def boot(self) -> float:
        return self.boot_now

    def advance(self, seconds: float) -> None:
        self.wall_now += seconds
        self.boot_now += seconds


@dataclass
class ScriptedSource:
    """Answers with what was queued, else with a fresh token of `lifetime`, and remembers what was asked.

    While `gate` is cleared every call waits for it: that is how a test holds a fetch under way.
    """

    clock: Clock
    lifetime: int = 3600
    refresh_in: int | None = None
    script: "queue.SimpleQueue[AccessToken | Exception]" = field(default_factory=queue.SimpleQueue)
    requests: list[TokenRequest] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    started: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def acquire(
        self,
        request: TokenRequest,
        *,
        claims: str | None = None,  # noqa: ARG002 - part of the protocol
        correlation_id: str | None = None,  # noqa: ARG002 - part of the protocol
    ) -> AccessToken:
        self.requests.append(request)
        serial = len(self.requests)
        wall, boot = self.clock.wall(), self.clock.boot()
        self.started.set()
        assert self.gate.wait(30), "the test never opened the gate"
        try:
            scripted = self.script.get_nowait()
        except queue.Empty:
            return AccessToken(
                value=f"token-{serial}-{request.scope}",
                expires_on=int(wall) + self.lifetime,
                expires_boot=boot + self.lifetime,
                lifetime=self.lifetime,
                refresh_in=self.refresh_in,
            )
        if isinstance(scripted, Exception):
            raise scripted
        return scripted

    def fail(self, *errors: BrokerError | Exception) -> None:
        for error in errors:
            self.script.put(error)


async def landed() -> None:
    """Wait until no fetch of any broker is under way."""
    flights = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == "_fly"]
    await asyncio.gather(*flights)
