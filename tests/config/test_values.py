"""How the values of the broker's own options are written, and what is said of those that are not."""

from pathlib import Path

import pytest

from app.config import ConfigurationError, Settings, load


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("BROKER_SCOPES", "https://graph.microsoft.com/.default")


def with_option(option: str, value: object) -> Settings:
    return load({option: value})


def refusal(option: str, value: object) -> str:
    with pytest.raises(ConfigurationError) as refused:
        with_option(option, value)
    assert str(refused.value).startswith(f"--{option.replace('_', '-')}")
    return str(refused.value)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:7575", "127.8.9.10:1", "localhost:0", "[::1]:65535", "unix:/run/token-broker/broker.sock"],
)
def test_loopback_addresses_and_unix_sockets_are_served(address: str) -> None:
    assert with_option("listen", address).listen == (address,)


@pytest.mark.parametrize("address", ["0.0.0.0:7575", "[::]:7575", "10.0.0.4:80", "broker.example:80"])
def test_any_other_address_is_refused_with_the_reason(address: str) -> None:
    assert "callers' keys" in refusal("listen", address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:99999", "::1:80", ":80", "http://localhost:80"])
def test_what_is_no_address_is_refused(address: str) -> None:
    assert "must be HOST:PORT" in refusal("listen", address)


def test_a_relative_unix_path_is_refused() -> None:
    assert "absolute" in refusal("listen", "unix:broker.sock")


@pytest.mark.parametrize("value", [[], ["127.0.0.1:1", "127.0.0.1:1"], [{"address": "127.0.0.1:1"}], 7])
def test_listen_is_a_list_of_different_addresses_as_text(value: object) -> None:
    refusal("listen", value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:8443", "https://localhost:8443"),
        ("Login.Example", "https://login.example"),
        ("https://localhost:8443/", "https://localhost:8443"),
        ("[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_authority_host_becomes_a_url(text: str, expected: str) -> None:
    assert with_option("authority_host", text).authority_host == expected


def test_authority_host_over_http_is_refused_with_the_reason() -> None:
    assert "in the clear" in refusal("authority_host", "http://localhost:8080")


@pytest.mark.parametrize("text", ["https://a.example/tenant", "https://user@a.example", "a b", "a:99999", "-"])
def test_what_is_no_authority_host_is_refused(text: str) -> None:
    refusal("authority_host", text)


@pytest.mark.parametrize("url", ["http://proxy.example:3128", "https://user:pa55@proxy.example:3128/"])
def test_a_proxy_is_an_http_or_https_url(url: str) -> None:
    assert with_option("proxy_url", url).proxy_url == url


@pytest.mark.parametrize("url", ["socks5://proxy:1080", "proxy:3128", "http://proxy:3128/path", "http://p:99999"])
def test_what_is_no_proxy_is_refused(url: str) -> None:
    refusal("proxy_url", url)


def test_words_that_stand_for_a_choice_may_be_in_capitals() -> None:
    assert with_option("log_level", "WARNING").log_level == "warning"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("log_level", "loud", "--log-level: must be 'debug', 'info', 'warning' or 'error'"),
        ("log_format", 1, "--log-format: must be 'text' or 'json'"),
        ("expose_openapi", "maybe", "--expose-openapi: must be true or false"),
        ("ca_bundle", "", "--ca-bundle: is empty; it must name a file"),
        ("ca_bundle", 5, "--ca-bundle: must be a path, in quotes"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_saying_what_it_must_be(
    option: str, value: object, message: str
) -> None:
    assert refusal(option, value) == message


def test_an_unknown_flag_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="lisen: no such option in this version; did you mean listen"):
        with_option("lisen", "127.0.0.1:1")


def test_true_and_false_can_be_said_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_EXPOSE_OPENAPI", "true")
    assert load().expose_openapi


@pytest.mark.parametrize("scope", ["a\u00e9/.default", "x" * 600, "/.default"])
def test_a_configured_scope_is_held_to_the_rules_of_scopes(scope: str) -> None:
    refusal("scopes", [scope])


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.config = tmp_path
