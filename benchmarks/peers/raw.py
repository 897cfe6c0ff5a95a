"""The least that a client can do: it sends ready-made requests and counts the bytes of the answers.

It parses and writes nothing. What it reaches is what the server can do at least; a program that stays far below is not
held up by the server.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import cast

from benchmarks.peers.job import KEY, Job, the_job
from benchmarks.peers.loops import run
from benchmarks.peers.work import PAGE

_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n")


class Client(asyncio.Protocol):
    """One connection: takes the next path as soon as the answer is there, until none is left."""

    def __init__(self, host: str, paths: Iterator[str]) -> None:
        self.host = host
        self.paths = paths
        self.head = b""
        self.missing = 0
        self.answers = 0
        self.transport: asyncio.Transport
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self.next()

    def next(self) -> None:
        path = next(self.paths, None)
        if path is None:
            self.transport.close()
            self.over.set_result(None)
            return
        self.transport.write(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: {KEY}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        if not self.missing:
            data = self.head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.head = data
                return
            length = _LENGTH.search(data)
            if not data.startswith(b"HTTP/1.1 200 ") or not length:
                raise SystemExit(f"unexpected answer: {data[:300]!r}")
            self.head, self.missing = b"", end + 4 + int(length[1])
        self.missing -= len(data)
        if not self.missing:
            self.answers += 1
            self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(exc or ConnectionError("the server closed the connection"))


def paths(job: Job) -> Iterator[str]:
    """Of the list the first page over and over: without parsing, the next cursor is not known."""
    if job.kind == "list":
        yield from [f"/v1/recordings?limit={PAGE}"] * -(-job.count // PAGE)
        return
    for call_id in job.ids:
        yield f"/v1/call-recordings/{call_id}"
        if job.kind == "files":
            yield f"/media/{call_id.removeprefix('AC')}.mp3"


async def main() -> None:
    job, loop = the_job(), asyncio.get_running_loop()
    server = job.base_url.removeprefix("http://")
    host, port = server.split(":")
    wanted = iter(paths(job))
    connections = [
        await loop.create_connection(lambda: Client(server, wanted), host, int(port))
        for _ in range(1 if job.kind == "list" else job.workers)
    ]
    await asyncio.gather(*(client.over for _, client in connections))
    answers = sum(client.answers for _, client in connections)
    per_answer = {"list": PAGE, "details": 1, "files": 0.5}[job.kind]
    print(f'{{"rows": {int(answers * per_answer)}}}')


if __name__ == "__main__":
    run(main())
