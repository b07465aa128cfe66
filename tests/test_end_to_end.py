"""The broker over the wire on both sides: many callers at once, the emulator behind, MSAL in between."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest
import urllib3
from emulator_server import running_emulator
from pydantic import SecretStr
from servers import loopback_socket, serving

from app.config import IdentitySettings, Settings, TokenSettings
from app.emulator.emulator import Emulator
from app.emulator.script import ScriptedResponse
from app.main import create_app

DELAY = 0.2


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with running_emulator(tmp_path) as emulator:
        yield emulator


@contextmanager
def broker(emulator: Emulator, tokens: dict[str, TokenSettings], *, secret: str | None = None) -> Iterator[int]:
    """Serve a broker over the emulator's application; gives its port."""
    application = emulator.registry.applications[0]
    identity = IdentitySettings(
        tenant=emulator.registry.tenants[0].id,
        client_id=application.client_id,
        client_secret=SecretStr(secret or application.secrets[0]),
    )
    settings = Settings(
        authority_host=emulator.base_url, ca_bundle=emulator.ca, identities={"default": identity}, tokens=tokens
    )
    with serving(create_app(settings), loopback_socket(), backlog=2048) as port:
        yield port


def cold(*scopes: str) -> dict[str, TokenSettings]:
    return {f"t{number}": TokenSettings(scope=scope, keep_warm=False) for number, scope in enumerate(scopes)}


async def ask(port: int, path: str, release: asyncio.Event, connected: asyncio.Barrier | None = None) -> bytes:
    """Connect, wait for the release, ask, and return the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if connected is not None:
        await connected.wait()
    await release.wait()
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nMetadata: true\r\nConnection: close\r\n\r\n".encode())
    try:
        return await reader.read()
    finally:
        writer.close()


async def ask_all(port: int, paths: Sequence[str]) -> list[bytes]:
    """Ask for all paths, each on a connection of its own, released together."""
    release, connected = asyncio.Event(), asyncio.Barrier(len(paths) + 1)
    callers = [asyncio.create_task(ask(port, path, release, connected)) for path in paths]
    await connected.wait()
    release.set()
    return list(await asyncio.gather(*callers))


def tokens_in(answers: Sequence[bytes]) -> list[str]:
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
    return [json.loads(answer.partition(b"\r\n\r\n")[2])["access_token"] for answer in answers]


def test_the_token_verifies_against_the_authoritys_keys(emulator: Emulator) -> None:
    tokens = {"graph": TokenSettings(scope="https://graph.microsoft.com/.default")}
    with broker(emulator, tokens) as port, urllib3.PoolManager(ca_certs=str(emulator.ca)) as pool:
        answer = pool.request("GET", f"http://127.0.0.1:{port}/token", headers={"Metadata": "true"})
        token = answer.json()["access_token"]
        configuration = pool.request("GET", f"{emulator.authority()}/v2.0/.well-known/openid-configuration").json()
        keys = jwt.PyJWKSet.from_dict(pool.request("GET", configuration["jwks_uri"]).json())
    claims = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]],
        algorithms=["RS256"],
        audience="https://graph.microsoft.com",
        issuer=configuration["issuer"],
    )
    assert "emulator" in claims["iss"]


def test_500_first_callers_cost_one_request(emulator: Emulator) -> None:
    emulator.enqueue(ScriptedResponse(delay=DELAY))
    with broker(emulator, cold("https://graph.microsoft.com/.default")) as port:
        answers = asyncio.run(ask_all(port, ["/token"] * 500))
    assert len(set(tokens_in(answers))) == 1
    assert len(answers) == 500
    assert (emulator.count("token"), emulator.count("discovery")) == (1, 1)


def test_500_first_callers_of_20_tokens_cost_20_requests(emulator: Emulator) -> None:
    emulator.enqueue(*[ScriptedResponse(delay=DELAY)] * 20)
    scopes = [f"https://{number}.example/.default" for number in range(20)]
    with broker(emulator, cold(*scopes)) as port:
        answers = asyncio.run(ask_all(port, [f"/token/t{number % 20}" for number in range(500)]))
    assert len(set(tokens_in(answers))) == 20
    assert (emulator.count("token"), emulator.count("discovery")) == (20, 1)


def test_90_of_100_callers_hanging_up_leave_10_answers_of_one_request(emulator: Emulator) -> None:
    async def run(port: int) -> list[bytes]:
        release = asyncio.Event()
        release.set()
        callers = [asyncio.create_task(ask(port, "/token", release)) for _ in range(100)]
        assert await asyncio.to_thread(emulator.wait_for_requests, 1, "token")
        for caller in callers[:90]:
            caller.cancel()
        return list(await asyncio.gather(*callers[90:]))

    emulator.enqueue(ScriptedResponse(delay=DELAY))
    with broker(emulator, cold("https://graph.microsoft.com/.default")) as port:
        answers = asyncio.run(run(port))
    assert len(tokens_in(answers)) == 10
    assert len(set(tokens_in(answers))) == 1
    assert emulator.count("token") == 1


def problem(port: int, path: str = "/token") -> tuple[int, dict[str, object]]:
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request("GET", f"http://127.0.0.1:{port}{path}", headers={"Metadata": "true"})
        return answer.status, answer.json()


@pytest.mark.parametrize(
    ("aadsts", "status", "error"),
    [
        (7000215, 502, "credential_rejected"),
        (700027, 502, "credential_rejected"),
        (700024, 502, "credential_rejected"),
        (90002, 502, "credential_rejected"),
        (500011, 400, "invalid_scope"),
    ],
)
def test_a_rejection_is_the_right_native_error_and_the_process_stays_up(
    emulator: Emulator, aadsts: int, status: int, error: str
) -> None:
    emulator.enqueue(ScriptedResponse(aadsts=aadsts))
    with broker(
        emulator, cold("https://graph.microsoft.com/.default", "https://vault.azure.net/.default")
    ) as port:
        got, body = problem(port, "/token/t0")
        assert (got, body["error"], body["aadsts"]) == (status, error, f"AADSTS{aadsts}")
        assert body["correlation_id"]
        assert problem(port, "/token/t1")[0] == 200


def test_a_wrong_secret_is_told_and_not_asked_again_for_each_caller(emulator: Emulator) -> None:
    with broker(emulator, cold("https://graph.microsoft.com/.default"), secret="wrong") as port:
        for _ in range(5):
            status, body = problem(port)
            assert (status, body["aadsts"]) == (502, "AADSTS7000215")
    assert emulator.count("token") == 1


def test_100_callers_with_an_unreachable_min_ttl_cost_one_request(emulator: Emulator) -> None:
    with broker(emulator, cold("https://graph.microsoft.com/.default")) as port:
        answers = asyncio.run(ask_all(port, ["/token?min_ttl=86400"] * 100))
    assert {answer.split()[1] for answer in answers} == {b"400"}
    assert emulator.count("token") == 1


def test_it_starts_and_lives_with_the_authority_down(emulator: Emulator) -> None:
    emulator.enqueue(*[ScriptedResponse(drop=True, kind="discovery")] * 5)
    with broker(emulator, {"graph": TokenSettings(scope="https://graph.microsoft.com/.default")}) as port:
        status, body = problem(port)
        assert (status, body["error"]) == (503, "upstream_unavailable")
        with urllib3.PoolManager() as pool:
            assert pool.request("GET", f"http://127.0.0.1:{port}/livez").status == 200
