"""Every option of the broker: its name, type, default and meaning, and where its value comes from.

A flag beats the environment, the environment beats the file. What is not known is refused and never ignored,
and everything that is wrong is said at once.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.config import formats
from app.config.environment import (
    PREFIX,
    EnvironmentSource,
    azure_identity,
    azure_variables,
    check_names,
    environment_proxy,
)
from app.config.grammar import (
    NAME,
    NAME_RULE,
    Addresses,
    AuthorityHost,
    GivenPath,
    Lowercase,
    ProxyUrl,
    Scopes,
)
from app.config.identities import IdentitySettings, check_identity, split_authority
from app.config.named_tokens import TokenSettings, check_tokens, tokens_of
from app.config.problems import Problems, report, validated


class ConfigurationError(Exception):
    """The configuration cannot be used. The text has a line for each of its `problems`."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Settings(BaseSettings):
    """The options, as `load` found them. Built directly, it holds what it is given and reads no environment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, enable_decoding=False, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    # The file that the other options may be in: TOML, or one of Microsoft's two formats.
    config: GivenPath | None = None
    # Where callers connect: HOST:PORT, [IPV6]:PORT or unix:/PATH; port 0 lets the system choose one.
    listen: Addresses = ("127.0.0.1:7575",)
    # Scopes of the identity `default`; each becomes a token named after its resource.
    scopes: Scopes = ()
    # Replaces the host of every Entra authority, for emulators and private clouds; https://HOST[:PORT].
    authority_host: AuthorityHost | None = None
    # PEM file of the certificate authorities to trust instead of the system's.
    ca_bundle: GivenPath | None = None
    # The proxy to reach the authority through; may hold a password.
    proxy_url: Annotated[ProxyUrl | None, Field(repr=False)] = None
    # Not an option but a finding: the environment's proxy, which holds where proxy_url does not.
    environment_proxy: Annotated[ProxyUrl | None, Field(repr=False)] = None
    # The least important lines that are written.
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lowercase] = "info"
    # A line for people, or a JSON object a line.
    log_format: Annotated[Literal["text", "json"], Lowercase] = "text"
    # Serve /openapi.json.
    expose_openapi: bool = False
    # The app registrations, by name.
    identities: dict[str, IdentitySettings] = Field(default_factory=dict)
    # The tokens that may be asked for, by name; those of `scopes` included.
    tokens: dict[str, TokenSettings] = Field(default_factory=dict)
    # Not options but findings: Azure's variables that are set and not used, since a file has the identities.
    ignored_environment: tuple[str, ...] = ()
    # What works but deserves a line in the log.
    warnings: tuple[str, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


_FINDINGS = {"environment_proxy", "ignored_environment", "warnings"}
_TABLES = {"identities": IdentitySettings, "tokens": TokenSettings}
# What a flag or a variable can say: one string.
_OPTIONS = Settings.model_fields.keys() - _TABLES.keys() - _FINDINGS
_IN_FILE = (_OPTIONS | _TABLES.keys()) - {"config"}


def load(flags: Mapping[str, object] | None = None) -> Settings:
    """Return the settings that flags, environment and file make, or raise ConfigurationError.

    `flags` are options of the top level by their names; one that is None was not given.
    """
    problems = Problems()
    # Raised here, far from where it was found: a traceback must not lead to frames that hold secrets.
    settings = _settings({name: flag for name, flag in (flags or {}).items() if flag is not None}, problems)
    if problems.messages:
        raise ConfigurationError(problems.messages)
    return settings


def _settings(flags: dict[str, object], problems: Problems) -> Settings:
    """Return the settings, of no use where `problems` has any."""
    file = _file(flags, problems)
    # After the file, whose names they replace: what stands is what the author of the value wrote.
    check_names(_OPTIONS, problems)
    problems.rename((name, "--" + name.replace("_", "-")) for name in flags)
    settings = _merged(flags, file or {}, problems)
    if file is None:
        return settings
    azure = tuple(azure_variables())
    in_file = bool(file.get("identities"))
    given = _table(file, "identities", problems)
    directory = settings.config.parent if settings.config else None
    if azure and not in_file:
        given, directory = {"default": azure_identity("identities.default", problems)}, None
    identities = {name: _identity(name, table, directory, problems) for name, table in given.items()}
    tokens = _tokens(_table(file, "tokens", problems), settings.scopes, problems)
    _check_any(identities, tokens, problems)
    return settings.model_copy(
        update={
            "identities": {name: identity for name, identity in identities.items() if identity},
            "tokens": {name: token for name, token in tokens.items() if token},
            "ignored_environment": azure if in_file else (),
            "warnings": _warnings(identities),
        }
    )


def _file(flags: Mapping[str, object], problems: Problems) -> dict[str, Any] | None:
    """Return what the configuration file says, empty if there is none, None if it cannot be used."""
    given = flags.get("config") or os.environ.get(f"{PREFIX}CONFIG", "").strip()
    if not given:
        return {}
    problems.rename([("config", "--config" if "config" in flags else f"{PREFIX}CONFIG")])
    path = Path(str(given)).absolute()
    file = formats.read(path, problems)
    if file and isinstance(file.get("ca_bundle"), str) and file["ca_bundle"].strip():
        file["ca_bundle"] = str(path.parent / file["ca_bundle"])
    known = {name: name for name in sorted(_IN_FILE)}
    for key in file or {}:
        if key not in known:
            problems.unknown(key, known)
    return file


def _merged(flags: dict[str, object], file: dict[str, Any], problems: Problems) -> Settings:
    """Return the options outside tables, by precedence, less those that are no good."""
    in_file = {name: value for name, value in file.items() if name in _OPTIONS - {"config"}}
    values: dict[str, Any] = in_file | EnvironmentSource(Settings, _OPTIONS)() | flags
    if found := environment_proxy():
        name, values["environment_proxy"] = found
        problems.rename([("environment_proxy", name)])
    try:
        return Settings(**values)
    except ValidationError as invalid:
        report(invalid, "", _OPTIONS, problems)
        bad = {error["loc"][0] for error in invalid.errors(include_input=False)}
    return Settings(**{name: value for name, value in values.items() if name not in bad})


def _table(file: Mapping[str, Any], name: str, problems: Problems) -> dict[str, Any]:
    """Return a table of named tables, less what is none or has a name that is none."""
    table = file.get(name, {})
    if not isinstance(table, dict):
        problems.add("must be a table", name)
        return {}
    named: dict[str, Any] = {}
    for key, value in table.items():
        if NAME.fullmatch(key) and isinstance(value, dict):
            named[key] = value
        else:
            problems.add("must be a table" if NAME.fullmatch(key) else NAME_RULE, f"{name}.{key}")
            problems.settle(name)
    return named


def _identity(
    name: str, table: dict[str, Any], directory: Path | None, problems: Problems
) -> IdentitySettings | None:
    where, given = f"identities.{name}", split_authority(table)
    identity = validated(IdentitySettings, given, where, problems, directory)
    check_identity(given, where, problems)
    return identity


def _tokens(
    table: Mapping[str, Any], scopes: Iterable[str], problems: Problems
) -> dict[str, TokenSettings | None]:
    """Return the tokens of the table and of `scopes`; one that is None has problems of its own."""
    tokens = {name: validated(TokenSettings, value, f"tokens.{name}", problems) for name, value in table.items()}
    for name, token in tokens_of(scopes, problems).items():
        if name in tokens:
            problems.add("have a token of the same name; remove one", "scopes", f"tokens.{name}")
        problems.rename(
            (f"tokens.{name}.{option}", problems.names.get("scopes", "scopes")) for option in ("scope", "identity")
        )
        tokens[name] = token
    return tokens


def _check_any(
    identities: Mapping[str, IdentitySettings | None],
    tokens: Mapping[str, TokenSettings | None],
    problems: Problems,
) -> None:
    """Add that there is nothing to ask for or nobody to ask as; else check the one against the other."""
    if not tokens and not {"scopes", "tokens"} & problems.settled:
        problems.add(
            "no token is configured; set BROKER_SCOPES, for example to https://graph.microsoft.com/.default, or"
            " add [tokens.NAME] to the file (in appsettings.json: DownstreamApis)"
        )
    if identities:
        check_tokens({name: token for name, token in tokens.items() if token}, identities, problems)
    elif "identities" not in problems.settled:
        problems.add(
            "no identity is configured; set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or add"
            " [identities.default] to the file"
        )


def _warnings(identities: Mapping[str, IdentitySettings | None]) -> tuple[str, ...]:
    return tuple(
        f"identities.{name}: MSAL calls `organizations` unreliable, since it leaves open which tenant answers;"
        " give the tenant's id or domain"
        for name, identity in identities.items()
        if identity and identity.tenant == "organizations"
    )
