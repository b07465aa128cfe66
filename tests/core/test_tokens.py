"""Scope rules, and what a token says about its time."""

import contextlib
import re

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidRequest
from app.core.tokens import (
    MAX_SCOPE_LENGTH,
    AccessToken,
    SystemClock,
    parse_scope,
    resource_of,
    scope_of,
)

SCOPE_CHARACTERS = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"\\')


@pytest.mark.parametrize(
    ("resource", "scope"),
    [
        ("https://graph.microsoft.com", "https://graph.microsoft.com/.default"),
        ("https://management.azure.com/", "https://management.azure.com//.default"),
        ("api://11111111-2222-3333-4444-555555555555", "api://11111111-2222-3333-4444-555555555555/.default"),
        ("https://vault.azure.net/.default", "https://vault.azure.net/.default"),
    ],
)
def test_a_resource_becomes_a_scope_once_and_keeps_its_slash(resource: str, scope: str) -> None:
    assert scope_of(resource) == scope


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a\tb",
        "a\nb",
        " a",
        "a ",
        "a\u00a0b",
        'a"b',
        "a\\b",
        "ä/.default",
        "a\x00b",
        "x" * (MAX_SCOPE_LENGTH + 1),
    ],
)
def test_what_is_not_exactly_one_scope_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_scope(text)


def test_an_empty_resource_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        scope_of("")


@given(st.text(SCOPE_CHARACTERS, min_size=1, max_size=MAX_SCOPE_LENGTH))
def test_a_scope_is_never_changed(text: str) -> None:
    assert parse_scope(text) == text


@given(st.text(SCOPE_CHARACTERS, min_size=1, max_size=100))
def test_scope_of_is_idempotent(text: str) -> None:
    assert scope_of(scope_of(text)) == scope_of(text)


@given(st.text(max_size=60))
def test_no_text_makes_the_parser_fail_otherwise(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert re.fullmatch(r"[!-~]+", parse_scope(text))


def test_scopes_compare_by_resource_with_or_without_one_slash() -> None:
    spellings = {
        "https://a.example/.default",
        "https://a.example//.default",
        "https://a.example",
        "https://a.example/",
    }
    assert {resource_of(spelling) for spelling in spellings} == {"https://a.example"}
    assert resource_of("https://A.example/.default") != "https://a.example"


def test_the_smaller_remainder_counts(clock: FakeClock) -> None:
    token = AccessToken("t", int(clock.wall()) + 3600, clock.boot() + 3600, 3600)
    clock.wall_now -= 7200  # somebody sets the clock back
    clock.boot_now += 600
    assert token.remaining(clock) == 3000
    clock.wall_now += 7200 + 1000  # and forward
    assert token.remaining(clock) == 2600


def test_a_token_keeps_its_value_out_of_its_repr() -> None:
    assert "secret-value" not in repr(AccessToken("secret-value", 1, 1.0, 1))


def test_the_system_clock_tells_both_times() -> None:
    clock = SystemClock()
    assert clock.wall() > 1_700_000_000
    assert clock.boot() <= clock.boot()
