"""aiohttp alone: no retries, no limits, no protocol. What the machine can do with Python and one process."""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import orjson

from benchmarks.peers.job import KEY, Job, the_job
from benchmarks.peers.loops import run

Row = dict[str, Any]


async def listed(session: aiohttp.ClientSession, job: Job) -> AsyncIterator[Row]:
    url: str | None = job.list_url
    while url:
        async with session.get(url) as response:
            response.raise_for_status()
            page = orjson.loads(await response.read())
        for row in page["data"]:
            yield row
        url = f"{job.list_url}&cursor={page['next_cursor']}" if page["has_more"] else None


async def details(session: aiohttp.ClientSession, job: Job, call_id: str) -> list[Row]:
    async with session.get(job.detail_url(call_id)) as response:
        response.raise_for_status()
        rows: list[Row] = orjson.loads(await response.read())["data"]
    return [row | {"callId": call_id} for row in rows]


async def files(session: aiohttp.ClientSession, job: Job, call_id: str) -> list[Row]:
    rows = await details(session, job, call_id)
    for row in rows:
        async with session.get(row["url"]) as response:
            response.raise_for_status()
            body = await response.read()
        # In a thread: both leave the interpreter to others meanwhile.
        row["sha256"] = await asyncio.to_thread(_store, job, row["id"], body)
    return rows


def _store(job: Job, name: str, body: bytes) -> str:
    (job.folder / f"{name}.mp3").write_bytes(body)
    return hashlib.sha256(body).hexdigest()


async def work(session: aiohttp.ClientSession, job: Job, ids: Iterator[str]) -> None:
    read = files if job.kind == "files" else details
    for call_id in ids:
        for row in await read(session, job, call_id):
            write(row)


def write(row: Row) -> None:
    sys.stdout.buffer.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


async def main() -> None:
    job = the_job()
    connector = aiohttp.TCPConnector(limit=job.workers)
    headers = {"Authorization": KEY}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        if job.kind == "list":
            async for row in listed(session, job):
                write(row)
        else:
            ids = iter(job.ids)
            await asyncio.gather(*(work(session, job, ids) for _ in range(job.workers)))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    run(main())
