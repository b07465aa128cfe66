"""Which names of variables and keys are refused, and which are somebody else's."""

from pathlib import Path

import pytest
from configurations import FILE, GRAPH, refusal

from app.config import load


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("BROKER_LISTN", "BROKER_LISTN: no such option in this version; did you mean BROKER_LISTEN?"),
        ("broker_listen", "broker_listen: no such option in this version; did you mean BROKER_LISTEN?"),
        ("BROKER_ZZZZZZZZZZ", "BROKER_ZZZZZZZZZZ: no such option in this version"),
        ("BROKER_IDENTITIES", "BROKER_IDENTITIES: no such option in this version"),
        ("BROKER_TOKENS", "BROKER_TOKENS: no such option in this version"),
        ("BROKER_WARNINGS", "BROKER_WARNINGS: no such option in this version"),
        ("BROKER_CALLER_KEY", "BROKER_CALLER_KEY: no such option in this version"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(
    environment: pytest.MonkeyPatch, name: str, message: str
) -> None:
    environment.setenv(name, "{}")
    assert refusal().startswith(message)


@pytest.mark.parametrize(
    "name",
    [
        "BROKER_SERVICE_HOST",
        "BROKER_SERVICE_PORT",
        "BROKER_SERVICE_PORT_HTTP",
        "BROKER_PORT",
        "BROKER_PORT_7575_TCP",
        "BROKER_PORT_7575_TCP_ADDR",
        "BROKER_FOR_REPORTS_SERVICE_HOST",
        "BROKER_FOR_REPORTS_PORT_80_TCP_PROTO",
    ],
)
def test_what_kubernetes_injects_for_a_service_is_passed_over(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "tcp://10.0.0.1:7575")
    assert load().tokens


@pytest.mark.parametrize("name", ["BROKER_PORT", "BROKER_LISTEN_PORT"])
def test_a_port_number_is_not_taken_for_kubernetes(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "8080")
    assert f"{name}: no such option" in refusal()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('lisen = "127.0.0.1:1"', "lisen: no such option in this version; did you mean listen?"),
        ('Listen = "127.0.0.1:1"', "Listen: no such option in this version; did you mean listen?"),
        ('config = "x"', "config: no such option in this version"),
        ("ignored_environment = []", "ignored_environment: no such option in this version"),
        ('audit = "every"', "audit: no such option in this version"),
        ("[callers.billing]", "callers: no such option in this version"),
        ("[token.graph]", "token: no such option in this version; did you mean tokens?"),
        (
            "[identities.other]\nclient_secrt = 'x'\ntenant = 't'\nclient_id = 'c'",
            "identities.other.client_secrt: no such option in this version; did you mean client_secret?",
        ),
        (
            "[identities.other]\ncae = true\ntenant = 't'\nclient_id = 'c'\nclient_secret = 's'",
            "identities.other.cae: no such option in this version",
        ),
        (
            "[identities.other]\nclient_secret_expires_on = 1\ntenant = 't'\nclient_id = 'c'\nclient_secret = 's'",
            "identities.other.client_secret_expires_on: no such option in this version",
        ),
        (
            "[tokens.other]\nscop = 'https://a.b/.default'",
            "tokens.other.scop: no such option in this version; did you mean scope?",
        ),
    ],
)
def test_an_unknown_key_is_the_only_problem_and_comes_with_the_nearest_name(
    file: Path, line: str, message: str
) -> None:
    file.write_text(FILE + line if line.startswith("[") else f"{line}\n{FILE}")
    assert refusal({"config": file}).startswith(message)
    assert "\n" not in refusal({"config": file})


@pytest.mark.usefixtures("environment")
def test_a_misspelt_scopes_variable_is_not_also_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKER_SCOPES")
    monkeypatch.setenv("BROKER_SCOPE", GRAPH)
    assert refusal() == "BROKER_SCOPE: no such option in this version; did you mean BROKER_SCOPES?"
