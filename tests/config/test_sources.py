"""Where options come from: flags, environment, file, defaults."""

from pathlib import Path

import pytest
from configurations import FILE, GRAPH, refusal

from app.config import ConfigurationError, Settings, load


@pytest.mark.usefixtures("environment")
def test_the_environment_alone_makes_the_identity_default() -> None:
    identity = load().identities["default"]
    assert (identity.tenant, identity.client_id) == ("contoso.onmicrosoft.com", "client")
    assert identity.client_secret
    assert identity.client_secret.get_secret_value() == "s3cret"


@pytest.mark.usefixtures("environment")
def test_scopes_become_tokens_named_after_their_host() -> None:
    assert {name: token.scope for name, token in load().tokens.items()} == {"graph.microsoft.com": GRAPH}


@pytest.mark.parametrize(
    ("variable", "option"),
    [
        ("AZURE_CLIENT_SECRET_FILE", "client_secret_file"),
        ("AZURE_CLIENT_CERTIFICATE_PATH", "certificate_file"),
        ("AZURE_FEDERATED_TOKEN_FILE", "assertion_file"),
    ],
)
def test_azure_variables_name_files_from_the_working_directory(
    environment: pytest.MonkeyPatch, variable: str, option: str
) -> None:
    environment.delenv("AZURE_CLIENT_SECRET")
    environment.setenv(variable, "some/file")
    assert getattr(load().identities["default"], option) == Path.cwd() / "some/file"


def test_the_password_of_the_certificate_comes_from_azures_variable(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("AZURE_CLIENT_SECRET")
    environment.setenv("AZURE_CLIENT_CERTIFICATE_PATH", "/c.pfx")
    environment.setenv("AZURE_CLIENT_CERTIFICATE_PASSWORD", "pw")
    password = load().identities["default"].certificate_password
    assert password
    assert password.get_secret_value() == "pw"


@pytest.mark.parametrize("value", ["https://login.microsoftonline.us/", "login.microsoftonline.us"])
def test_azure_authority_host_is_a_url_or_a_host(environment: pytest.MonkeyPatch, value: str) -> None:
    environment.setenv("AZURE_AUTHORITY_HOST", value)
    assert load().identities["default"].authority == "https://login.microsoftonline.us"


def test_two_credentials_in_the_environment_are_named_by_their_variables(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AZURE_FEDERATED_TOKEN_FILE", "/token")
    assert refusal() == "AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE: exclude each other; keep one credential"


@pytest.mark.parametrize("name", ["AZURE_FEDERATED_TOKEN_FILE", "BROKER_LISTEN", "BROKER_LISTN", "BROKER_CONFIG"])
def test_a_blank_variable_counts_as_absent(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, " ")
    assert load().listen == ("127.0.0.1:7575",)


def test_a_file_with_identities_silences_azures_variables_by_name(
    environment: pytest.MonkeyPatch, file: Path
) -> None:
    environment.delenv("BROKER_SCOPES")
    settings = load({"config": file})
    assert settings.identities["default"].client_id == "from-file"
    assert set(settings.ignored_environment) == {"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}


@pytest.mark.usefixtures("environment")
def test_a_file_without_identities_leaves_azures_variables_in_force(tmp_path: Path) -> None:
    (tmp_path / "broker.toml").write_text('log_level = "debug"')
    settings = load({"config": tmp_path / "broker.toml"})
    assert settings.identities["default"].client_id == "client"
    assert settings.ignored_environment == ()


@pytest.mark.parametrize(
    ("flag", "variable", "written", "expected"),
    [
        ("error", "warning", "debug", "error"),
        (None, "warning", "debug", "warning"),
        (None, None, "debug", "debug"),
        (None, None, None, "info"),
    ],
)
def test_flag_beats_environment_beats_file_beats_default(
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
    flag: str | None,
    variable: str | None,
    written: str | None,
    expected: str,
) -> None:
    path = tmp_path / "broker.toml"
    path.write_text(f'log_level = "{written}"' if written else "")
    if variable:
        environment.setenv("BROKER_LOG_LEVEL", variable)
    assert load({"config": path, "log_level": flag}).log_level == expected


def test_the_configuration_file_is_named_by_the_environment_too(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    monkeypatch.setenv("BROKER_CONFIG", str(file))
    assert load().config == file


def test_a_flag_replaces_the_file_that_the_environment_names(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setenv("BROKER_CONFIG", "/nonexistent")
    assert load({"config": file}).config == file


@pytest.mark.parametrize("text", ["127.0.0.1:1,[::1]:2", "127.0.0.1:1 [::1]:2", " 127.0.0.1:1 , [::1]:2, "])
def test_lists_in_the_environment_are_separated_by_commas_or_spaces(
    environment: pytest.MonkeyPatch, text: str
) -> None:
    environment.setenv("BROKER_LISTEN", text)
    assert load().listen == ("127.0.0.1:1", "[::1]:2")


def test_environments_scopes_replace_the_files(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    file.write_text('scopes = ["https://vault.azure.net/.default"]\n' + FILE.partition("[tokens")[0])
    monkeypatch.setenv("BROKER_SCOPES", GRAPH)
    assert list(load({"config": file}).tokens) == ["graph.microsoft.com"]


def test_nothing_configured_says_how_to_begin() -> None:
    message = refusal()
    assert "BROKER_SCOPES" in message
    assert "[tokens.NAME]" in message
    assert "AZURE_TENANT_ID" in message


def test_all_problems_come_in_one_message(environment: pytest.MonkeyPatch, file: Path) -> None:
    environment.setenv("BROKER_LISTN", "x")
    environment.setenv("BROKER_LOG_FORMAT", "xml")
    environment.setenv("BROKER_SCOPES", "https://b.example/plain")
    file.write_text("""
    unknown_zzz = 1
    [identities.default]
    tenant = "consumers"
    client_id = 5
    client_secret = "x"
    [identities.second]
    tenant = "contoso.com"
    [tokens.graph]
    scope = "https://graph.microsoft.com/.default"
    identity = "absent"
    """)
    lines = [line.partition(":")[0] for line in refusal({"config": file, "listen": "0.0.0.0:1"}).splitlines()]
    assert lines == [
        "unknown_zzz",
        "BROKER_LISTN",
        "--listen (item 1)",
        "BROKER_LOG_FORMAT",
        "identities.default.tenant",
        "identities.default.client_id",
        "identities.second.client_id",
        "identities.second.client_secret, identities.second.certificate_file, identities.second.assertion_file",
        "tokens.graph.identity",
    ]


def test_the_error_has_its_problems_and_a_line_for_each() -> None:
    error = ConfigurationError(["one", "two"])
    assert error.problems == ("one", "two")
    assert str(error) == "one\ntwo"


@pytest.mark.usefixtures("environment")
def test_settings_built_directly_read_no_environment() -> None:
    assert Settings().scopes == ()


def test_paths_in_a_toml_file_are_relative_to_it(file: Path) -> None:
    file.write_text(
        'ca_bundle = "ca.pem"\n' + FILE.replace('client_secret = "s3cret"', 'client_secret_file = "keys/secret"')
    )
    settings = load({"config": file})
    assert settings.ca_bundle == file.parent / "ca.pem"
    assert settings.identities["default"].client_secret_file == file.parent / "keys/secret"


def test_a_path_in_the_environment_is_relative_to_the_working_directory(
    environment: pytest.MonkeyPatch, file: Path
) -> None:
    environment.setenv("BROKER_CA_BUNDLE", "ca.pem")
    environment.delenv("BROKER_SCOPES")
    assert load({"config": file}).ca_bundle == Path.cwd() / "ca.pem"
