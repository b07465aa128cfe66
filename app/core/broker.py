"""Serve each token from memory, and ask the authority once however many callers are waiting.

A token that is due for renewal is still valid, so callers get it at once while one renewal runs behind them;
they wait only when there is nothing to hand out. Every fetch is a task of the broker's own: a caller that
hangs up cancels nothing, and no failure goes unseen.
"""

import asyncio
import logging
import math
import random
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from app.core import schedule
from app.core.errors import (
    CredentialRejected,
    InternalError,
    InvalidRequest,
    ScopeRejected,
    Unavailable,
    UpstreamError,
    place_of,
)
from app.core.tokens import AccessToken, Clock, TokenRequest, TokenSource

logger = logging.getLogger(__name__)

COLD_WAIT = 10.0  # how long a caller waits for a first token
FLIGHT_LIMIT = 12.0  # how long a fetch may take, waiting for a thread included: a source is bounded by its own 9 s
TICK = 5.0  # how often renewals are looked for: a resumed machine is noticed within this
IDLE = 7200.0  # a token nobody asked for this long (and for two lifetimes) is no longer renewed
THREADS = 4  # for each authority, so that one that swallows connections starves no other
MAX_ENTRIES = 1024  # besides the kept ones


@dataclass(frozen=True, slots=True)
class Issued:
    """A token for a caller, and whether it came from memory."""

    token: AccessToken
    hit: bool


@dataclass(slots=True)
class _Entry:
    """What is known of one request. Times are on the boot clock."""

    asked_at: float
    token: AccessToken | None = None
    renew_at: float = -math.inf
    flight: asyncio.Task[None] | None = None
    sent_at: float = -math.inf
    failures: int = 0
    error: UpstreamError | None = None
    retry_at: float = -math.inf


