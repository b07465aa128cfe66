"""Starts the emulator over HTTPS, on a port the system chooses."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from servers import loopback_socket, serving

from app.emulator.ca import write_certificates
from app.emulator.emulator import Emulator
from app.emulator.mint import SigningKey
from app.emulator.registry import Registry
from app.emulator.serving import server_options

# An RSA key takes a tenth of a second to make, and what it signs is worth nothing: one serves the whole run.
_signing_key = cache(SigningKey)


@contextmanager
def running_emulator(directory: Path, registry: Registry | None = None, **options: Any) -> Iterator[Emulator]:
    """Serve an emulator whose `base_url` is `https://localhost:PORT`; clients trust its `ca` file."""
    certificates = write_certificates(directory)
    listener = loopback_socket()
    base_url = f"https://localhost:{listener.getsockname()[1]}"
    emulator = Emulator(base_url, registry, ca=certificates.ca, signing_key=_signing_key(), **options)
    with serving(emulator.app, listener, **server_options(certificates)):
        yield emulator
