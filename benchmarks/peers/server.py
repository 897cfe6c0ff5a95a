"""The server that all programs read from: `python -m benchmarks.peers.server`.

It prints its port and serves until its standard input ends. To be no bottleneck it knows only what is needed: requests
without a body on connections that are kept, answers that are rendered before. Beside the two providers' paths it has

- `/control/reset?rows=&latency_ms=&slow_ms=&per_second=`: forgets what it has counted, and answers like this from now on,
- `/control/stats`: what it has counted since, as JSON.
"""

import asyncio
import json
import re
import resource
import sys
from collections import deque
from time import monotonic
from typing import cast
from urllib.parse import parse_qsl
from zlib import crc32

from benchmarks.peers import answers
from benchmarks.peers.loops import run
from benchmarks.peers.work import SLOW_SHARE, WINDOW

_CURSOR = re.compile(rb"[?&]cursor=([^& ]*)")


class World:
    """What the server answers, and what it has counted."""

    def __init__(self) -> None:
        self.details = b""
        self.reset({})

    def reset(self, said: dict[str, str]) -> None:
        wanted = {name: int(value) for name, value in said.items()}
        self.pages = answers.pages(wanted.get("rows", 0))
        self.latency = wanted.get("latency_ms", 0) / 1000
        self.slow = wanted.get("slow_ms", 0) / 1000
        self.per_second = wanted.get("per_second", 0)
        self.accepted: deque[float] = deque()
        self.requests = self.refused = 0
        self.paths: set[bytes] = set()
        self.first: float | None = None
        self.cpu = _cpu()

    def stats(self) -> bytes:
        counted = {
            "requests": self.requests,
            "refused": self.refused,
            "paths": len(self.paths),
            "first": self.first,
            "cpu": _cpu() - self.cpu,
        }
        return answers.whole(json.dumps(counted).encode())

    def refuses(self, now: float) -> bool:
        """The strict moving window: no second has more than so many accepted requests. Refused ones do not count."""
        while self.accepted and now - self.accepted[0] >= WINDOW:
            self.accepted.popleft()
        if len(self.accepted) >= self.per_second:
            return True
        self.accepted.append(now)
        return False

    def delay(self, path: bytes) -> float:
        if not self.slow:
            return self.latency
        # One in each ten consecutive ids, in no regular place, the same one for all programs.
        block, place = divmod(int(path[-7:]) - 1, SLOW_SHARE)
        return self.slow if crc32(b"%d" % block) % SLOW_SHARE == place else self.latency

    def answer(self, path: bytes) -> tuple[bytes, ...]:
        if path.startswith(b"/v1/call-recordings/AC"):
            digits = path[-7:]
            return (self.details % (digits, digits),)
        if path.startswith(b"/v1/recordings"):
            cursor = _CURSOR.search(path)
            return (self.pages.get(cursor[1] if cursor else b"", answers.NOT_FOUND),)
        if path.startswith(b"/media/"):
            return answers.media_answer(path[7:14].decode())
        return (answers.NOT_FOUND,)


class Connection(asyncio.Protocol):
    """One client's connection; it has one request under way at a time, as HTTP/1.1 clients do."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rest = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            self.request(data[: data.index(b"\r\n")].split(b" ")[1])
            data = data[end + 4 :]
        self.rest = data

    def request(self, path: bytes) -> None:
        world = self.world
        if path.startswith(b"/control/"):
            self.control(path)
            return
        now = monotonic()
        if world.first is None:
            world.first = now
        world.requests += 1
        if world.per_second and world.refuses(now):
            world.refused += 1
            self.transport.write(answers.REFUSED)
            return
        world.paths.add(path)
        delay = world.delay(path)
        if delay:
            asyncio.get_running_loop().call_later(delay, self.send, world.answer(path))
        else:
            self.send(world.answer(path))

    def send(self, parts: tuple[bytes, ...]) -> None:
        if len(parts) == 1:
            self.transport.write(parts[0])
        else:
            self.transport.writelines(parts)

    def control(self, path: bytes) -> None:
        what, _, query = path.decode().partition("?")
        if what == "/control/reset":
            self.world.reset(dict(parse_qsl(query)))
        self.transport.write(self.world.stats())


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def serve() -> None:
    world, loop = World(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(world), "127.0.0.1", 0, backlog=512)
    port = server.sockets[0].getsockname()[1]
    world.details = answers.call_recordings(f"http://127.0.0.1:{port}")
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    run(serve())
