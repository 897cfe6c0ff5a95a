"""requests and a ThreadPoolExecutor: the program that one writes by hand.

A session per thread, since requests promises nothing about sharing one; urllib3's own retries, as its documentation shows
them, with pauses that grow.
"""

import hashlib
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from benchmarks.peers.job import KEY, Job, the_job

Row = dict[str, Any]
CHUNK = 256 * 1024
TIMEOUT = 60

_local = threading.local()


def session() -> requests.Session:
    if not hasattr(_local, "session"):
        retry = Retry(
            total=20, backoff_factor=0.5, backoff_max=10, backoff_jitter=0.5, status_forcelist=(429, 500, 502, 503, 504)
        )
        found = requests.Session()
        found.headers["Authorization"] = KEY
        found.mount("http://", HTTPAdapter(max_retries=retry))
        _local.session = found
    own: requests.Session = _local.session
    return own


def get(url: str) -> Any:
    response = session().get(url, timeout=TIMEOUT)
    response.raise_for_status()
    return orjson.loads(response.content)


def listed(job: Job) -> Iterator[Row]:
    url: str | None = job.list_url
    while url:
        page = get(url)
        yield from page["data"]
        url = f"{job.list_url}&cursor={page['next_cursor']}" if page["has_more"] else None


def details(job: Job, call_id: str) -> list[Row]:
    return [row | {"callId": call_id} for row in get(job.detail_url(call_id))["data"]]


def files(job: Job, call_id: str) -> list[Row]:
    rows = details(job, call_id)
    for row in rows:
        digest = hashlib.sha256()
        with (
            session().get(row["url"], stream=True, timeout=TIMEOUT) as response,
            (job.folder / f"{row['id']}.mp3").open("wb") as file,
        ):
            response.raise_for_status()
            for piece in response.iter_content(CHUNK):
                digest.update(piece)
                file.write(piece)
        row["sha256"] = digest.hexdigest()
    return rows


def found(job: Job) -> Iterator[Row]:
    if job.kind == "list":
        yield from listed(job)
        return
    read = files if job.kind == "files" else details
    with ThreadPoolExecutor(job.workers) as executor:
        for rows in executor.map(lambda call_id: read(job, call_id), job.ids):
            yield from rows


def main() -> None:
    for row in found(the_job()):
        sys.stdout.buffer.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
