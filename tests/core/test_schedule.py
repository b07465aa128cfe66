"""The numbers of the schedule, and what must hold for all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import schedule

draws = st.floats(0, 1)
lifetimes = st.integers(1, 100_000)


@pytest.mark.parametrize(("lifetime", "margin"), [(3600, 30), (300, 30), (299, 29.9), (60, 6), (1, 0.1)])
def test_the_margin_is_thirty_seconds_or_a_tenth(lifetime: int, margin: float) -> None:
    assert schedule.margin(lifetime) == pytest.approx(margin)


@pytest.mark.parametrize(
    ("lifetime", "refresh_in", "draw", "delay"),
    [
        (3600, None, 0.5, 1800),
        (3600, None, 0.0, 1620),
        (3600, None, 1.0, 1980),
        (86400, 43200, 0.5, 43200),
        (3600, 3500, 1.0, 2970),  # the authority's advice is capped by the floor
        (3600, 1, 0.5, 60),  # and is no licence to ask every second
        (1201, None, 1.0, 571),
        (1200, None, 1.0, 600),
        (599, 10, 0.0, 299.5),
        (60, None, 1.0, 30),
    ],
)
def test_when_a_token_is_renewed(lifetime: int, refresh_in: int | None, draw: float, delay: float) -> None:
    assert schedule.renewal_delay(lifetime, refresh_in, draw) == pytest.approx(delay)


@pytest.mark.parametrize(("lifetime", "ttl"), [(3600, 3590), (10, 0), (1, 0)])
def test_what_a_fresh_token_can_be_relied_on_to_have(lifetime: int, ttl: int) -> None:
    assert schedule.longest_ttl(lifetime) == ttl


@given(lifetimes, st.none() | st.integers(1, 200_000), draws)
def test_renewal_comes_before_the_token_stops_being_servable(
    lifetime: int, refresh_in: int | None, draw: float
) -> None:
    delay = schedule.renewal_delay(lifetime, refresh_in, draw)
    assert 0 < delay < lifetime - schedule.margin(lifetime)
    if lifetime > schedule.LONG_LIFETIME:
        assert lifetime - delay >= schedule.FLOOR + schedule.LEAD


@pytest.mark.parametrize(
    ("failures", "remaining", "draw", "delay"),
    [
        (1, 3000, 1, 6),
        (1, 3000, 0, 3),
        (3, 3000, 1, 24),
        (50, 3000, 1, 120),
        (50, 600, 1, 30),
        (50, 0, 1, 15),
        (50, 30, 1, 15),
    ],
)
def test_back_off_doubles_up_to_a_cap_that_shrinks(
    failures: int, remaining: float, draw: float, delay: float
) -> None:
    assert schedule.retry_delay(failures, remaining, 30, None, draw) == pytest.approx(delay)


@pytest.mark.parametrize(("asked", "least"), [(-5, 3), (0, 3), (90, 90), (1e9, 3600)])
def test_retry_after_is_a_floor_within_bounds(asked: float, least: float) -> None:
    assert schedule.retry_delay(1, 3000, 30, asked, 0.0) == least


@given(st.integers(1, 10_000), st.floats(0, 1e6), st.none() | st.floats(-1e12, 1e12), draws)
def test_a_retry_is_always_between_three_seconds_and_an_hour_away(
    failures: int, remaining: float, asked: float | None, draw: float
) -> None:
    assert 3 <= schedule.retry_delay(failures, remaining, 30, asked, draw) <= 3600
