"""When to renew, when to try again, and what may still be handed out: pure functions of numbers.

All arguments and results are seconds. `draw` is a number from 0 to 1 that spreads moments out; it is an
argument so that a test can choose it.
"""

import math

LONG_LIFETIME = 1200
# Azure SDKs renew what has less than five minutes left, some at ten: a longer-lived token that falls below
# this would be asked for again by every one of them on every call.
FLOOR = 600
# What a renewal may take before the floor is met: the broker's tick, one fetch, one retry.
LEAD = 30
# Least time between two forced renewals of one token, so that no caller can turn an option into a request
# upstream for each of its own.
FORCED_INTERVAL = 60
# What a fetch may take off a token's life before its caller sees it.
FETCH_SECONDS = 10
# How long a rejection (wrong scope, wrong secret) stands before the authority is asked again.
REJECTED_INTERVAL = 60
MAX_RETRY_AFTER = 3600


def margin(lifetime: float) -> float:
    """Return how much must be left for a token to be handed out."""
    return min(30.0, 0.1 * lifetime)


def longest_ttl(lifetime: float) -> float:
    """Return how much a fresh token can be relied on to have left when it arrives."""
    return max(lifetime - FETCH_SECONDS, 0.0)


def renewal_delay(lifetime: float, refresh_in: float | None, draw: float) -> float:
    """Return how long after it was asked for a token is renewed.

    Half the lifetime, or what the authority advised if that is a minute at least, spread by a tenth either
    way so that a fleet started together does not renew together; early enough to be done before FLOOR; and
    plainly half-way for short lifetimes.
    """
    if lifetime <= LONG_LIFETIME:
        return 0.5 * lifetime
    soft = max(refresh_in or 0.5 * lifetime, FORCED_INTERVAL)
    return min(soft * (0.9 + 0.2 * draw), lifetime - FLOOR - LEAD)


def retry_delay(failures: int, remaining: float, least: float, retry_after: float | None, draw: float) -> float:
    """Return how long to wait after the `failures`-th failure in a row (the first is 1).

    Doubles from 6 s (MSAL replays errors for 5) up to a cap that shrinks as what is left runs out:
    `remaining` seconds of the token, of which `least` cannot be handed out. A Retry-After of the authority is
    never undercut, up to an hour.
    """
    if remaining <= least:
        cap = 15.0
    elif remaining <= FLOOR:
        cap = 30.0
    else:
        cap = 120.0
    backoff = (0.5 + 0.5 * draw) * min(cap, math.ldexp(6.0, min(failures - 1, 10)))
    if retry_after is None:
        return backoff
    return max(backoff, min(retry_after, MAX_RETRY_AFTER))
