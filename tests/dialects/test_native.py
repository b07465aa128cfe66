"""The native dialect: what it takes, and every byte it answers."""

from pathlib import Path

import pytest
from fastapi import Response
from starlette.datastructures import Headers

from app.core.broker import Issued
from app.core.catalog import Catalog, ConfiguredToken
from app.core.errors import (
    AccessDenied,
    CredentialError,
    CredentialRejected,
    InternalError,
    InvalidRequest,
    ScopeRejected,
    Throttled,
    Unavailable,
    UnknownToken,
)
from app.core.tokens import AccessToken, TokenRequest
from app.dialects import native
from app.dialects.base import Ask, Incoming, nearest, status_of

GRAPH = TokenRequest("default", "contoso", "https://graph.microsoft.com/.default")
ARM = TokenRequest("default", "contoso", "https://management.azure.com/.default")
CATALOG = Catalog(
    [
        ConfiguredToken("graph", GRAPH, tenants=frozenset({"fabrikam"})),
        ConfiguredToken("arm", ARM),
    ]
)
TOKEN = AccessToken("abc.def.ghi", 1_800_003_599, 4599.0, 3599)
CORRELATION_ID = "01234567-89ab-cdef-0123-456789abcdef"


def parse(query: str, name: str | None = None, **headers: str) -> Ask:
    return native.parse(Incoming(name, query, Headers(headers)), CATALOG)


@pytest.mark.parametrize(
    ("name", "query", "request_"),
    [
        ("graph", "", GRAPH),
        (None, "scope=https://graph.microsoft.com/.default", GRAPH),
        (None, "scope=https%3A%2F%2Fgraph.microsoft.com%2F.default", GRAPH),
        (None, "resource=https://graph.microsoft.com", GRAPH),
        (None, "resource=https://graph.microsoft.com/.default", GRAPH),
        (
            None,
            "resource=https://management.azure.com/",
            TokenRequest("default", "contoso", "https://management.azure.com//.default"),
        ),
        ("graph", "tenant=fabrikam", TokenRequest("default", "fabrikam", GRAPH.scope)),
        (
            None,
            "tenant=fabrikam&scope=https://graph.microsoft.com/.default",
            TokenRequest("default", "fabrikam", GRAPH.scope),
        ),
    ],
)
def test_which_token_is_meant(name: str | None, query: str, request_: TokenRequest) -> None:
    assert parse(query, name).request == request_


