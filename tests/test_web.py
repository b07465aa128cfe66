"""The whole application over a real server: gate, routes, health, and the shape of what is not there."""

import json
from collections.abc import Iterator

import pytest
from broker_server import METADATA, Caller, running_broker
from fakes import FakeClock, ScriptedSource

from app.core.catalog import ConfiguredToken
from app.core.errors import CredentialRejected, Throttled
from app.core.tokens import TokenRequest

GRAPH = TokenRequest("default", "contoso", "https://graph.microsoft.com/.default")
VAULT = TokenRequest("default", "contoso", "https://vault.azure.net/.default")
TOKENS = [
    ConfiguredToken("default", GRAPH, keep_warm=False, required=False),
    ConfiguredToken("vault", VAULT, keep_warm=False, required=False),
]


@pytest.fixture
def source(clock: FakeClock) -> ScriptedSource:
    return ScriptedSource(clock)


@pytest.fixture
def caller(source: ScriptedSource, clock: FakeClock) -> Iterator[Caller]:
    with running_broker(TOKENS, source, clock) as caller:
        yield caller


def test_a_token_and_then_the_same_from_memory(caller: Caller, clock: FakeClock) -> None:
    first = caller.get("/token")
    clock.advance(99)
    second = caller.get("/token")
    assert first.status == second.status == 200
    assert first.json["access_token"] == second.json["access_token"]
    assert (first.json["expires_in"], second.json["expires_in"]) == (3600, 3501)
    assert first.json["expires_on"] == second.json["expires_on"] == int(clock.wall()) - 99 + 3600
    assert first.headers["Cache-Status"] == "token-broker; fwd=miss; ttl=3600"
    assert second.headers["Cache-Status"] == "token-broker; hit; ttl=3501"
    assert second.headers["Age"] == "99"


def test_the_forms_of_one_token(caller: Caller) -> None:
    token = caller.get("/token/vault").json["access_token"]
    assert caller.get("/token/vault?format=text").body == f"{token}\n"
    assert caller.get("/token/vault?format=header").body == f"Authorization: Bearer {token}\n"
    assert caller.get("/token/vault", {**METADATA, "Accept": "text/plain"}).body == f"{token}\n"


REFUSED = [
    ("/token?scope=a&scope=b", 400),
    ("/token?scopes=https://graph.microsoft.com/.default", 400),
    ("/token?x=1", 400),
    ("/token?scope=https://graph.microsoft.com/.default%20https://vault.azure.net/.default", 400),
    ("/token?scope=", 400),
    ("/token?scope=https://graph.microsoft.com/.default&min_ttl=x", 400),
    ("/token/nothing", 404),
    ("/token/", 404),
    ("/token/vault/", 404),
    ("/token//vault", 404),
    ("/Token", 404),
    ("/token/vault%2Fx", 404),
    ("/", 404),
    ("/docs", 404),
    ("/redoc", 404),
    ("/openapi.json", 404),
]


@pytest.mark.parametrize(("path", "status"), REFUSED)
def test_a_refusal_is_a_problem_document_and_asks_nothing_upstream(
    caller: Caller, source: ScriptedSource, path: str, status: int
) -> None:
    answer = caller.get(path)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["status"] == status
    assert answer.json["detail"]
    assert "Location" not in answer.headers
    assert source.requests == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
def test_a_wrong_method_names_the_right_ones(caller: Caller, method: str) -> None:
    answer = caller.get("/token/vault", method=method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET"
    if method != "HEAD":
        assert answer.json["error"] == "method_not_allowed"
    assert {name for name in answer.headers if name.lower().startswith("access-control")} == set()


def test_health_paths_allow_the_union_of_their_methods(caller: Caller) -> None:
    assert caller.get("/livez", method="POST").headers["Allow"] == "GET, HEAD"


def test_an_upstream_failure_has_its_status_and_wait(caller: Caller, source: ScriptedSource) -> None:
    source.fail(Throttled("the authority asks us to wait", retry_after=30))
    answer = caller.get("/token")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "30")
    assert answer.json["retry_after"] == 30


