"""An emulator on this machine: its throwaway certificates, and the lines that point a broker at it."""

import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificates

from app.emulator.ca import write_certificates
from app.emulator.emulator import Emulator
from app.emulator.serving import server_options

# Whom the federated issuer's assertions are for, and the application lets in.
SUBJECT = "system:serviceaccount:default:app"


@contextmanager
def local_emulator(
    listener: socket.socket, directory: Path | None = None, certificates: Sequence[Path] = ()
) -> Iterator[tuple[Emulator, dict[str, object]]]:
    """Give an emulator for a bound socket, and the options to serve it with.

    Its certificates are in `directory`, or in a temporary one that goes with it. `certificates` are PEM files to
    register with its application. Raises OSError or ValueError for a file that cannot be used.
    """
    with ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="token-broker-")))
        files = write_certificates(directory.absolute())
        emulator = Emulator(f"https://localhost:{listener.getsockname()[1]}", ca=files.ca)
        emulator.trust(SUBJECT)
        for file in certificates:
            emulator.registry.applications[0].certificates += load_pem_x509_certificates(file.read_bytes())
        yield emulator, server_options(files)


def environment(emulator: Emulator) -> str:
    """Return what a broker needs in its environment to use this emulator, in the form of an environment file."""
    application = emulator.registry.applications[0]
    return f"""\
# A look-alike of Microsoft Entra ID at {emulator.base_url}; its tokens open nothing. Ctrl-C ends it.
BROKER_AUTHORITY_HOST={emulator.base_url.removeprefix("https://")}
BROKER_CA_BUNDLE={emulator.ca}
BROKER_SCOPES=https://graph.microsoft.com/.default
AZURE_TENANT_ID={emulator.registry.tenants[0].id}
AZURE_CLIENT_ID={application.client_id}
AZURE_CLIENT_SECRET={application.secrets[0]}
# Where a managed identity (instead of the secret) gets its token:
AZURE_POD_IDENTITY_AUTHORITY_HOST={emulator.base_url}
# To make it fail, to see what it was asked, to get an assertion for {SUBJECT}: docs/emulator.md
EMULATOR_CONTROL_TOKEN={emulator.control_token}"""