class Broker:
    """The cache, and the only caller of `source`.

    `authorities` names the authority of each identity; `kept` are the requests to fetch at start and to keep
    fresh for ever. Use it from one event loop, between `start` and `close`.
    """

    def __init__(
        self,
        source: TokenSource,
        *,
        clock: Clock,
        authorities: Mapping[str, str],
        kept: Iterable[TokenRequest] = (),
        draw: Callable[[], float] = random.random,
        cold_wait: float = COLD_WAIT,
        flight_limit: float = FLIGHT_LIMIT,
    ) -> None:
        self._source = source
        self._clock = clock
        self._authorities = authorities
        self._kept = frozenset(kept)
        self._draw = draw
        self._cold_wait = cold_wait
        self._flight_limit = flight_limit
        self._entries: dict[TokenRequest, _Entry] = {}
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._ticking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to fetch and to renew. Returns at once: being up does not depend on the authority."""
        for request in self._kept:
            self._entry(request)
        self._ticking = asyncio.create_task(self._tick_forever())

    async def close(self) -> None:
        """Stop renewing, and abandon what is under way."""
        tasks = [self._ticking, *(entry.flight for entry in self._entries.values())]
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    async def token(self, request: TokenRequest, *, min_ttl: int = 0) -> Issued:
        """Return a token with at least `min_ttl` seconds left.

        Raises UpstreamError where there is none to hand out, with the wait in `retry_after`, and
        InvalidRequest where `min_ttl` is more than a fresh token has. On account of `min_ttl` the authority
        is asked at most once a minute.
        """
        entry = self._entry(request)
        token = entry.token
        if token is None or not self._servable(token):
            issued = Issued(await self._fetched(request, entry), hit=False)
        else:
            if self._due(entry):
                self._launch(request, entry)
            issued = Issued(token, hit=True)
        if min_ttl > schedule.longest_ttl(issued.token.lifetime):
            raise InvalidRequest("min_ttl is more than a fresh token has")
        if issued.token.remaining(self._clock) < min_ttl:
            return await self._lasting(request, entry, min_ttl)
        return issued

    def servable(self, request: TokenRequest) -> bool:
        """Whether a token could be handed out now."""
        entry = self._entries.get(request)
        return entry is not None and entry.token is not None and self._servable(entry.token)

    def obtained(self, request: TokenRequest) -> bool:
        """Whether there has ever been a token, expired by now or not."""
        entry = self._entries.get(request)
        return entry is not None and entry.token is not None

    def failure(self, request: TokenRequest) -> UpstreamError | None:
        """Return why the last attempt failed; None after a success and before the first attempt."""
        entry = self._entries.get(request)
        return entry.error if entry else None

    def tick(self) -> None:
        """Start the renewals that are due, and forget what nobody asks for."""
        now = self._clock.boot()
        for request, entry in list(self._entries.items()):
            lifetime = entry.token.lifetime if entry.token else 0
            if request not in self._kept and now - entry.asked_at > max(2 * lifetime, IDLE):
                del self._entries[request]
            elif self._due(entry) and (entry.token or request in self._kept):
                self._launch(request, entry)

    async def _tick_forever(self) -> None:
        while True:
            try:
                self.tick()
            except Exception as bug:  # noqa: BLE001 - renewal must not end, unseen, with one bug
                logger.error("internal error", extra={"error": place_of(bug)})  # noqa: TRY400 - the text may hold secrets
            await asyncio.sleep(TICK)

    def _entry(self, request: TokenRequest) -> _Entry:
        entry = self._entries.get(request)
        if entry is None:
            self._make_room()
            entry = self._entries[request] = _Entry(asked_at=self._clock.boot())
        else:
            entry.asked_at = self._clock.boot()
        return entry

    def _make_room(self) -> None:
        if len(self._entries) - len(self._kept) < MAX_ENTRIES:
            return
        idle = [
            request for request, entry in self._entries.items() if request not in self._kept and not entry.flight
        ]
        if not idle:
            raise Unavailable("too many different tokens are being asked for", retry_after=1)
        del self._entries[min(idle, key=lambda request: self._entries[request].asked_at)]

    def _servable(self, token: AccessToken) -> bool:
        return token.remaining(self._clock) > schedule.margin(token.lifetime)

    def _due(self, entry: _Entry) -> bool:
        return entry.flight is None and self._clock.boot() >= max(entry.renew_at, entry.retry_at)

    async def _fetched(self, request: TokenRequest, entry: _Entry) -> AccessToken:
        """Join or start the fetch of a token when there is none to hand out."""
        if entry.flight is None and self._clock.boot() < entry.retry_at:
            raise self._told_again(entry)
        await self._landing(entry.flight or self._launch(request, entry))
        if entry.token is None or not self._servable(entry.token):
            raise self._told_again(entry)
        return entry.token

    async def _lasting(self, request: TokenRequest, entry: _Entry, min_ttl: int) -> Issued:
        """Renew ahead of time for a caller who needs more than what is left."""
        if entry.flight is not None or self._clock.boot() >= self._may_force_at(entry):
            await self._landing(entry.flight or self._launch(request, entry))
            token = entry.token
            if token is not None and token.remaining(self._clock) >= min_ttl:
                return Issued(token, hit=False)
        # After a failure it is the renewal's next try that counts.
        until = entry.retry_at if entry.error else self._may_force_at(entry)
        raise Unavailable("min_ttl cannot be met now", retry_after=until - self._clock.boot())

    @staticmethod
    def _may_force_at(entry: _Entry) -> float:
        return max(entry.sent_at + schedule.FORCED_INTERVAL, entry.retry_at)

    async def _landing(self, flight: asyncio.Task[None]) -> None:
        # asyncio.wait leaves the task alone when its caller is cancelled; awaiting it would not.
        done, _ = await asyncio.wait([flight], timeout=self._cold_wait)
        if not done:
            raise Unavailable("the authority has not answered yet", retry_after=1)

    def _told_again(self, entry: _Entry) -> UpstreamError:
        error = entry.error or Unavailable("the fetch was abandoned")
        return error.again(max(entry.retry_at - self._clock.boot(), 0.0))

    def _launch(self, request: TokenRequest, entry: _Entry) -> asyncio.Task[None]:
        entry.sent_at = self._clock.boot()
        entry.flight = asyncio.create_task(self._fly(request, entry))
        return entry.flight

    async def _fly(self, request: TokenRequest, entry: _Entry) -> None:
        """Ask the authority and note what came of it. Raises nothing: nobody may be waiting to see it."""
        correlation_id = str(uuid.uuid4())
        try:
            token = await self._answer(request, correlation_id)
        except UpstreamError as error:
            self._note_failure(request, entry, error, correlation_id)
        except TimeoutError:
            late = Unavailable("the authority did not answer in time")
            self._note_failure(request, entry, late, correlation_id)
        except Exception as bug:  # noqa: BLE001 - a bug in a source must neither kill a renewal nor print what it holds
            self._note_failure(request, entry, InternalError(f"internal error: {place_of(bug)}"), correlation_id)
        else:
            self._note_success(request, entry, token, correlation_id)
        finally:
            entry.flight = None

    async def _answer(self, request: TokenRequest, correlation_id: str) -> AccessToken:
        pool = self._pool(self._authorities[request.identity])
        acquire = partial(self._source.acquire, request, correlation_id=correlation_id)
        answer = asyncio.get_running_loop().run_in_executor(pool, acquire)
        token = await asyncio.wait_for(answer, self._flight_limit)
        if not self._servable(token):
            raise Unavailable("the authority gave a token that has already expired")
        return token

    def _pool(self, authority: str) -> ThreadPoolExecutor:
        if authority not in self._pools:
            self._pools[authority] = ThreadPoolExecutor(THREADS, thread_name_prefix="authority")
        return self._pools[authority]

    def _note_success(self, request: TokenRequest, entry: _Entry, token: AccessToken, correlation_id: str) -> None:
        entry.token, entry.error = token, None
        entry.failures, entry.retry_at = 0, -math.inf
        sent_at = token.expires_boot - token.lifetime
        entry.renew_at = sent_at + schedule.renewal_delay(token.lifetime, token.refresh_in, self._draw())
        facts = {"lifetime": token.lifetime, "correlation_id": correlation_id}
        logger.info("token obtained", extra={**_named(request), **facts})

    def _note_failure(
        self, request: TokenRequest, entry: _Entry, error: UpstreamError, correlation_id: str
    ) -> None:
        error.correlation_id = error.correlation_id or correlation_id
        entry.failures += 1
        entry.error = error
        remaining, least = 0.0, 0.0
        if entry.token is not None:
            remaining = entry.token.remaining(self._clock)
            least = schedule.margin(entry.token.lifetime)
        if isinstance(error, CredentialRejected | ScopeRejected):
            delay = float(schedule.REJECTED_INTERVAL)
        else:
            delay = schedule.retry_delay(entry.failures, remaining, least, error.retry_after, self._draw())
        entry.retry_at = self._clock.boot() + delay
        facts = {
            "error": type(error).__name__,
            "aadsts": error.aadsts,
            "correlation_id": error.correlation_id,
        }
        logger.warning(
            "no token: %s",
            error,
            extra={**_named(request), **facts, "failures": entry.failures, "retry_in": round(delay)},
        )


def _named(request: TokenRequest) -> dict[str, str]:
    return {"identity": request.identity, "tenant": request.tenant, "scope": request.scope}
