"""Finding the token a caller means."""

import pytest

from app.core.catalog import Catalog, ConfiguredToken
from app.core.errors import InvalidRequest, UnknownToken
from app.core.tokens import TokenRequest

GRAPH = TokenRequest("default", "contoso", "https://graph.microsoft.com/.default")
VAULT = TokenRequest("reports", "contoso", "https://vault.azure.net/.default")
GRAPH_FOR_REPORTS = TokenRequest("reports", "contoso", "https://graph.microsoft.com/.default")


def catalog(**requests: TokenRequest) -> Catalog:
    return Catalog(
        ConfiguredToken(name, request, tenants=frozenset({"fabrikam"})) for name, request in requests.items()
    )


def test_by_name() -> None:
    assert catalog(graph=GRAPH, vault=VAULT).find_named("vault") == VAULT


def test_an_unknown_name_is_not_echoed() -> None:
    with pytest.raises(UnknownToken) as raised:
        catalog(graph=GRAPH).find_named("xyzzy")
    assert "xyzzy" not in str(raised.value)


def test_without_a_name_the_only_one() -> None:
    assert catalog(graph=GRAPH).find_named(None) == GRAPH


def test_without_a_name_the_one_called_default() -> None:
    assert catalog(graph=GRAPH, default=VAULT).find_named(None) == VAULT


def test_without_a_name_several_are_ambiguous() -> None:
    with pytest.raises(InvalidRequest, match="several"):
        catalog(graph=GRAPH, vault=VAULT).find_named(None)


@pytest.mark.parametrize("scope", ["https://vault.azure.net/.default", "https://vault.azure.net//.default"])
def test_by_scope_with_or_without_a_slash_and_upstream_gets_what_was_asked(scope: str) -> None:
    found = catalog(graph=GRAPH, vault=VAULT).find_scope(scope)
    assert found == TokenRequest("reports", "contoso", scope)


@pytest.mark.parametrize(
    "scope",
    ["https://VAULT.azure.net/.default", "https://vault.azure.net///.default", "https://vault.azure.net", "other"],
)
def test_a_scope_that_is_not_configured_is_refused(scope: str) -> None:
    with pytest.raises(InvalidRequest):
        catalog(graph=GRAPH, vault=VAULT).find_scope(scope)


def test_an_exact_spelling_wins_over_a_similar_one() -> None:
    slashed = TokenRequest("default", "contoso", "https://graph.microsoft.com//.default")
    assert catalog(a=GRAPH, b=slashed).find_scope(slashed.scope) == slashed


def test_of_several_identities_the_default_one_has_it() -> None:
    assert catalog(a=GRAPH_FOR_REPORTS, b=GRAPH).find_scope(GRAPH.scope) == GRAPH


def test_several_identities_without_a_default_are_ambiguous() -> None:
    other = TokenRequest("audit", "contoso", GRAPH.scope)
    with pytest.raises(InvalidRequest, match="several"):
        catalog(a=GRAPH_FOR_REPORTS, b=other).find_scope(GRAPH.scope)


def test_a_tenant_tells_tokens_of_one_scope_apart() -> None:
    there = TokenRequest("reports", "adatum", GRAPH.scope)
    tokens = Catalog([ConfiguredToken("a", GRAPH_FOR_REPORTS), ConfiguredToken("b", there)])
    assert tokens.find_scope(GRAPH.scope, "adatum") == there
    with pytest.raises(InvalidRequest, match="several"):
        tokens.find_scope(GRAPH.scope)


def test_an_issuers_scope_has_one_spelling() -> None:
    tokens = catalog(a=TokenRequest("default", "", "read"))
    for scope in ("read/.default", "read//.default"):
        with pytest.raises(InvalidRequest):
            tokens.find_scope(scope)


def test_a_listed_tenant_may_be_named_and_no_other() -> None:
    tokens = catalog(graph=GRAPH)
    assert tokens.find_named("graph", "fabrikam").tenant == "fabrikam"
    assert tokens.find_named("graph", "Contoso") == GRAPH
    for tenant in ("evil", "", "common"):
        with pytest.raises(InvalidRequest):
            tokens.find_named("graph", tenant)
