"""What every test has: a clean environment, and a clock that moves only when told to."""

import os
import threading
from collections.abc import Iterator

import pytest
from fakes import FakeClock
from hypothesis import settings

# On a busy machine an example may take any time; how long is not what these tests are about.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

_OURS = ("BROKER_", "AZURE_", "TOKEN_BROKER_", "IDENTITY_", "MSI_", "IMDS_", "MSAL_")
_TRUST_AND_PROXY = {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "REGION_NAME"}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own variables must neither break a test nor make it pass."""
    for name in os.environ:
        if name.startswith(_OURS) or name in _TRUST_AND_PROXY or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    new = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    for thread in new:
        thread.join(10)
    assert not [thread for thread in new if thread.is_alive()], "threads still running"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