@pytest.mark.parametrize(
    "query",
    [
        "",  # two tokens, neither named default
        "scope=https://graph.microsoft.com/.default&scope=https://management.azure.com/.default",
        "scope=https://graph.microsoft.com/.default&scope=https://graph.microsoft.com/.default",
        "scopes=https://graph.microsoft.com/.default",
        "scope=https://graph.microsoft.com/.default&x=1",
        "Scope=https://graph.microsoft.com/.default",
        "scope=https://graph.microsoft.com/.default%20https://management.azure.com/.default",
        "scope=https://graph.microsoft.com/.default+https://management.azure.com/.default",
        "scope=",
        "resource=",
        "scope",
        "scope=https://graph.microsoft.com/.default&",
        "scope=%ff",
        "scope=https://GRAPH.microsoft.com/.default",
        "scope=https://vault.azure.net/.default",
        "scope=https://graph.microsoft.com/.default&resource=https://graph.microsoft.com",
        "scope=https://graph.microsoft.com/.default&tenant=evil",
        "scope=https://graph.microsoft.com/.default&tenant=",
        "scope=https://graph.microsoft.com/.default&min_ttl=",
        "scope=https://graph.microsoft.com/.default&min_ttl=-1",
        "scope=https://graph.microsoft.com/.default&min_ttl=1.5",
        "scope=https://graph.microsoft.com/.default&min_ttl=%D9%A3",
        "scope=https://graph.microsoft.com/.default&min_ttl=" + "9" * 10,
        "scope=https://graph.microsoft.com/.default&format=xml",
        "scope=https://graph.microsoft.com/.default&format=",
        "&".join(f"a{number}=1" for number in range(100)),
        "client_secret=canary",
    ],
)
def test_what_is_refused_and_not_echoed(query: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(query)
    assert "evil" not in str(raised.value)
    assert "canary" not in str(raised.value)


def test_a_name_and_a_scope_exclude_each_other() -> None:
    with pytest.raises(InvalidRequest, match="exclude"):
        parse("scope=https://graph.microsoft.com/.default", "graph")


def test_an_unknown_name() -> None:
    with pytest.raises(UnknownToken):
        parse("", "canary")


@pytest.mark.parametrize(
    ("query", "accept", "style"),
    [
        ("", "*/*", "json"),
        ("", "application/json", "json"),
        ("", "text/plain", "text"),
        ("", "Text/Plain; q=0.9", "text"),
        ("format=json", "text/plain", "json"),
        ("format=header", "*/*", "header"),
        ("format=text", "*/*", "text"),
    ],
)
def test_in_which_form(query: str, accept: str, style: str) -> None:
    assert parse(query, "graph", accept=accept).style == style


def test_min_ttl_is_passed_on() -> None:
    assert (parse("min_ttl=600", "graph").min_ttl, parse("", "graph").min_ttl) == (600, 0)


def test_the_document_names_every_parameter_the_parser_knows() -> None:
    documented = {
        one["name"] for route in native.DIALECT.routes for one in route.parameters if one["in"] == "query"
    }
    assert documented == native.PARAMETERS


def wire(response: Response) -> bytes:
    """The response as it goes over the wire, less what the server adds."""
    lines = [b"%d" % response.status_code, *(name + b": " + value for name, value in response.raw_headers)]
    return b"\n".join(lines) + b"\n\n" + bytes(response.body)


GOLDEN = Path(__file__).parent / "golden" / "native"

ANSWERS = {
    "json-hit": native.render(Ask(GRAPH), Issued(TOKEN, hit=True), 3000),
    "json-miss": native.render(Ask(GRAPH, style="json"), Issued(TOKEN, hit=False), 3599),
    "text": native.render(Ask(GRAPH, style="text"), Issued(TOKEN, hit=True), 3000),
    "header": native.render(Ask(GRAPH, style="header"), Issued(TOKEN, hit=True), 3000),
    "invalid-request": native.render_error(InvalidRequest("the scope is empty")),
    "unknown-token": native.render_error(UnknownToken("no token of this name is configured")),
    "access-denied": native.render_error(AccessDenied('add the header "Metadata: true"')),
    "invalid-scope": native.render_error(
        ScopeRejected("the authority does not accept the scope", aadsts=500011, correlation_id=CORRELATION_ID)
    ),
    "credential-rejected": native.render_error(
        CredentialRejected("rejected", aadsts=7000215, correlation_id=CORRELATION_ID, retry_after=59.5)
    ),
    "credential-error": native.render_error(CredentialError("the assertion file cannot be read")),
    "throttled": native.render_error(Throttled("wait", retry_after=16.2)),
    "unavailable": native.render_error(Unavailable("the authority cannot be reached", retry_after=0)),
    "internal-error": native.render_error(InternalError("internal error")),
    "method-not-allowed": native.problem(405, "method_not_allowed", "no such method", allow="GET"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_byte_of_an_answer(name: str) -> None:
    assert wire(ANSWERS[name]) == (GOLDEN / f"{name}.txt").read_bytes()


def test_there_is_no_golden_body_without_an_answer() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == set(ANSWERS)


def test_a_class_without_a_row_of_its_own_takes_its_ancestors() -> None:
    class Special(Throttled):
        pass

    assert status_of(Special("x")) == 429
    assert nearest(native.ERROR_CODES, Special("x")) == "upstream_throttled"
