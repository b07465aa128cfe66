"""One live emulator for all its tests, put back to its first state before each of them."""

from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from emulator.directory import CLIENT_ID, EXPIRED, OTHER, SECRET, TENANT, KeyPair, make_certificate
from emulator_server import running_emulator

from app.emulator.emulator import Emulator
from app.emulator.registry import Application, Registry


@pytest.fixture(scope="session")
def key_pair() -> KeyPair:
    key = rsa.generate_private_key(65537, 2048)
    return KeyPair(key, make_certificate(key, 10))


@pytest.fixture(scope="session")
def other_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_emulator(tmp_path_factory.mktemp("emulator"), Registry([TENANT, OTHER], [])) as emulator:
        yield emulator


@pytest.fixture
def application(key_pair: KeyPair) -> Application:
    return Application(
        CLIENT_ID,
        (TENANT.id,),
        secrets=[SECRET],
        expired_secrets=[EXPIRED],
        certificates=[key_pair.certificate],
        roles={"https://graph.microsoft.com": ["User.Read.All"]},
    )


@pytest.fixture
def emulator(live: Emulator, application: Application) -> Emulator:
    live.clear()
    live.registry.applications[:] = [application]
    live.registry.resources = None
    live.registry.unknown_resources = {"https://unknown.example"}
    live.settings.lifetime, live.settings.refresh_in = 3599, None
    return live


@pytest.fixture
def session(live: Emulator) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(live.ca)
        yield session


@pytest.fixture
def ask(emulator: Emulator, session: requests.Session) -> Callable[..., requests.Response]:
    """Ask for a token of Microsoft Graph by the right secret, except for what is said; None leaves a field out."""

    def ask(tenant: str = TENANT.id, headers: Any = None, timeout: float = 10, **fields: Any) -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": SECRET,
            "scope": "https://graph.microsoft.com/.default",
        } | fields
        url = f"{emulator.base_url}/{tenant}/oauth2/v2.0/token"
        return session.post(url, data=form, headers=headers, timeout=timeout)

    return ask


@pytest.fixture
def decode(emulator: Emulator, session: requests.Session) -> Callable[[str], dict[str, Any]]:
    """Return a token's claims, verified against the keys its own issuer publishes."""

    def decode(token: str) -> dict[str, Any]:
        issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
        assert issuer.startswith(emulator.base_url)
        document = session.get(f"{issuer}/.well-known/openid-configuration", timeout=10).json()
        assert document["issuer"] == issuer
        keys = jwt.PyJWKSet.from_dict(session.get(document["jwks_uri"], timeout=10).json())
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims: dict[str, Any] = jwt.decode(token, key, ["RS256"], issuer=issuer, options={"verify_aud": False})
        return claims

    return decode
