"""Tries a configuration out: every token is fetched once, and what came back is told, but never the token.

For the operator who wants to know whether an app registration works before anything depends on it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import jwt

from app.core.catalog import ConfiguredToken
from app.core.errors import UpstreamError
from app.core.tokens import AccessToken, TokenRequest, TokenSource, is_guid
from app.ops.logs import utc

OK = "ok"
NONE = "-"


def credential(identity: str, value: object) -> Sequence[str]:
    """Return the row of a credential: identity, kind, end of validity, result."""
    not_before: datetime | None = getattr(value, "not_before", None)
    not_after: datetime | None = getattr(value, "not_after", None)
    now = datetime.now(UTC)
    result = OK
    if not_after and not_after <= now:
        result = "expired"
    elif not_before and not_before > now:
        result = "not valid yet"
    return identity, type(value).__name__, utc(not_after.timestamp(), "seconds") if not_after else NONE, result


def token(configured: ConfiguredToken, source: TokenSource) -> Iterator[Sequence[str]]:
    """Fetch a token in each of its tenants and yield the rows.

    In a row: name, identity, tenant, scope, audience, roles, expiry, result.
    """
    for tenant in (configured.request.tenant, *sorted(configured.tenants - {configured.request.tenant})):
        request = replace(configured.request, tenant=tenant)
        head = configured.name, request.identity, tenant or NONE, request.scope
        try:
            obtained = source.acquire(request)
        except UpstreamError as error:
            yield *head, NONE, NONE, NONE, error.with_code
        else:
            yield *head, *_described(obtained, request)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as columns of text."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _described(obtained: AccessToken, request: TokenRequest) -> tuple[str, str, str, str]:
    claims = _claims(obtained.value)
    issued_in = claims.get("tid")
    result = OK
    if is_guid(request.tenant) and issued_in not in (None, request.tenant.lower()):
        result = f"issued in another tenant, {_text(issued_in)}"
    return _text(claims.get("aud")), _text(claims.get("roles")), utc(obtained.expires_on, "seconds"), result


def _claims(value: str) -> Mapping[str, object]:
    try:
        # Nothing is decided by these claims: they are told to the operator, who asked the authority for them.
        claims: Mapping[str, object] = jwt.decode(value, options={"verify_signature": False})
    except jwt.InvalidTokenError:  # an opaque token, as some issuers give
        return {}
    return claims


def _text(claim: object) -> str:
    """Return a claim as one cell; what a terminal would obey is made visible instead."""
    parts = claim if isinstance(claim, list) else [claim]
    text = ",".join(str(part) for part in parts if part is not None)
    return "".join(character if character.isprintable() else "?" for character in text) or NONE
