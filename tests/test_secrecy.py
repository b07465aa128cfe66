"""A canary for every secret and for the token goes through everything, and comes out only where it should."""

import base64
import logging
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import keys
import pytest
from broker_server import METADATA, Caller, running_broker
from emulator_server import running_emulator

from app.core.catalog import ConfiguredToken
from app.core.tokens import SystemClock, TokenRequest
from app.emulator.emulator import Emulator
from app.emulator.registry import Application, Registry, Tenant
from app.emulator.script import ScriptedResponse
from app.entra.credentials import ClientSecret, Credential, load_certificate
from app.entra.http import StrictClient
from app.entra.source import EntraTokenSource, Identity
from app.ops.logs import JsonFormatter, TextFormatter

CANARY = "canary/Secret+123~value"
GRAPH = TokenRequest("default", "contoso.example", "https://graph.microsoft.com/.default")
CLIENT_ID = "11111111-1111-1111-1111-111111111111"


def shapes(secret: str) -> set[str]:
    """What a leak may look like: as it is, encoded for a URL, in base64, or its beginning."""
    return {
        secret,
        urllib.parse.quote(secret, safe=""),
        base64.b64encode(secret.encode()).decode().rstrip("="),
        secret[:12],
    }


def leaks(text: str, secrets: list[str]) -> list[str]:
    return [shape for secret in secrets for shape in shapes(secret) if shape in text]


def test_the_search_finds_what_is_there() -> None:
    for shape in shapes(CANARY):
        assert leaks(f"x{shape}y", [CANARY])
    assert not leaks("nothing to see", [CANARY])


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    registry = Registry(
        [Tenant("aaaaaaaa-0000-0000-0000-000000000001", (GRAPH.tenant,))],
        [Application(CLIENT_ID, secrets=[CANARY], certificates=[keys.certificate()])],
    )
    with running_emulator(tmp_path, registry) as emulator:
        yield emulator


ECHOES = [
    ScriptedResponse(status=400, body={"error": CANARY, "error_description": CANARY, "correlation_id": CANARY}),
    ScriptedResponse(
        status=401, body={"error": "invalid_client", "error_description": CANARY, "suberror": CANARY}
    ),
    ScriptedResponse(status=503, headers={"Retry-After": "1"}, body=CANARY),
    ScriptedResponse(status=429, headers={"Retry-After": CANARY}, body=CANARY),
    ScriptedResponse(status=200, body=CANARY),
    ScriptedResponse(status=200, body={"access_token": CANARY + " ", "expires_in": 3599}),
    ScriptedResponse(status=200, body={"access_token": CANARY, "expires_in": CANARY}),
    ScriptedResponse(status=200, body={"access_token": CANARY, "expires_in": 3599, "refresh_in": CANARY}),
    ScriptedResponse(status=302, headers={"Location": "https://localhost:1/?x=" + urllib.parse.quote(CANARY)}),
    ScriptedResponse(status=400, body={"error": CANARY}, kind="discovery"),
    ScriptedResponse(status=200, body={"token_endpoint": CANARY}, kind="discovery"),
]


@pytest.mark.parametrize("kind", ["secret", "certificate"])
@pytest.mark.parametrize("echo", ECHOES, ids=range(len(ECHOES)))
def test_what_the_authority_echoes_goes_no_further(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture, echo: ScriptedResponse, kind: str
) -> None:
    pem = tmp_path / "app.pem"
    pem.write_bytes(keys.key_pem() + keys.certificate_pem())
    credential: Credential = ClientSecret(CANARY) if kind == "secret" else load_certificate(pem)
    emulator.enqueue(echo)
    with caplog.at_level(logging.DEBUG):
        answers, source = _ask(emulator, credential)
    assert answers[0][0] in (400, 429, 502, 503)
    lines = [
        formatter.format(record) for record in caplog.records for formatter in (TextFormatter(), JsonFormatter())
    ]
    key_line = keys.key_pem().decode().splitlines()[5]
    assert not leaks("\n".join([*lines, caplog.text, repr(source), repr(answers)]), [CANARY, key_line])


def _ask(emulator: Emulator, credential: Credential) -> tuple[list[tuple[int, str]], EntraTokenSource]:
    identity = Identity(emulator.base_url, CLIENT_ID, credential, {"client_ip": CANARY})
    source = EntraTokenSource({"default": identity}, http=StrictClient(ca_bundle=emulator.ca), clock=SystemClock())
    tokens = [ConfiguredToken("graph", GRAPH, keep_warm=False)]
    with running_broker(tokens, source, SystemClock()) as caller:
        answers = [_whole(caller, path) for path in ("/token", "/readyz")]
    source.close()
    return answers, source


def _whole(caller: Caller, path: str) -> tuple[int, str]:
    answer = caller.get(path, {**METADATA, "X-Canary": CANARY})
    return answer.status, f"{dict(answer.headers)} {answer.body}"


def test_a_token_is_in_its_answer_and_nowhere_else(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        answers, _ = _ask(emulator, ClientSecret(CANARY))
    token = answers[0][1].partition('"access_token": "')[2].partition('"')[0]
    assert leaks(answers[0][1], [token])
    ours = [record for record in caplog.records if not record.name.startswith("asyncio")]
    lines = [formatter.format(record) for record in ours for formatter in (TextFormatter(), JsonFormatter())]
    signature = token.rpartition(".")[2]
    assert not leaks("\n".join([*lines, answers[1][1]]), [signature])
    assert not leaks("\n".join(lines), [CANARY])
