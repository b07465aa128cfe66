"""Configurations for tests, and loading them."""

from pathlib import Path

import pytest

from app.config import ConfigurationError, Settings, load

GRAPH = "https://graph.microsoft.com/.default"
MINIMAL = {
    "AZURE_TENANT_ID": "contoso.onmicrosoft.com",
    "AZURE_CLIENT_ID": "client",
    "AZURE_CLIENT_SECRET": "s3cret",
    "BROKER_SCOPES": GRAPH,
}
FILE = """
[identities.default]
tenant = "contoso.com"
client_id = "from-file"
client_secret = "s3cret"
[tokens.graph]
scope = "https://graph.microsoft.com/.default"
"""


def refusal(flags: dict[str, object] | None = None) -> str:
    """Load what must be refused, and return what is said."""
    with pytest.raises(ConfigurationError) as refused:
        load(flags)
    return str(refused.value)


def loaded_file(path: Path, text: str) -> Settings:
    path.write_text(text)
    return load({"config": path})


def refused_file(path: Path, text: str) -> str:
    path.write_text(text)
    return refusal({"config": path})
