"""Starts the whole web application over a source the test chooses, and asks it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import urllib3
from servers import loopback_socket, serving

from app.core.broker import Broker
from app.core.catalog import Catalog, ConfiguredToken
from app.core.tokens import Clock, TokenSource
from app.main import gated, web_api

METADATA = {"Metadata": "true"}


@dataclass
class Reply:
    """An answer, whole."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Caller:
    """A client of one server."""

    url: str
    pool: urllib3.PoolManager

    def get(self, path: str, headers: dict[str, str] = METADATA, method: str = "GET") -> Reply:
        answer = self.pool.request(method, self.url + path, headers=headers, redirect=False, retries=False)
        return Reply(answer.status, answer.headers, answer.data.decode())


@contextmanager
def running_broker(
    tokens: Sequence[ConfiguredToken], source: TokenSource, clock: Clock, **options: Any
) -> Iterator[Caller]:
    """Serve the application behind its gate."""
    kept = [token.request for token in tokens if token.keep_warm]
    broker = Broker(source, clock=clock, authorities={"default": "login.example"}, kept=kept, draw=lambda: 0.5)
    api = web_api(Catalog(tokens), broker, clock, **options)
    with (
        serving(gated(api), loopback_socket(), server_header=False) as port,
        urllib3.PoolManager(maxsize=20) as pool,
    ):
        yield Caller(f"http://127.0.0.1:{port}", pool)
