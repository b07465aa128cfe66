"""What `check` tells of tokens and credentials."""

import base64
import json
from datetime import UTC, datetime, timedelta

import keys
import pytest
from fakes import FakeClock, ScriptedSource

from app.core.catalog import ConfiguredToken
from app.core.errors import Unavailable
from app.core.tokens import AccessToken, TokenRequest
from app.entra.credentials import ClientCertificate, ClientSecret
from app.ops import check

TENANT = "aaaaaaaa-0000-0000-0000-000000000001"
GRAPH = ConfiguredToken("graph", TokenRequest("default", TENANT, "https://graph.microsoft.com/.default"))


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def rows(
    clock: FakeClock, claims: dict[str, object] | None, configured: ConfiguredToken = GRAPH
) -> list[list[str]]:
    source = ScriptedSource(clock)
    value = f"{encoded({'alg': 'RS256'})}.{encoded(claims)}.c2ln" if claims is not None else "opaque"
    source.script.put(AccessToken(value, 1_800_003_600, 4600.0, 3600))
    return [list(row) for row in check.token(configured, source)]


def test_audience_roles_and_expiry(clock: FakeClock) -> None:
    [row] = rows(clock, {"aud": ["a", "b"], "roles": ["R.All", "S"], "tid": TENANT})
    assert row == ["graph", "default", TENANT, GRAPH.request.scope, "a,b", "R.All,S", "2027-01-15T09:00:00Z", "ok"]


def test_an_opaque_token_has_neither(clock: FakeClock) -> None:
    [row] = rows(clock, None)
    assert row[4:] == ["-", "-", "2027-01-15T09:00:00Z", "ok"]


def test_a_token_of_another_tenant_is_not_ok(clock: FakeClock) -> None:
    [row] = rows(clock, {"aud": "a", "tid": "other"})
    assert row[-1] == "issued in another tenant, other"


def test_what_a_terminal_would_obey_is_made_visible(clock: FakeClock) -> None:
    [row] = rows(clock, {"aud": "a\x1b[2J", "roles": ["x\ny"]})
    assert row[4:6] == ["a?[2J", "x?y"]


def test_each_of_its_tenants_is_tried(clock: FakeClock) -> None:
    configured = ConfiguredToken("graph", GRAPH.request, tenants=frozenset({"fabrikam", TENANT}))
    found = rows(clock, {"aud": "a"}, configured)
    assert [row[2] for row in found] == [TENANT, "fabrikam"]


def test_a_failure_has_its_code(clock: FakeClock) -> None:
    source = ScriptedSource(clock)
    source.fail(Unavailable("it is down", aadsts=90033))
    [row] = check.token(GRAPH, source)
    assert list(row[4:]) == ["-", "-", "-", "it is down (AADSTS90033)"]


@pytest.mark.parametrize(("days", "result"), [((-1, 1), "ok"), ((-2, -1), "expired"), ((1, 2), "not valid yet")])
def test_a_certificates_dates(days: tuple[int, int], result: str) -> None:
    now = datetime.now(UTC)
    not_before, not_after = (now + timedelta(days=day) for day in days)
    row = check.credential(
        "default", ClientCertificate(keys.rsa_key(), not_before=not_before, not_after=not_after)
    )
    assert (row[1], row[3]) == ("ClientCertificate", result)


def test_other_credentials_have_no_dates() -> None:
    assert check.credential("default", ClientSecret("s")) == ("default", "ClientSecret", "-", "ok")


def test_a_table_has_straight_columns() -> None:
    assert check.table(("A", "B"), [("long", "x"), ("", "y")]) == "A     B\nlong  x\n      y"
