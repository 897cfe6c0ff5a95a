"""What happens to a request on its way: it is logged, delayed, refused or broken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, get_args

from aiohttp import web
from multidict import CIMultiDict

from . import wire
from .providers import Provider, RefusalError
from .providers.base import answer
from .storage import cut_short, in_one_piece
from .wire import Rewrite

if TYPE_CHECKING:
    import re

    from .knobs import Knobs

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# The request that the running task is about.
_current: ContextVar[Logged | None] = ContextVar("current", default=None)
Kind = Literal[
    "status",  # another answer
    "drop",  # the connection is closed without an answer
    "reset",  # the same, with a RST
    "hang",  # no answer for an hour
    "down",  # the host resets all its connections and refuses new ones, for `seconds` or until the faults are cleared
    "late",  # the answer after `seconds`
    "truncate",  # half the body, then the connection is closed
    "reset_inside",  # half the body, then a RST
    "drip",  # the body in five pieces, with `seconds` before each
    "invalid_json",  # half the body, or `body`, as if it were all
    "rewrite",  # what `rewrite` makes of the body
]
DAMAGES = ("truncate", "reset_inside", "drip", "invalid_json", "rewrite")
"""Kinds that break the body of a good answer. Another answer passes, and does not count as hit."""


@dataclass
class Logged:
    """One request as it arrived; `status` is None until (and unless) it is answered."""

    provider: str
    method: str
    path: str
    query: dict[str, str]
    """A repeated parameter's values are joined by commas."""
    headers: CIMultiDict[str]
    time: float
    """Of time.monotonic()."""
    body: str = ""
    status: int | None = None

    def as_row(self) -> dict[str, Any]:
        return {**asdict(self), "headers": dict(self.headers)}


