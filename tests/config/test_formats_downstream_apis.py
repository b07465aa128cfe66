"""The DownstreamApis of an appsettings.json: which become tokens, and what is said of the others."""

import json
from pathlib import Path
from typing import Any

import pytest
from configurations import loaded_file, refused_file

from app.config import Settings

GRAPH = "https://graph.microsoft.com/.default"
FILLED = (
    (Path(__file__).parent / "samples" / "dotnet-azuread.json")
    .read_text()
    .replace("[Enter here the tenantID or domain name for your Azure AD tenant]", "contoso.onmicrosoft.com")
    .replace("[Enter here the ClientId for your application]", "client")
    .replace("[Enter here a client secret for your application]", "s3cret")
)


def with_apis(**apis: Any) -> str:
    return json.dumps(json.loads(FILLED) | {"DownstreamApis": apis})


def loaded(tmp_path: Path, text: str) -> Settings:
    return loaded_file(tmp_path / "appsettings.json", text)


def refusal(tmp_path: Path, text: str) -> str:
    return refused_file(tmp_path / "appsettings.json", text)


def names_in(message: str) -> list[str]:
    return [line.partition(": ")[0] for line in message.splitlines()]


def test_downstream_apis_become_tokens(tmp_path: Path) -> None:
    tokens = loaded(tmp_path, FILLED).tokens
    assert {name: token.scope for name, token in tokens.items()} == {"MicrosoftGraph": GRAPH}


def test_a_token_may_name_a_tenant(tmp_path: Path) -> None:
    api = {"Scopes": [GRAPH], "AcquireTokenOptions": {"Tenant": "contoso.onmicrosoft.com"}}
    assert loaded(tmp_path, with_apis(Graph=api)).tokens["Graph"].tenant == "contoso.onmicrosoft.com"


@pytest.mark.parametrize("scopes", [GRAPH, [GRAPH]])
@pytest.mark.parametrize("app", [{}, {"RequestAppToken": True}, {"RequestAppToken": "True"}])
def test_scopes_are_a_list_or_text(tmp_path: Path, scopes: Any, app: dict[str, Any]) -> None:
    assert loaded(tmp_path, with_apis(Graph={"Scopes": scopes} | app)).tokens["Graph"].scope == GRAPH


@pytest.mark.parametrize(
    ("api", "name", "message"),
    [
        ({"Scopes": ["user.read"]}, "DownstreamApis:Api", "asks for a user's token"),
        ({"Scopes": [GRAPH], "RequestAppToken": False}, "DownstreamApis:Api", "asks for a user's token"),
        ({"Scopes": {"a": GRAPH}}, "DownstreamApis:Api", "asks for a user's token"),
        ({"Scopes": [GRAPH, "https://a.b/.default"]}, "DownstreamApis:Api:Scopes", "exactly one scope"),
        ({"Scopes": ["[Enter here the scopes for your web API]"]}, "DownstreamApis:Api:Scopes", "fill it in"),
        ({"BaseUrl": "https://a.b"}, "DownstreamApis:Api:Scopes", "fill it in"),
        ("text", "DownstreamApis:Api:Scopes", "fill it in"),
        ({"Scopes": [GRAPH], "ProtocolScheme": "Pop"}, "DownstreamApis:Api:ProtocolScheme", "only Bearer"),
        (
            {"Scopes": [GRAPH], "AcquireTokenOptions": {"ManagedIdentity": {}}},
            "DownstreamApis:Api:AcquireTokenOptions",
            "only Tenant",
        ),
        ({"Scopes": [GRAPH], "AcquireTokenOptions": 5}, "DownstreamApis:Api:AcquireTokenOptions", "only Tenant"),
        (
            {"Scopes": [GRAPH], "AcquireTokenOptions": {"Tenant": "other.com"}},
            "DownstreamApis:Api:AcquireTokenOptions:Tenant",
            "is not among the tenants",
        ),
        ({"Scopes": ["https://a.b/ .default /.default"]}, "DownstreamApis:Api:Scopes", "exactly one scope"),
    ],
)
def test_an_api_that_no_application_token_is_for_is_named(
    tmp_path: Path, api: Any, name: str, message: str
) -> None:
    found = refusal(tmp_path, with_apis(Api=api))
    assert names_in(found) == [name]
    assert message in found


def test_an_entry_whose_name_cannot_be_a_tokens_is_named(tmp_path: Path) -> None:
    assert names_in(refusal(tmp_path, with_apis(**{"My Api": {"Scopes": [GRAPH]}}))) == ["DownstreamApis:My Api"]


def test_downstream_apis_that_are_no_object_are_refused(tmp_path: Path) -> None:
    text = json.dumps(json.loads(FILLED) | {"DownstreamApis": []})
    assert names_in(refusal(tmp_path, text)) == ["DownstreamApis"]
