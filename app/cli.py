"""The commands: each a few lines over the parts, importing only what it needs.

`healthcheck` runs every few seconds in a container, and stays within the standard library.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app import client

if TYPE_CHECKING:
    import socket

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no public name


EX_CONFIG = 78  # sysexits.h: something in the configuration; starting again will not help
EX_OSERR = 71  # a port in use, a directory that is not there yet: it may
HEALTHCHECK_SECONDS = 2.0  # orchestrators give a probe little time


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    chosen = _parser().parse_args(arguments)
    try:
        status = int(chosen.run(chosen))
        sys.stdout.flush()  # here, where a closed pipe is caught, and not at exit
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head` has read enough; nothing more must be written at exit, either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="token-broker",
        description="Serves cached app-only access tokens from Microsoft Entra ID over local HTTP.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_broker_commands(commands)
    _add_emulator_commands(commands)
    _add_client_commands(commands)
    openapi = commands.add_parser("openapi", help="print the OpenAPI document")
    openapi.set_defaults(run=_openapi)
    return parser


def _add_broker_commands(commands: "_Commands") -> None:
    serve = commands.add_parser("serve", help="run the broker")
    serve.add_argument("--listen", help="loopback HOST:PORT or unix:/PATH (default 127.0.0.1:7575)")
    serve.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    serve.set_defaults(run=_serve)
    check = commands.add_parser("check", help="load the configuration, fetch each token once, and tell")
    check.set_defaults(run=_check)
    for command in (serve, check):
        command.add_argument("--config", type=Path, help="TOML file, parameters.json or appsettings.json")


def _add_emulator_commands(commands: "_Commands") -> None:
    demo = commands.add_parser("demo", help="run the broker with an Entra look-alike; nothing to set up")
    demo.add_argument("--listen", default="127.0.0.1:7575", help="HOST:PORT of the broker (default %(default)s)")
    demo.set_defaults(run=_demo)
    emulator = commands.add_parser("emulator", help="run the Entra look-alike alone, for tests")
    emulator.add_argument("--listen", default="127.0.0.1:0", help="loopback HOST:PORT (default: any free port)")
    emulator.add_argument("--directory", type=Path, help="where ca.pem is put (default: a temporary directory)")
    emulator.add_argument(
        "--certificate",
        type=Path,
        action="append",
        default=[],
        help="PEM certificate to register; may be repeated",
    )
    emulator.set_defaults(run=_emulator)


def _add_client_commands(commands: "_Commands") -> None:
    token = commands.add_parser("token", help="print a token of a running broker")
    token.add_argument("name", nargs="?", help="its name; not needed where there is only one")
    token.add_argument("--format", choices=["text", "json", "header"], default="text")
    token.add_argument("--min-ttl", type=int, default=0, metavar="SECONDS", help="seconds it must still have")
    token.set_defaults(run=_token)
    healthcheck = commands.add_parser("healthcheck", help="exit 0 if a running broker is healthy, else 1")
    healthcheck.set_defaults(run=_healthcheck)
    for command in (token, healthcheck):
        command.add_argument(
            "--url",
            default=os.environ.get("TOKEN_BROKER_URL") or client.DEFAULT_URL,
            help="http://HOST:PORT or unix:/PATH of the broker (default: TOKEN_BROKER_URL, or "
            f"{client.DEFAULT_URL})",
        )


def _serve(chosen: argparse.Namespace) -> int:
    import logging

    from app.config import ConfigurationError, load
    from app.main import create_app
    from app.ops import logs
    from app.server.listeners import bind
    from app.server.run import Served, run

    try:
        settings = load({"config": chosen.config, "listen": chosen.listen, "log_level": chosen.log_level})
        logs.configure(settings.log_level, settings.log_format)
        app = create_app(settings)
        sockets = [bind(address) for address in settings.listen]
    except (ConfigurationError, OSError) as error:
        return _cannot_start(error)
    status = run([Served(app, sockets)], on_up=lambda: _announce(sockets))
    # A thread that waits for an authority cannot be told to stop, and Python would wait for it, longer than
    # Docker waits for us. Nothing else is left to be done.
    logging.shutdown()
    os._exit(status)


def _check(chosen: argparse.Namespace) -> int:
    from app.config import ConfigurationError, load
    from app.core.tokens import SystemClock
    from app.entra.source import EntraTokenSource
    from app.main import catalog_of, client_of, identities_of
    from app.ops import check

    try:
        settings = load({"config": chosen.config})
        identities = identities_of(settings)
        source = EntraTokenSource(identities, http=client_of(settings), clock=SystemClock())
    except ConfigurationError as error:
        return _cannot_start(error)
    for warning in settings.warnings:
        print(warning, file=sys.stderr)
    credentials = [check.credential(name, identity.credential) for name, identity in identities.items()]
    tokens = [row for token in catalog_of(settings).tokens.values() for row in check.token(token, source)]
    source.close()
    print(check.table(("IDENTITY", "CREDENTIAL", "VALID UNTIL", "RESULT"), credentials))
    print()
    print(check.table(("TOKEN", "IDENTITY", "TENANT", "SCOPE", "AUDIENCE", "ROLES", "EXPIRES", "RESULT"), tokens))
    return 0 if all(row[-1] == check.OK for row in (*credentials, *tokens)) else 1


def _demo(chosen: argparse.Namespace) -> int:
    from pydantic import SecretStr

    from app.config import IdentitySettings, Settings, TokenSettings
    from app.emulator.local import local_emulator
    from app.main import create_app
    from app.ops import logs
    from app.server.listeners import bind_tcp, url_of
    from app.server.run import Served, run

    logs.configure("warning", "text")
    try:
        listener, upstream = bind_tcp(chosen.listen), bind_tcp("127.0.0.1:0")
    except (OSError, ValueError) as error:
        return _cannot_start(error)
    with local_emulator(upstream) as (emulator, options):
        application = emulator.registry.applications[0]
        identity = IdentitySettings(
            tenant=emulator.registry.tenants[0].id,
            client_id=application.client_id,
            client_secret=SecretStr(application.secrets[0]),
        )
        settings = Settings(
            ca_bundle=emulator.ca,
            authority_host=emulator.base_url,
            identities={"default": identity},
            tokens={"graph": TokenSettings(scope="https://graph.microsoft.com/.default")},
        )
        keys = f"{emulator.authority()}/discovery/v2.0/keys"
        text = _DEMO.format(url=url_of(listener), ca=emulator.ca, keys=keys)
        served = [Served(emulator.app, [upstream], options), Served(create_app(settings), [listener])]
        return run(served, on_up=lambda: print(text, flush=True))


_DEMO = """\
A token broker, and behind it a look-alike of Microsoft Entra ID whose tokens open nothing. Try:

  curl -s -H 'Metadata: true' {url}/token
  curl -s -H 'Metadata: true' '{url}/token?format=text'
  curl -s -H 'Metadata: true' {url}/readyz

