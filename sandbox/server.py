"""The sandbox: five providers, a storage host and a control app on loopback ports."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta, timezone
from threading import Thread
from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import control
from .faults import Fault, Gate, Kind, Logged
from .hosts import Host
from .knobs import Knobs
from .providers import PROVIDERS, Key, Provider, Row, Stream, Tether
from .storage import Storage
from .wire import Rewrite
from .world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from .media import Media


class Sandbox:
    """Use as a context manager; everything here may be called from any thread."""

    def __init__(
        self,
        *,
        seed: int = 1,
        size: int = 100,
        now: datetime | None = None,
        days: int = 90,
        ports: int = 0,
        **knobs: Any,
    ) -> None:
        """`ports`: the first of seven consecutive ports, or 0 for any that are free."""
        self.knobs = Knobs()
        self.knobs.turn(**knobs)
        self.world = World(seed, size, now or datetime.now(timezone.utc), days)
        self.storage = Storage(self.world, self.knobs)
        self.providers: dict[str, Provider] = {
            kind.name: kind(self.world, self.knobs, self.storage) for kind in PROVIDERS
        }
        self.control_url = ""
        self._gate = Gate(self.knobs)
        self._gate.take_down = self._take_down
        self._ports = ports
        self._hosts: dict[str, Host] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    # --- life -------------------------------------------------------------------------------

    def start(self) -> Sandbox:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="sandbox", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        loop, self._loop = self._loop, None
        if loop is None:
            return
        asyncio.run_coroutine_threadsafe(self._stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _start(self) -> None:
        for provider in self.providers.values():
            provider.base_url = await self._serve(provider.name, provider.routes(), provider)
        self.storage.base_url = await self._serve("storage", self.storage.routes(), None)
        app = web.Application()
        app.add_routes(control.routes(self))
        self.control_url = await self._listen("control", app)

    async def _serve(self, name: str, routes: Iterable[web.RouteDef], provider: Provider | None) -> str:
        app = web.Application(middlewares=[self._gate.middleware(name, provider)])
        app.add_routes(routes)
        app.on_response_prepare.append(self._gate.note_status)
        return await self._listen(name, app)

    async def _listen(self, name: str, app: web.Application) -> str:
        port = self._ports + len(self._hosts) if self._ports else 0
        host = self._hosts[name] = Host(app)
        return await host.start(port)

    async def _take_down(self, name: str, seconds: float | None) -> None:
        await self._hosts[name].down(seconds)

    async def _bring_up(self) -> None:
        for host in self._hosts.values():
            await host.up()

    async def _stop(self) -> None:
        await asyncio.gather(*(host.stop() for host in self._hosts.values()))
        hanging = asyncio.all_tasks() - {asyncio.current_task()}
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    # --- what is there ----------------------------------------------------------------------

    def config(self, providers: Iterable[str] | None = None, *, login: bool = False) -> Row:
        """A connector config; `login` makes Tether's credentials an e-mail and a password."""
        chosen = self.providers if providers is None else list(providers)
        config = {name: self.providers[name].config() for name in chosen}
        if login and "tether" in config:
            config["tether"]["credentials"] = self._tether.login_credentials()
        return config

    @property
    def streams(self) -> dict[str, Stream[Any]]:
        return {name: stream for provider in self.providers.values() for name, stream in provider.streams().items()}

    def truth(self, stream: str) -> list[Key]:
        """The primary keys that a complete sync must deliver now."""
        return list(self.streams[stream].keys())

    def rows(self, stream: str) -> Iterator[Row]:
        """The rows behind these keys, with the fields the connector injects."""
        return self.streams[stream].rows()

    def media(self, provider: str, media_id: str) -> Media:
        """The file that is served under this id now: `.size`, `.sha256()`, `.read()`."""
        media = self.providers[provider].media(media_id)
        if media is None:
            raise KeyError(media_id)
        return media

    def media_bytes(self, provider: str, media_id: str) -> Iterator[bytes]:
        return self.media(provider, media_id).read()

    # --- time -------------------------------------------------------------------------------

    def advance(self, by: timedelta) -> None:
        self.world.advance(by)

    def expire_tokens(self) -> None:
        """Tokens from Tether's login expire now; the token in `config()` stays good."""
        self._tether.expire_tokens()

    def expire_urls(self) -> None:
        """Signed URLs given out so far expire now."""
        self.storage.generation += 1

    @property
    def _tether(self) -> Tether:
        tether = self.providers["tether"]
        assert isinstance(tether, Tether)
        return tether

    # --- requests ---------------------------------------------------------------------------

    @property
    def requests(self) -> list[Logged]:
        """The requests so far, to the providers and to `storage`."""
        return list(self._gate.log)

    def clear_requests(self) -> None:
        self._gate.log.clear()

    def on_request(self, callback: Callable[[Logged], None]) -> None:
        """Call back before every answer, on the server's thread."""
        self._gate.callbacks.append(callback)

    def fault(
        self,
        provider: str,
        path_regex: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        kind: Kind = "status",
        times: int | None = None,
        after: int = 0,
        method: str | None = None,
        seconds: float | None = None,
        rewrite: Rewrite | None = None,
    ) -> Fault:
        """Break the requests to a provider (or `storage`, or `*`) whose path or path?query match.

        The first `after` of them pass, then `times` of them are hit (None: all). What the kinds do stands in `Kind`.
        """
        pattern = re.compile(path_regex)
        fault = Fault(provider, pattern, kind, status, headers, body, times, after, method, seconds, rewrite)
        if provider not in ("*", "storage", *self.providers):
            raise ValueError(f"no such provider: {provider}")
        self._gate.add_fault(fault)
        return fault

    def clear_faults(self) -> None:
        """No more faults; what is down comes up."""
        self._gate.clear_faults()
        if self._loop:
            asyncio.run_coroutine_threadsafe(self._bring_up(), self._loop).result()

    @property
    def latency(self) -> float:
        return self.knobs.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self.knobs.latency = seconds

    @property
    def limits(self) -> bool:
        return self.knobs.limits

    @limits.setter
    def limits(self, enforced: bool) -> None:
        self.knobs.limits = enforced
