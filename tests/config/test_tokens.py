"""Which tokens can be configured, and how those of `scopes` are named."""

from pathlib import Path

import pytest

from app.config import ConfigurationError, Settings, load

IDENTITIES = """
[identities.default]
tenant = "contoso.com"
tenants = ["fabrikam.com"]
client_id = "c"
client_secret = "s"
[identities.issuer]
authority_type = "oidc"
authority = "https://idp.example/realm"
client_id = "c"
client_secret = "s"
"""
GRAPH = "https://graph.microsoft.com/.default"


def loaded(tmp_path: Path, text: str, top: str = "") -> Settings:
    (tmp_path / "broker.toml").write_text(top + IDENTITIES + text)
    return load({"config": tmp_path / "broker.toml"})


def refusal(tmp_path: Path, text: str, top: str = "") -> str:
    with pytest.raises(ConfigurationError) as refused:
        loaded(tmp_path, text, top)
    return str(refused.value)


def test_a_token_has_defaults(tmp_path: Path) -> None:
    token = loaded(tmp_path, f"[tokens.graph]\nscope = '{GRAPH}'").tokens["graph"]
    assert (token.scope, token.identity, token.tenant) == (GRAPH, "default", None)
    assert token.keep_warm
    assert token.required is None  # what keep_warm says


def test_what_is_not_kept_warm_cannot_be_required(tmp_path: Path) -> None:
    found = refusal(tmp_path, f"[tokens.a]\nscope = '{GRAPH}'\nkeep_warm = false\nrequired = true")
    assert "a token that is not kept warm cannot be required" in found


def test_a_token_may_name_one_of_its_identitys_tenants(tmp_path: Path) -> None:
    token = loaded(tmp_path, f"[tokens.graph]\nscope = '{GRAPH}'\ntenant = 'Fabrikam.com'").tokens["graph"]
    assert token.tenant == "fabrikam.com"


def test_an_oidc_scope_is_any_scope(tmp_path: Path) -> None:
    assert loaded(tmp_path, "[tokens.a]\nscope = 'read:all'\nidentity = 'issuer'").tokens["a"].scope == "read:all"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tokens.a]", "tokens.a.scope: is required"),
        ("[tokens.a]\nscope = 'https://a.b https://c.d'", "tokens.a.scope: exactly one scope"),
        ("[tokens.a]\nscope = 'https://a.b/read'", "tokens.a.scope: must be a resource followed by /.default"),
        ("[tokens.a]\nscope = '/.default'", "tokens.a.scope: names no resource"),
        (f"[tokens.a]\nscope = '{GRAPH}'\nidentity = 'x'", "tokens.a.identity: names one that is not configured"),
        (f"[tokens.a]\nscope = '{GRAPH}'\ntenant = 'other.com'", "tokens.a.tenant: is not among the tenants"),
        (f"[tokens.a]\nscope = '{GRAPH}'\nkeep_warm = 'perhaps'", "tokens.a.keep_warm: must be true or false"),
        (f"[tokens.a]\nscope = '{GRAPH}'\nrequired = []", "tokens.a.required: must be true or false"),
        (
            f"[tokens.a]\nscope = '{GRAPH}'\n[tokens.b]\nscope = '{GRAPH}'\ntenant = 'contoso.com'",
            "tokens.a.scope, tokens.b.scope: are the same token; keep one",
        ),
        (f"[tokens.'a/b']\nscope = '{GRAPH}'", "tokens.a/b: a name has"),
        (f"[tokens.'a@b']\nscope = '{GRAPH}'", "tokens.a@b: a name has"),
        (f"[tokens.'..']\nscope = '{GRAPH}'", "tokens...: a name has"),
        (f"[tokens.{'a' * 129}]\nscope = '{GRAPH}'", "tokens.aaa"),
        ("[tokens]\na = 'x'", "tokens.a: must be a table"),
    ],
)
def test_a_token_that_cannot_be_asked_for_is_named(tmp_path: Path, text: str, message: str) -> None:
    found = refusal(tmp_path, text)
    assert found.startswith(message)
    assert "\n" not in found


def test_the_same_scope_in_another_tenant_is_another_token(tmp_path: Path) -> None:
    text = f"[tokens.a]\nscope = '{GRAPH}'\n[tokens.b]\nscope = '{GRAPH}'\ntenant = 'fabrikam.com'"
    assert len(loaded(tmp_path, text).tokens) == 2


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        (GRAPH, "graph.microsoft.com"),
        ("https://Vault.azure.net/.default", "vault.azure.net"),
        ("https://management.azure.com//.default", "management.azure.com"),
        ("https://localhost:44372/.default", "localhost"),
        ("https://contoso.com/reports/.default", "contoso.com"),
        ("api://1e2fb196-50ce/.default", "1e2fb196-50ce"),
        ("api://contoso.com/reports/.default", "reports"),
        ("1e2fb196-50ce/.default", "1e2fb196-50ce"),
    ],
)
def test_a_scopes_token_is_named_after_its_resource(tmp_path: Path, scope: str, name: str) -> None:
    assert {name: token.scope for name, token in loaded(tmp_path, "", f"scopes = '{scope}'\n").tokens.items()} == {
        name: scope
    }


@pytest.mark.parametrize(
    "scopes",
    [
        "['https://a.b/c/.default', 'https://a.b/d/.default']",
        "['https://a@b/.default']",
        "'https://[::1]/.default'",
    ],
)
def test_scopes_without_a_name_of_their_own_are_sent_to_the_tokens_table(tmp_path: Path, scopes: str) -> None:
    assert refusal(tmp_path, "", f"scopes = {scopes}\n").startswith("scopes: no name of its own")


def test_the_same_scope_twice_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "", f"scopes = ['{GRAPH}', '{GRAPH}']\n") == "scopes: names the same one twice"


def test_scopes_are_added_to_the_tokens_table(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path, "[tokens.vault]\nscope = 'https://vault.azure.net/.default'", f"scopes = '{GRAPH}'\n"
    )
    assert set(settings.tokens) == {"vault", "graph.microsoft.com"}


def test_a_token_both_in_scopes_and_in_the_table_is_refused(tmp_path: Path) -> None:
    found = refusal(tmp_path, f"[tokens.graph]\nscope = '{GRAPH}'", f"scopes = '{GRAPH}'\n")
    assert found == "tokens.graph.scope, scopes: are the same token; keep one"


def test_a_token_may_not_have_the_name_that_a_scope_gets(tmp_path: Path) -> None:
    found = refusal(
        tmp_path, "[tokens.'graph.microsoft.com']\nscope = 'https://a.b/.default'", f"scopes = '{GRAPH}'\n"
    )
    assert found.startswith("scopes, tokens.graph.microsoft.com: have a token of the same name")


def test_a_plain_scope_is_named_by_the_variable_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_SCOPES", "https://a.b/read")
    assert refusal(tmp_path, "").startswith("BROKER_SCOPES: must be a resource followed by /.default")


def test_scopes_need_the_identity_default(tmp_path: Path) -> None:
    (tmp_path / "broker.toml").write_text(f"scopes = '{GRAPH}'" + IDENTITIES.replace(".default]", ".reports]"))
    with pytest.raises(ConfigurationError, match="scopes: needs the identity default, which is not configured"):
        load({"config": tmp_path / "broker.toml"})