def test_a_bug_is_a_problem_document_too_and_says_nothing(
    source: ScriptedSource, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    broken = ConfiguredToken("default", GRAPH, tenants=None, keep_warm=False)  # type: ignore[arg-type]  # the bug
    with running_broker([broken], source, clock) as caller:
        answer = caller.get("/token?tenant=canary")
    assert answer.status == 500
    assert answer.json["error"] == "internal_error"
    assert "canary" not in answer.body + caplog.text
    record = next(one for one in caplog.records if one.message == "internal error")
    assert vars(record)["error"].startswith("TypeError in serves:")


class TestGate:
    @pytest.mark.parametrize("path", ["/token", "/token/vault", "/nothing", "/openapi.json", "/Livez", "/livez/"])
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Metadata": "false"},
            {"Metadata": ""},
            {"Metadata": "true, true"},
            {"Metadata-Flavor": "true"},
            {"Authorization": "Bearer x"},
        ],
    )
    def test_without_the_header_nothing_is_given(
        self, caller: Caller, source: ScriptedSource, path: str, headers: dict[str, str]
    ) -> None:
        answer = caller.get(path, headers)
        assert answer.status == 403
        assert answer.json["error"] == "access_denied"
        assert "Metadata: true" in answer.json["detail"]
        assert source.requests == []

    @pytest.mark.parametrize("value", ["true", "True", "TRUE"])
    def test_with_it_in_any_case_the_token_is_given(self, caller: Caller, value: str) -> None:
        assert caller.get("/token", {"metadata": value}).status == 200


class TestHealth:
    def test_it_is_alive_whatever_the_authority_does(self, caller: Caller) -> None:
        assert caller.get("/livez", {}).status == 200
        assert caller.get("/livez", {}, method="HEAD").status == 200

    def test_ready_and_healthy_once_the_required_tokens_are_there(
        self, source: ScriptedSource, clock: FakeClock
    ) -> None:
        source.gate.clear()
        with running_broker([ConfiguredToken("graph", GRAPH)], source, clock) as caller:
            assert (caller.get("/readyz", {}).status, caller.get("/healthz", {}).status) == (503, 503)
            assert caller.get("/readyz").json == {"ready": False, "tokens": {"graph": "not fetched yet"}}
            source.gate.set()
            assert caller.get("/token").status == 200
            assert (caller.get("/readyz", {}).status, caller.get("/healthz", {}).status) == (200, 200)
            assert caller.get("/readyz").json == {"ready": True, "tokens": {"graph": "ok"}}

    def test_in_an_outage_unready_and_yet_healthy(self, source: ScriptedSource, clock: FakeClock) -> None:
        with running_broker([ConfiguredToken("graph", GRAPH)], source, clock) as caller:
            assert caller.get("/token").status == 200
            clock.advance(4000)
            source.fail(*[CredentialRejected("the authority does not accept it", aadsts=7000222)] * 10)
            assert caller.get("/token").status == 502
            assert caller.get("/healthz", {}).status == 200
            reasons = caller.get("/readyz")
            assert reasons.status == 503
            assert "AADSTS7000222" in reasons.json["tokens"]["graph"]

    def test_a_stranger_gets_a_bare_word(self, caller: Caller) -> None:
        assert caller.get("/readyz", {}).body == "ok\n"

    def test_tokens_not_required_do_not_count(self, source: ScriptedSource, clock: FakeClock) -> None:
        tokens = [
            ConfiguredToken("graph", GRAPH, required=False),
            ConfiguredToken("vault", VAULT, keep_warm=False, required=False),
        ]
        source.fail(*[CredentialRejected("no")] * 10)
        with running_broker(tokens, source, clock) as caller:
            assert caller.get("/readyz", {}).status == 200


def test_the_openapi_document_is_there_where_asked_for(source: ScriptedSource, clock: FakeClock) -> None:
    with running_broker(TOKENS, source, clock, expose_openapi=True) as caller:
        document = json.loads(caller.get("/openapi.json").body)
    assert {"/token", "/token/{name}", "/livez", "/readyz", "/healthz"} == set(document["paths"])
