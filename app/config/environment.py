"""What the environment says: `BROKER_*` for the broker's options, `AZURE_*` for the one identity `default`.

pydantic-settings ignores a misspelt variable, so a misspelt safety switch would silently be off: the names are
checked here. A blank variable counts as absent, because compose files write `NAME=${NAME:-}`.
"""

import os
import re
from collections.abc import Collection, Iterator
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource

from app.config.problems import Problems

PREFIX = "BROKER_"

# Kubernetes puts these into every pod of a namespace that has a Service named `broker` or `broker-...`:
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_KUBERNETES = re.compile(
    r"BROKER_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_PORT|_PROTO|_ADDR)?)=.*"
    r"|BROKER_(\w+_)?PORT=(tcp|udp|sctp)://.*"  # a number there is a person's, who expects it to be obeyed
)

# The names Azure's own tools read, and the options of an identity they stand for.
_AZURE = {
    "AZURE_TENANT_ID": "tenant",
    "AZURE_CLIENT_ID": "client_id",
    "AZURE_CLIENT_SECRET": "client_secret",
    "AZURE_CLIENT_SECRET_FILE": "client_secret_file",
    "AZURE_CLIENT_CERTIFICATE_PATH": "certificate_file",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD": "certificate_password",
    "AZURE_FEDERATED_TOKEN_FILE": "assertion_file",
    "AZURE_AUTHORITY_HOST": "authority",
}


class EnvironmentSource(EnvSettingsSource):
    """`BROKER_*`, for the options that one string can hold."""

    def __init__(self, settings: type[BaseSettings], options: Collection[str]) -> None:
        super().__init__(settings, case_sensitive=False, env_prefix=PREFIX)
        self._options = options

    def __call__(self) -> dict[str, Any]:
        found = super().__call__()
        return {name: value for name, value in found.items() if name in self._options and value.strip()}


def _given() -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in os.environ.items() if value.strip())


def check_names(options: Collection[str], problems: Problems) -> None:
    """Add the `BROKER_*` variables that stand for nothing, and take over the names of those that do."""
    known = {PREFIX + option.upper(): option for option in options}
    for variable, value in _given():
        if not variable.upper().startswith(PREFIX):
            continue
        if variable in known:
            problems.rename([(known[variable], variable)])
        elif not _KUBERNETES.fullmatch(f"{variable}={value}"):
            problems.unknown(variable, known, key=variable.upper())


def environment_proxy() -> tuple[str, str] | None:
    """Return the name and the URL of the proxy for https that the environment names, if it names one."""
    for name in ("https_proxy", "HTTPS_PROXY"):  # in the order of curl and Python
        if url := os.environ.get(name, "").strip():
            return name, url if "://" in url else f"http://{url}"
    return None


def azure_variables() -> list[str]:
    """Return the names of the variables that would make an identity."""
    return [name for name, _ in _given() if name in _AZURE]


def azure_identity(where: str, problems: Problems) -> dict[str, str]:
    """Return the identity that Azure's variables make, empty if none of them is set."""
    problems.rename((f"{where}.{option}", name) for name, option in _AZURE.items())
    table = {_AZURE[name]: value for name, value in _given() if name in _AZURE}
    # Azure's SDKs take a host as well as a URL here.
    if "://" not in table.get("authority", "://"):
        table["authority"] = f"https://{table['authority']}"
    return table
