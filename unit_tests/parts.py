"""A provider of few parts, for tests of the reading's parts by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from source_recordings.expressions import compile_expression, compile_path
from source_recordings.http.answers import Reply
from source_recordings.http.asking import Asking, Endpoint
from source_recordings.http.client import Client, Gate, Request
from source_recordings.http.pace import Pace
from source_recordings.provider import Auth, Operation, Provider
from source_recordings.reading.details import Pools
from source_recordings.reading.pool import Pool
from source_recordings.tally import Tally

HOST = "https://other.example.com"
"""The one host whose credential the `api` fixture doesn't know."""

URL = f"{HOST}/calls"


def operation(path: str = "/calls", **more: Any) -> Operation:
    return Operation("GET", compile_path(path), path, **more)


def a_provider(**more: Any) -> Provider:
    true, key = compile_expression("true"), compile_expression("config.api_key")
    return Provider(
        **{
            "name": "quo",
            "title": "Quo",
            "base_url": HOST,
            "spec": {},
            "auth": (Auth(when=true, scheme="Bearer", value=key),),
            "credential": ("quo.api_key", "it must be a current key."),
            "streams": {},
            **more,
        }
    )


def a_client(provider: Provider | None = None, *, gate: Gate | None = None, **config: Any) -> Client:
    section = {"base_url": HOST, "api_key": "key", **config}
    gate = gate or Gate(8)
    return Client(provider or a_provider(), section, gate, 8, Pace(None))


def an_endpoint(an_operation: Operation | None = None, **more: Any) -> Endpoint:
    return Endpoint(a_provider(), an_operation or operation(), "quo_calls", Tally("quo_calls"), **more)


def an_asking(endpoint: Endpoint | None = None, url: str = URL, client: Client | None = None) -> Asking:
    return Asking(client or a_client(), endpoint or an_endpoint(), Request("GET", url))


class Answering(Asking):
    """A request whose replies come from a function and not from a host."""

    def __init__(
        self, reply: Callable[[], Reply], endpoint: Endpoint | None = None, url: str = URL, client: Client | None = None
    ) -> None:
        super().__init__(client or a_client(), endpoint or an_endpoint(), Request("GET", url))
        self._reply = reply

    def fetch(self) -> Reply:
        return self._reply()


@contextmanager
def some_pools(workers: int = 4) -> Iterator[Pools]:
    pools = Pools(Pool(workers, "test"), Pool(workers, "test-files"), workers)
    try:
        yield pools
    finally:
        pools.close()
