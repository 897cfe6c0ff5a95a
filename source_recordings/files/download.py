"""Streams one body into a part file until it is whole."""

import http.client
import io
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, cast

import requests
from urllib3.exceptions import HTTPError

from source_recordings.errors import PassingError
from source_recordings.files.encoded import Undecodable, encodings, unpacked
from source_recordings.files.names import media_type
from source_recordings.files.source import Source, backoff
from source_recordings.files.staging import Part
from source_recordings.http.storage import Broken

logger = logging.getLogger("airbyte")

# So much is read before it is hashed and written. Each of the three lets other threads go on, and has to wait for them
# before it goes on itself: many small pieces cost more than they weigh. 16 MB for 64 workers.
CHUNK = 256 * 1024
# So much is asked for at once: a chunked body that breaks off loses what it has of it.
SPAN = 64 * 1024
MAX_TRIES = 6

_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)")
_LENGTH = re.compile(r"[0-9]{1,18}")
_buffers = threading.local()


class TooLarge(Exception):
    """The file exceeds the limit."""

    def __init__(self, size: int | None, content_type: str | None) -> None:
        super().__init__(size)
        self.size = size
        self.content_type = content_type


@dataclass
class Progress:
    """What is known of the file from the answers so far."""

    content_type: str | None = None
    validator: str | None = None
    """For If-Range: whether what comes is still the same file."""
    total: int | None = None
    """The file's length, where the host says it."""
    unconfirmed: tuple[int, str] | None = None
    """Length and hash of a body whose end could not be told from a broken connection."""


