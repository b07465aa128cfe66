"""One request upstream however many wait, and a valid token never withheld."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from fakes import FakeClock, ScriptedSource, landed

from app.core import broker as broker_module
from app.core import schedule
from app.core.broker import Broker
from app.core.errors import (
    BrokerError,
    CredentialError,
    CredentialRejected,
    InternalError,
    InvalidRequest,
    ScopeRejected,
    Throttled,
    Unavailable,
)
from app.core.tokens import AccessToken, TokenRequest, is_guid

pytestmark = pytest.mark.anyio

GRAPH = TokenRequest("default", "contoso", "https://graph.microsoft.com/.default")
OTHERS = [TokenRequest("default", "contoso", f"https://{number}.example/.default") for number in range(20)]

Running = Callable[..., AbstractAsyncContextManager[Broker]]


@pytest.fixture
def source(clock: FakeClock) -> ScriptedSource:
    return ScriptedSource(clock)


@pytest.fixture
def running(source: ScriptedSource, clock: FakeClock) -> Running:
    @asynccontextmanager
    async def run(
        *kept: TokenRequest, cold_wait: float = 10.0, flight_limit: float = 12.0
    ) -> AsyncIterator[Broker]:
        broker = Broker(
            source,
            clock=clock,
            authorities={"default": "login.example"},
            kept=kept,
            draw=lambda: 0.5,
            cold_wait=cold_wait,
            flight_limit=flight_limit,
        )
        await broker.start()
        try:
            yield broker
        finally:
            source.gate.set()
            await broker.close()

    return run


async def test_500_callers_make_one_request(running: Running, source: ScriptedSource) -> None:
    source.gate.clear()
    async with running() as broker:
        callers = [asyncio.create_task(broker.token(GRAPH)) for _ in range(500)]
        await asyncio.to_thread(source.started.wait)
        source.gate.set()
        issued = await asyncio.gather(*callers)
    assert {one.token.value for one in issued} == {issued[0].token.value}
    assert len(source.requests) == 1
    assert not any(one.hit for one in issued)


async def test_500_callers_for_20_tokens_make_20_requests(running: Running, source: ScriptedSource) -> None:
    async with running() as broker:
        await asyncio.gather(*(broker.token(OTHERS[number % 20]) for number in range(500)))
    assert sorted(request.scope for request in source.requests) == sorted(request.scope for request in OTHERS)


async def test_callers_hanging_up_cancel_nothing(running: Running, source: ScriptedSource) -> None:
    source.gate.clear()
    async with running() as broker:
        callers = [asyncio.create_task(broker.token(GRAPH)) for _ in range(100)]
        await asyncio.to_thread(source.started.wait)
        for caller in callers[:90]:
            caller.cancel()
        source.gate.set()
        results = await asyncio.gather(*callers, return_exceptions=True)
    assert sum(isinstance(one, asyncio.CancelledError) for one in results) == 90
    assert sum(isinstance(one, broker_module.Issued) for one in results) == 10
    assert len(source.requests) == 1


async def test_the_first_caller_hanging_up_leaves_the_token_behind(
    running: Running, source: ScriptedSource
) -> None:
    source.gate.clear()
    async with running() as broker:
        caller = asyncio.create_task(broker.token(GRAPH))
        await asyncio.to_thread(source.started.wait)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        source.gate.set()
        await landed()
        assert (await broker.token(GRAPH)).hit
    assert len(source.requests) == 1


async def test_a_second_ask_is_answered_from_memory(running: Running, source: ScriptedSource) -> None:
    async with running() as broker:
        first, second = await broker.token(GRAPH), await broker.token(GRAPH)
    assert (first.hit, second.hit) == (False, True)
    assert first.token is second.token
    assert len(source.requests) == 1


async def test_kept_tokens_are_fetched_at_start(running: Running, source: ScriptedSource) -> None:
    async with running(GRAPH) as broker:
        await asyncio.to_thread(source.started.wait)
        await landed()
        assert broker.servable(GRAPH)
        assert (await broker.token(GRAPH)).hit


async def test_a_due_token_is_handed_out_while_one_renewal_runs(
    running: Running, source: ScriptedSource, clock: FakeClock
) -> None:
    async with running() as broker:
        old = (await broker.token(GRAPH)).token
        clock.advance(1801)
        source.gate.clear()
        answers = [await broker.token(GRAPH) for _ in range(50)]
        assert all(one.hit and one.token is old for one in answers)
        source.gate.set()
        await landed()
        assert (await broker.token(GRAPH)).token.value != old.value
    assert len(source.requests) == 2


async def test_long_tokens_never_fall_below_ten_minutes(
    running: Running, source: ScriptedSource, clock: FakeClock
) -> None:
    for lifetime in (1201, 1260, 3599, 86399):
        source.lifetime = lifetime
        source.requests.clear()
        request = TokenRequest("default", "contoso", f"https://{lifetime}.example/.default")
        async with running(request) as broker:
            await broker.token(request)
            for _ in range(3 * lifetime // 5):
                clock.advance(5)
                broker.tick()
                await landed()
                assert (await broker.token(request)).token.remaining(clock) >= 600
        assert 5 <= len(source.requests) <= 8


@pytest.mark.parametrize("lifetime", [60, 599])
async def test_short_tokens_do_not_make_a_renewal_loop(
    running: Running, source: ScriptedSource, clock: FakeClock, lifetime: int
) -> None:
    source.lifetime = lifetime
    async with running(GRAPH) as broker:
        await broker.token(GRAPH)
        for _ in range(10 * lifetime):
            clock.advance(1)
            broker.tick()
            await broker.token(GRAPH)
            await landed()
    assert 19 <= len(source.requests) <= 21


async def test_a_failing_renewal_leaves_the_token_in_service_until_its_margin(
    running: Running, source: ScriptedSource, clock: FakeClock
) -> None:
    async with running(GRAPH) as broker:
        token = (await broker.token(GRAPH)).token
        source.fail(*[Unavailable("down")] * 1000)
        while token.remaining(clock) > 31:
            assert (await broker.token(GRAPH)).token is token
            clock.advance(1)
            await landed()
        clock.advance(1)
        with pytest.raises(Unavailable, match="down") as raised:
            await broker.token(GRAPH)
        assert raised.value.retry_after is not None
        assert 0 < raised.value.retry_after <= 30
    assert len(source.requests) < 60


async def test_while_failing_callers_are_told_the_wait_without_asking_upstream(
    running: Running, source: ScriptedSource, clock: FakeClock
) -> None:
    source.fail(Throttled("slow down", retry_after=120))
    async with running() as broker:
        for _ in range(50):
            with pytest.raises(Throttled) as raised:
                await broker.token(GRAPH)
            assert raised.value.retry_after == 120
        assert len(source.requests) == 1
        clock.advance(119)
        with pytest.raises(Throttled) as raised:
            await broker.token(GRAPH)
        assert raised.value.retry_after == 1
        clock.advance(1)
        assert (await broker.token(GRAPH)).token.value
    assert len(source.requests) == 2


@pytest.mark.parametrize("error", [CredentialRejected("no", aadsts=7000215), ScopeRejected("no", aadsts=500011)])
async def test_a_rejection_stands_for_a_minute(
    running: Running, source: ScriptedSource, clock: FakeClock, error: BrokerError
) -> None:
    source.fail(error, error)
    async with running() as broker:
        for _ in range(10):
            with pytest.raises(type(error)) as raised:
                await broker.token(GRAPH)
            assert raised.value is not error
            assert getattr(raised.value, "aadsts", None) == getattr(error, "aadsts", None)
        clock.advance(schedule.REJECTED_INTERVAL)
        with pytest.raises(type(error)):
            await broker.token(GRAPH)
    assert len(source.requests) == 2


async def test_a_file_that_cannot_be_read_is_soon_tried_again(
    running: Running, source: ScriptedSource, clock: FakeClock
) -> None:
    source.fail(CredentialError("no file"))
    async with running() as broker:
        with pytest.raises(CredentialError):
            await broker.token(GRAPH)
        clock.advance(6)
        assert await broker.token(GRAPH)


async def test_a_bug_in_the_source_is_a_failure_that_tells_nothing(
    running: Running, source: ScriptedSource, caplog: pytest.LogCaptureFixture
) -> None:
    source.fail(RuntimeError("canary-secret"))
    async with running() as broker:
        with pytest.raises(InternalError, match=r"RuntimeError in acquire:\d+") as raised:
            await broker.token(GRAPH)
    assert "canary-secret" not in str(raised.value)
    assert "canary-secret" not in caplog.text


async def test_an_unawaited_failure_is_logged(
    running: Running, source: ScriptedSource, caplog: pytest.LogCaptureFixture
) -> None:
    source.fail(CredentialRejected("no", aadsts=7000222))
    with caplog.at_level(logging.WARNING):
        async with running(GRAPH) as broker:
            await asyncio.to_thread(source.started.wait)
            await landed()
            failure = broker.failure(GRAPH)
            assert isinstance(failure, CredentialRejected)
    record = next(record for record in caplog.records if record.levelno == logging.WARNING)
    assert vars(record)["aadsts"] == 7000222
    assert is_guid(vars(record)["correlation_id"])
    assert vars(record)["scope"] == GRAPH.scope


async def test_a_bug_in_one_look_for_renewals_does_not_end_them(
    source: ScriptedSource, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> float:
        raise RuntimeError("canary")

    broker = Broker(source, clock=clock, authorities={"default": "x"}, kept=[GRAPH])
    await broker.start()
    boot, clock.boot = clock.boot, broken  # type: ignore[method-assign]  # a clock that fails once
    await asyncio.sleep(0)
    clock.boot = boot  # type: ignore[method-assign]  # and works again
    assert "internal error" in caplog.text
    assert "canary" not in caplog.text
    broker.tick()
    assert (await broker.token(GRAPH)).token.value
    await broker.close()


async def test_a_token_that_has_already_expired_is_a_failure(
    running: Running, source: ScriptedSource, clock: FakeClock
) -> None:
    source.script.put(AccessToken("old", int(clock.wall()) - 1, clock.boot() - 1, 3600))
    async with running() as broker:
        with pytest.raises(Unavailable):
            await broker.token(GRAPH)
        assert not broker.obtained(GRAPH)


async def test_a_suspended_machine_hands_out_no_expired_token(running: Running, clock: FakeClock) -> None:
    async with running() as broker:
        old = (await broker.token(GRAPH)).token
        clock.advance(7200)
        new = await broker.token(GRAPH)
        assert new.token.value != old.value
        assert not new.hit


async def test_a_caller_waits_only_so_long_for_a_first_token(running: Running, source: ScriptedSource) -> None:
    source.gate.clear()
    async with running(cold_wait=0.01) as broker:
        with pytest.raises(Unavailable) as raised:
            await broker.token(GRAPH)
        assert raised.value.retry_after == 1
        source.gate.set()
        await landed()
        assert (await broker.token(GRAPH)).hit


async def test_a_source_that_never_answers_does_not_hold_a_token_up_for_ever(
    running: Running, source: ScriptedSource, clock: FakeClock
) -> None:
    source.gate.clear()
    async with running(flight_limit=0.01) as broker:
        with pytest.raises(Unavailable, match="in time"):
            await broker.token(GRAPH)
        source.gate.set()
        clock.advance(6)
        assert (await broker.token(GRAPH)).token.value


class TestMinTtl:
    async def test_what_is_left_suffices(self, running: Running, source: ScriptedSource) -> None:
        async with running() as broker:
            await broker.token(GRAPH)
            assert (await broker.token(GRAPH, min_ttl=3000)).hit
        assert len(source.requests) == 1

    async def test_it_renews_ahead_of_time(
        self, running: Running, source: ScriptedSource, clock: FakeClock
    ) -> None:
        async with running() as broker:
            await broker.token(GRAPH)
            clock.advance(1000)
            issued = await broker.token(GRAPH, min_ttl=3000)
            assert issued.token.remaining(clock) >= 3000
            assert not issued.hit
        assert len(source.requests) == 2

    async def test_callers_share_one_renewal(
        self, running: Running, source: ScriptedSource, clock: FakeClock
    ) -> None:
        async with running() as broker:
            await broker.token(GRAPH)
            clock.advance(1000)
            await asyncio.gather(*(broker.token(GRAPH, min_ttl=3000) for _ in range(100)))
        assert len(source.requests) == 2

    async def test_more_than_a_fresh_token_has_is_refused(self, running: Running, source: ScriptedSource) -> None:
        async with running() as broker:
            for _ in range(100):
                with pytest.raises(InvalidRequest):
                    await broker.token(GRAPH, min_ttl=3591)
        assert len(source.requests) == 1

    async def test_what_cannot_be_met_now_costs_one_request_a_minute(
        self, running: Running, source: ScriptedSource, clock: FakeClock
    ) -> None:
        async with running() as broker:
            await broker.token(GRAPH)
            clock.advance(10)
            for _ in range(99):
                clock.advance(0.5)
                with pytest.raises(Unavailable) as raised:
                    await broker.token(GRAPH, min_ttl=3590)
                assert 0 < (raised.value.retry_after or 0) <= 50
            assert len(source.requests) == 1
            clock.advance(0.5)
            assert not (await broker.token(GRAPH, min_ttl=3590)).hit
        assert len(source.requests) == 2

    async def test_a_failing_renewal_is_not_repeated(
        self, running: Running, source: ScriptedSource, clock: FakeClock
    ) -> None:
        async with running() as broker:
            await broker.token(GRAPH)
            clock.advance(1000)
            source.fail(*[Unavailable("down")] * 100)
            for _ in range(100):
                clock.advance(0.5)
                with pytest.raises(Unavailable):
                    await broker.token(GRAPH, min_ttl=3000)
            assert (await broker.token(GRAPH)).hit
        assert len(source.requests) == 2

    async def test_none_at_all_is_met_by_the_shortest_token(
        self, running: Running, source: ScriptedSource
    ) -> None:
        source.lifetime = 2
        async with running() as broker:
            assert (await broker.token(GRAPH, min_ttl=0)).token.lifetime == 2


class TestBounds:
    async def test_tokens_nobody_asks_for_are_dropped(self, running: Running, clock: FakeClock) -> None:
        async with running(GRAPH) as broker:
            await asyncio.gather(broker.token(GRAPH), broker.token(OTHERS[0]))
            clock.advance(broker_module.IDLE + 1)
            broker.tick()
            await landed()
            assert broker.servable(GRAPH)
            assert not broker.obtained(OTHERS[0])

    async def test_a_request_that_never_succeeded_is_not_retried_unasked(
        self, running: Running, source: ScriptedSource, clock: FakeClock
    ) -> None:
        source.fail(ScopeRejected("no"))
        async with running() as broker:
            with pytest.raises(ScopeRejected):
                await broker.token(GRAPH)
            clock.advance(600)
            broker.tick()
            await landed()
        assert len(source.requests) == 1

    async def test_the_longest_unasked_makes_room(self, running: Running, clock: FakeClock) -> None:
        async with running(GRAPH) as broker:
            await broker.token(GRAPH)
            requests = [
                TokenRequest("default", "contoso", f"s{number}") for number in range(broker_module.MAX_ENTRIES + 1)
            ]
            for request in requests:
                clock.advance(0.001)
                await broker.token(request)
            assert not broker.obtained(requests[0])
            assert broker.obtained(requests[1])
            assert broker.obtained(GRAPH)

    async def test_with_everything_in_use_a_new_request_is_told_to_wait(
        self, running: Running, source: ScriptedSource
    ) -> None:
        source.gate.clear()
        requests = [
            TokenRequest("default", "contoso", f"s{number}") for number in range(broker_module.MAX_ENTRIES)
        ]
        async with running() as broker:
            callers = [asyncio.create_task(broker.token(request)) for request in requests]
            await asyncio.to_thread(source.started.wait)
            with pytest.raises(Unavailable, match="too many"):
                await broker.token(GRAPH)
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)

    async def test_at_most_four_requests_run_at_once_for_one_authority(
        self, running: Running, source: ScriptedSource
    ) -> None:
        source.gate.clear()
        async with running() as broker:
            callers = [asyncio.create_task(broker.token(request)) for request in OTHERS]
            await asyncio.to_thread(source.started.wait)
            assert len(source.requests) <= broker_module.THREADS
            source.gate.set()
            await asyncio.gather(*callers)
        assert len(source.requests) == 20


async def test_closing_leaves_no_task_behind(running: Running, source: ScriptedSource) -> None:
    before = asyncio.all_tasks()
    source.gate.clear()
    async with running(GRAPH) as broker:
        caller = asyncio.create_task(broker.token(GRAPH))
        await asyncio.to_thread(source.started.wait)
        await broker.close()
        with pytest.raises(Unavailable, match="abandoned"):
            await caller
        assert not asyncio.all_tasks() - before
