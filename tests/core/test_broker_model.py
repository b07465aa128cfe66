"""The broker under any sequence of asking, waiting, failing and hanging up: what must always hold."""

import asyncio
import math
from typing import Any

from fakes import FakeClock, ScriptedSource, landed
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.core import schedule
from app.core.broker import Broker, Issued
from app.core.errors import BrokerError, CredentialRejected, ScopeRejected, Throttled, Unavailable
from app.core.tokens import AccessToken, TokenRequest

KEPT = TokenRequest("default", "contoso", "kept")
REQUESTS = (KEPT, TokenRequest("default", "contoso", "asked"), TokenRequest("other", "fabrikam", "asked"))
FAILURES = (
    Unavailable("down"),
    Unavailable("down", retry_after=90),
    Throttled("wait", retry_after=200),
    Throttled("wait"),
    ScopeRejected("no"),
    CredentialRejected("no"),
    RuntimeError("a bug"),
)


class RememberingSource(ScriptedSource):
    """Also knows whether it was asked before a Retry-After of its own had passed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.not_before: dict[TokenRequest, float] = {}
        self.too_early = 0

    def acquire(self, request: TokenRequest, **options: Any) -> AccessToken:
        self.too_early += self.clock.boot() < self.not_before.get(request, -math.inf)
        try:
            return super().acquire(request, **options)
        except Throttled as error:
            self.not_before[request] = self.clock.boot() + (error.retry_after or 0)
            raise


def requests_under_way() -> list[TokenRequest]:
    """Return what the fetches under way are for, by the argument of the broker's own coroutine."""
    coroutines: list[Any] = [task.get_coro() for task in asyncio.all_tasks()]
    return [one.cr_frame.f_locals["request"] for one in coroutines if one.__name__ == "_fly" and one.cr_frame]


class BrokerModel(RuleBasedStateMachine):
    """Drives one broker on a loop of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.source = RememberingSource(self.clock)
        self.known: dict[TokenRequest, AccessToken] = {}

    @initialize(
        lifetime=st.sampled_from([2, 60, 599, 1201, 3599, 86399]), refresh_in=st.none() | st.integers(1, 90_000)
    )
    def start(self, lifetime: int, refresh_in: int | None) -> None:
        self.source.lifetime, self.source.refresh_in = lifetime, refresh_in
        authorities = {"default": "one.example", "other": "two.example"}
        self.broker = Broker(self.source, clock=self.clock, authorities=authorities, kept=[KEPT], draw=lambda: 0.5)
        self.run(self.broker.start())

    @rule(
        request=st.sampled_from(REQUESTS), callers=st.integers(1, 5), min_ttl=st.sampled_from([0, 0, 0, 30, 3000])
    )
    def ask(self, request: TokenRequest, callers: int, min_ttl: int) -> None:
        was_servable = self.broker.servable(request)
        for outcome in self.run(self._ask(request, callers, min_ttl)):
            assert isinstance(outcome, Issued | BrokerError), outcome
            if isinstance(outcome, Issued):
                self.check(request, outcome.token, min_ttl)
            else:
                assert min_ttl or not was_servable, "a token that could be handed out was withheld"

    @rule(request=st.sampled_from(REQUESTS))
    def ask_and_hang_up(self, request: TokenRequest) -> None:
        async def hang_up() -> None:
            caller = asyncio.create_task(self.broker.token(request))
            await asyncio.sleep(0)
            caller.cancel()
            await asyncio.gather(caller, return_exceptions=True)

        self.run(hang_up())

    @rule(seconds=st.sampled_from([0.5, 5, 31, 61, 600, 1800, 10_000]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(step=st.sampled_from([-7200, -60, 60, 7200]))
    def somebody_sets_the_clock(self, step: float) -> None:
        self.clock.wall_now += step

    @rule(failures=st.lists(st.sampled_from(FAILURES), min_size=1, max_size=4))
    def the_authority_will_fail(self, failures: list[Exception]) -> None:
        self.source.fail(*failures)

    @rule()
    def tick(self) -> None:
        async def tick() -> None:
            self.broker.tick()

        self.run(tick())

    @invariant()
    def nothing_was_sent_before_a_retry_after_had_passed(self) -> None:
        assert self.source.too_early == 0

    def teardown(self) -> None:
        self.run(self.broker.close())
        assert not asyncio.all_tasks(self.loop)
        self.loop.close()

    def run(self, coroutine: Any) -> Any:
        async def to_the_end() -> Any:
            result = await coroutine
            await landed()
            return result

        return self.loop.run_until_complete(to_the_end())

    async def _ask(self, request: TokenRequest, callers: int, min_ttl: int) -> list[Issued | BaseException]:
        """Ask while the authority keeps everybody waiting, and let it answer then."""
        was_servable = self.broker.servable(request)
        self.source.gate.clear()
        asked = [asyncio.create_task(self.broker.token(request, min_ttl=min_ttl)) for _ in range(callers)]
        for _ in range(5):
            await asyncio.sleep(0)
        flights, at_once = requests_under_way(), all(task.done() for task in asked)
        self.source.gate.set()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert len(flights) == len(set(flights)), "two fetches of one token"
        assert at_once or min_ttl or not was_servable, (
            "a caller waited for the authority, with a valid token there"
        )
        return outcomes

    def check(self, request: TokenRequest, token: AccessToken, min_ttl: int) -> None:
        remaining = token.remaining(self.clock)
        assert remaining > schedule.margin(token.lifetime)
        assert remaining >= min_ttl
        assert request.scope in token.value


TestBrokerModel = BrokerModel.TestCase
TestBrokerModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