@dataclass
class Fault:
    """A rule that breaks the requests it matches."""

    provider: str
    path: re.Pattern[str]
    kind: Kind = "status"
    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: Any = None
    times: int | None = None
    after: int = 0
    method: str | None = None
    seconds: float | None = None
    rewrite: Rewrite | None = None
    seen: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is one of {', '.join(get_args(Kind))}")
        if self.kind == "status" and self.status is None:
            raise ValueError("a fault of kind `status` needs a status")
        if self.kind in ("late", "drip") and self.seconds is None:
            raise ValueError(f"a fault of kind `{self.kind}` needs seconds")
        if (self.kind == "rewrite") != (self.rewrite is not None):
            raise ValueError("a fault of kind `rewrite`, and no other, needs a function")

    def strikes(self, name: str, request: web.Request) -> bool:
        if self.provider not in ("*", name) or self.method not in (None, request.method):
            return False
        if not self.path.search(request.path) and not self.path.search(request.path_qs):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class Gate:
    """The middleware in front of every provider and the storage host."""

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self.log: list[Logged] = []
        self.faults: list[Fault] = []
        self.callbacks: list[Callable[[Logged], None]] = []
        self.take_down: Callable[[str, float | None], Awaitable[None]] | None = None
        self._kept: dict[tuple[Any, ...], Any] = {}
        self._windows: dict[str, tuple[int, int]] = {}
        self._lock = Lock()

    def add_fault(self, fault: Fault) -> None:
        with self._lock:
            self.faults.append(fault)

    def clear_faults(self) -> None:
        with self._lock:
            self.faults.clear()

    def middleware(self, name: str, provider: Provider | None) -> Any:
        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            entry = Logged(
                provider=name,
                method=request.method,
                path=request.path,
                query={key: ",".join(request.query.getall(key)) for key in request.query},
                headers=CIMultiDict(request.headers),
                time=time.monotonic(),
                body=await request.text(),
            )
            _current.set(entry)
            self.log.append(entry)
            for callback in tuple(self.callbacks):
                callback(entry)
            if self.knobs.latency:
                await asyncio.sleep(self.knobs.latency)
            try:
                headers = self._count(request, provider)
                fault = self._fault(name, request)
                kind = fault.kind if fault else None
                if fault and kind == "late":
                    await asyncio.sleep(fault.seconds or 0.0)
                elif fault and kind not in DAMAGES:
                    return await self._fail(name, request, fault, provider, headers)
                cut_short.set(kind == "truncate")
                in_one_piece.set(kind in DAMAGES and kind != "truncate")
                response = await self._answer(request, handler, provider)
                response.headers.update(headers) if not response.prepared else None
                if fault and kind in DAMAGES:
                    return await self._damage(request, response, fault)
                return response
            except RefusalError as refusal:
                return answer(refusal.body, refusal.status, refusal.headers)

        return gate

    async def note_status(self, _: web.Request, response: web.StreamResponse) -> None:
        """Called before the first byte of an answer goes out."""
        entry = _current.get()
        if entry is not None:
            entry.status = response.status

    async def _answer(self, request: web.Request, handler: Handler, provider: Provider | None) -> web.StreamResponse:
        if provider is None:
            return await handler(request)
        try:
            if request.match_info.http_exception is not None:
                raise provider.refuse(request, 404, "There is no such route")
            provider.authorize(request)
            if self.knobs.replay and request.method == "GET":
                return await self._replay(request, handler, provider)
            return await handler(request)
        except RefusalError as refusal:
            return answer(refusal.body, refusal.status, refusal.headers)

    async def _replay(self, request: web.Request, handler: Handler, provider: Provider) -> web.StreamResponse:
        version = request.headers.get("Quo-Api-Version")
        key = (provider.name, request.path_qs, version, provider.world.clock)
        if key not in self._kept:
            response = await handler(request)
            if not isinstance(response, web.Response) or response.status != 200:
                return response
            self._kept[key] = response.body
        return web.Response(body=self._kept[key], content_type="application/json")

    def _count(self, request: web.Request, provider: Provider | None) -> dict[str, str]:
        """Count the request in its window; the headers that tell the client about it."""
        if provider is None or provider.name not in self.knobs.rates:
            return {}
        limit, seconds = self.knobs.rates[provider.name]
        now = time.time()
        number = int(now // seconds)
        window, used = self._windows.get(provider.name, (number, 0))
        used = used + 1 if window == number else 1
        self._windows[provider.name] = (number, used)
        ends = (number + 1) * seconds
        headers = provider.rate_headers(limit, max(0, limit - used), -int(-ends // 1))
        if self.knobs.limits and used > limit:
            more = provider.limit_headers(max(1, -int(-(ends - now) // 1)))
            raise provider.refuse(request, 429, "Too many requests", {**headers, **more})
        return headers

    def _fault(self, name: str, request: web.Request) -> Fault | None:
        with self._lock:
            return next((fault for fault in self.faults if fault.strikes(name, request)), None)

    async def _fail(
        self, name: str, request: web.Request, fault: Fault, provider: Provider | None, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        if fault.kind == "hang":
            await asyncio.sleep(3600)
        if fault.kind != "status":
            _current.set(None)  # never answered
            if fault.kind == "down" and self.take_down:
                await self.take_down(name, fault.seconds)
            wire.cut(request, reset=fault.kind in ("reset", "down"))
            return web.Response()
        status = fault.status or 500
        headers = {**headers, **(fault.headers or {})}
        if isinstance(fault.body, str):
            return web.Response(text=fault.body, status=status, headers=headers)
        if fault.body is None and provider is None:
            return web.Response(status=status, headers=headers)
        body = fault.body
        if body is None and provider is not None:
            body = provider.error(request, status, "A fault of the sandbox")
        return answer(body, status, headers)

    async def _damage(self, request: web.Request, response: web.StreamResponse, fault: Fault) -> web.StreamResponse:
        if not 200 <= response.status < 300:
            with self._lock:
                fault.hits -= 1
            return response
        if not isinstance(response, web.Response):  # a file: it cuts itself short
            return response
        if fault.rewrite:
            wire.rewrite(request, response, fault.rewrite)
            return response
        if fault.kind == "invalid_json":
            body = wire.body_of(response)
            response.body = fault.body.encode() if isinstance(fault.body, str) else body[: len(body) // 2]
            return response
        if fault.kind == "drip":
            return await wire.drip(request, response, fault.seconds or 0.0)
        return await wire.half(request, response, reset=fault.kind == "reset_inside")