def download(
    source: Source,
    part: Part,
    limit: int,
    what: str,
    expected: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> str | None:
    """Fills the part with the whole file; the content type that the host named.

    `expected` is the length that the provider told beforehand; it decides only where the host itself says nothing. Raises
    TooLarge, Missing, Expired, or a passing error once `MAX_TRIES` tries in a row have not come further.
    """
    progress = Progress()
    furthest = tries = 0
    while True:
        try:
            if _attempt(source, part, progress, limit, expected):
                return progress.content_type
            reason, wait = "its host does not say where it ends", None
        except Broken as error:
            reason, wait = str(error), error.wait
        tries = 1 if part.size > furthest else tries + 1
        furthest = max(furthest, part.size)
        if tries >= MAX_TRIES:
            raise PassingError(
                f"{what} could not be downloaded: {reason}, {tries} times in a row. "
                "The rest of the sync went on; the next one tries again.",
                internal_message=f"{what}: {reason} after {part.size} bytes",
            )
        logger.debug("%s: %s after %d bytes, trying again.", what, reason, part.size)
        sleep(max(wait or 0.0, backoff(tries)))


def _attempt(source: Source, part: Part, progress: Progress, limit: int, expected: int | None) -> bool:
    """One request; True once the part is whole. Raises Broken if the body ended too early."""
    resumable = part.size > 0 and progress.validator is not None
    headers = {"Range": f"bytes={part.size}-", "If-Range": progress.validator or ""} if resumable else {}
    with closing(source.open(headers)) as response:
        if response.status_code == 416 and _ends_here(response, part, progress):
            return True  # there is nothing behind what we have
        if response.status_code == 200:
            part.restart()
            progress.total = None
        elif not _continues(response, part, progress):
            # Not the file it was: from the start, without asking for a range.
            progress.validator = None
            raise Broken("its host answered with another range than the one asked for")
        _learn(progress, response)
        told = progress.total if progress.total is not None else expected
        if told is not None and told > limit:
            raise TooLarge(told, progress.content_type)
        for piece in _pieces(response):
            if part.size + len(piece) > limit:
                raise TooLarge(progress.total, progress.content_type)
            part.write(piece)
        if progress.total is not None:
            if part.size != progress.total:
                raise Broken("its host broke the connection")
            return True
        if _has_own_end(response) or part.size == expected:
            return True
    # The connection's end is all that there is. Whether it was the file's end too, the next attempt tells: the host says
    # that nothing is behind it, or another download ends in the same place.
    seen, progress.unconfirmed = progress.unconfirmed, (part.size, part.sha256)
    return seen == progress.unconfirmed


def _learn(progress: Progress, response: requests.Response) -> None:
    headers = response.headers
    progress.content_type = media_type(headers.get("Content-Type")) or progress.content_type
    packed = _is_packed(response)
    progress.validator = None if packed else _validator(headers)
    if response.status_code == 206:
        progress.total = _content_range(response)[1]
    elif not packed and not _is_chunked(response):
        progress.total = _length(headers.get("Content-Length", "").strip())


def _length(said: str) -> int | None:
    """Raises Broken for what Python takes for a number and HTTP does not: nobody knows how much of the body was read."""
    if not said or _LENGTH.fullmatch(said):
        return int(said) if said else None
    try:
        read = int(said) >= 0
    except ValueError:
        read = False
    if not read:
        return None  # nor does Python: the body goes on to the end of the connection
    raise Broken("its host named a length that is none")


def _continues(response: requests.Response, part: Part, progress: Progress) -> bool:
    """Whether the answer goes on where the part ends, in the same file. Who does not say that it is the same is not believed."""
    start, total = _content_range(response)
    return (
        response.status_code == 206
        and start == part.size > 0
        and total is not None
        and progress.total in (None, total)
        and progress.validator is not None
        and progress.validator in (response.headers.get("ETag"), response.headers.get("Last-Modified"))
        and not _is_packed(response)
    )


def _ends_here(response: requests.Response, part: Part, progress: Progress) -> bool:
    """Whether the host says that the part is the whole file, and has not said otherwise before."""
    total = _content_range(response)[1]
    etag = response.headers.get("ETag", progress.validator)
    return total == part.size > 0 and progress.total in (None, total) and etag == progress.validator


def _content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """Where the answer starts in the file, and the file's length."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    start, total = match.groups() if match else (None, None)
    return int(start) if start else None, int(total) if total and total != "*" else None


def _validator(headers: Mapping[str, str]) -> str | None:
    """A strong ETag, or a date that is old enough to be one."""
    etag = headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    if etag:
        return None
    modified, date = (_date(headers.get(name)) for name in ("Last-Modified", "Date"))
    if modified and date and (date - modified).total_seconds() >= 1:
        return headers["Last-Modified"]
    return None


def _date(value: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(value) if value else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # Without a zone, or with -0000, it is UTC all the same.
    return date.replace(tzinfo=timezone.utc) if date and date.tzinfo is None else date


def _is_chunked(response: requests.Response) -> bool:
    return "chunked" in response.headers.get("Transfer-Encoding", "").lower()


def _is_packed(response: requests.Response) -> bool:
    return bool(encodings(response.headers.get("Content-Encoding")))


def _has_own_end(response: requests.Response) -> bool:
    """Whether the body said itself that it was over: its reader then fails when it breaks off before."""
    return _is_chunked(response) or _is_packed(response)


def _pieces(response: requests.Response) -> Iterator[bytes | memoryview]:
    """The body; a piece is good until the next one is asked for. Raises Broken."""
    try:
        raw = _raw(response)
        names = encodings(response.headers.get("Content-Encoding"))
        yield from unpacked(map(bytes, raw), names) if names else raw
    except TimeoutError as error:
        raise Broken("its host stopped sending") from error
    except Undecodable as error:
        raise Broken("what came is not whole, or not compressed as its host says") from error
    except (OSError, http.client.HTTPException, HTTPError) as error:
        raise Broken("its host broke the connection") from error


def _raw(response: requests.Response) -> Iterator[bytes | memoryview]:
    """The bytes as they come, none lost when it breaks off."""
    body = getattr(response.raw, "_fp", None)
    if not isinstance(body, http.client.HTTPResponse):
        while data := response.raw.read(CHUNK, decode_content=False):
            yield data
        return
    # urllib3 would copy every byte twice; it is bypassed and only told of the end.
    span = SPAN
    if not body.chunked and not body.isclosed():
        body.fp = cast(io.BufferedReader, _OneRead(body.fp))
        span = CHUNK
    buffer = _buffer()
    filled = 0
    try:
        while count := body.readinto(buffer[filled : filled + span]):
            filled += count
            if filled + SPAN > CHUNK:
                yield buffer[:filled]
                filled = 0
    except (OSError, http.client.HTTPException):
        yield buffer[:filled]
        raise
    if filled:
        yield buffer[:filled]
    if not body.length:
        response.raw.release_conn()


class _OneRead:
    """A connection's buffer that hands out what is there: it would wait until all that is asked for has come."""

    def __init__(self, below: io.BufferedReader) -> None:
        self._below = below
        self.readinto = below.readinto1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)


def _buffer() -> memoryview:
    if not hasattr(_buffers, "own"):
        _buffers.own = memoryview(bytearray(CHUNK))
    buffer: memoryview = _buffers.own
    return buffer