The keys that the tokens are signed with: curl -s --cacert {ca} {keys}
Ctrl-C ends both."""


def _emulator(chosen: argparse.Namespace) -> int:
    from app.emulator.local import environment, local_emulator
    from app.server.listeners import bind_tcp
    from app.server.run import Served, run

    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(bind_tcp(chosen.listen))
            local = local_emulator(listener, chosen.directory, chosen.certificate)
            emulator, options = stack.enter_context(local)
        except (OSError, ValueError) as error:
            return _cannot_start(error)
        served = [Served(emulator.app, [listener], options)]
        return run(served, on_up=lambda: print(environment(emulator), flush=True))


def _token(chosen: argparse.Namespace) -> int:
    try:
        text = client.token(chosen.url, chosen.name, style=chosen.format, min_ttl=chosen.min_ttl)
    except client.AskError as error:
        return _fail(str(error), 1)
    print(text.rstrip("\n"))
    return 0


def _healthcheck(chosen: argparse.Namespace) -> int:
    return 0 if client.is_healthy(chosen.url, HEALTHCHECK_SECONDS) else 1


def _openapi(_: argparse.Namespace) -> int:
    import json

    from app.core.broker import Broker
    from app.core.catalog import Catalog
    from app.core.tokens import SystemClock
    from app.entra.http import StrictClient
    from app.entra.source import EntraTokenSource
    from app.main import web_api

    clock = SystemClock()
    source = EntraTokenSource({}, http=StrictClient(), clock=clock)
    api = web_api(Catalog(()), Broker(source, clock=clock, authorities={}), clock)
    print(json.dumps(api.openapi(), indent=2))
    return 0


def _announce(listeners: "Sequence[socket.socket]") -> None:
    import logging

    from app.server.listeners import url_of

    for listener in listeners:
        logging.getLogger("app").info("listening", extra={"url": url_of(listener)})


def _cannot_start(error: Exception) -> int:
    return _fail(str(error), EX_OSERR if isinstance(error, OSError) else EX_CONFIG)


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status
