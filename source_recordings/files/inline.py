"""Audio that comes inside a JSON answer, in base64: written to disk while the answer is read, never held in memory."""

import binascii
import json
import re
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any
from uuid import uuid4

import requests
from requests.adapters import BaseAdapter
from requests.exceptions import ChunkedEncodingError, ContentDecodingError

from source_recordings.media.names import media_type
from source_recordings.media.staging import Part

CHUNK = 64 * 1024
MAX_HEADER = 200
TOKEN = "inline:"  # noqa: S105  not a password

# Inside a JSON string every quotation mark has a backslash before it, so this is found around keys only.
_KEY = r'[{{,\s]"{}"\s*:\s*"'
_ESCAPES = re.compile(rb"\\[nrt/]")


class Inline:
    """Base64, with or without `data:<type>;base64,` in front, that arrives in pieces."""

    def __init__(self, part: Part | None, limit: int) -> None:
        """`part` is None where the audio is not wanted; over `limit` bytes it is not written any further."""
        self.part = part
        self.content_type: str | None = None
        self.size = 0
        self.too_large = False
        self._limit = limit
        self._header: bytes | None = b""
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Raises ValueError for what is no base64."""
        if self._header is not None:
            self._header += piece
            if len(self._header) < MAX_HEADER and b"," not in self._header:
                return
            piece = self._take_header()
        data = self._rest + piece
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        self._decode(data[:whole])

    def end(self) -> None:
        data = self._rest + (b"" if self._header is None else self._take_header())
        data = data.rstrip(b"=")
        self._decode(data + b"=" * (-len(data) % 4))

    def close(self) -> None:
        """Removes what was written unless it was finished."""
        if self.part:
            self.part.close()

    def _take_header(self) -> bytes:
        header, comma, rest = (self._header or b"").partition(b",")
        self._header = None
        if not comma:
            return header
        self.content_type = media_type(header.removeprefix(b"data:").decode("latin-1"))
        return rest

    def _decode(self, data: bytes) -> None:
        decoded = binascii.a2b_base64(data)
        self.size += len(decoded)
        self.too_large = self.too_large or self.size > self._limit
        if self.part and not self.too_large:
            self.part.write(decoded)


class InlineFiles:
    """The files that were taken out of answers and wait for the row that they belong to."""

    def __init__(self, new_part: Callable[[], Part] | None, limit: int) -> None:
        self._new_part = new_part
        self._limit = limit
        self._waiting: dict[str, Inline] = {}
        self._lock = Lock()

    def new(self) -> Inline:
        return Inline(self._new_part() if self._new_part else None, self._limit)

    def keep(self, inline: Inline) -> str:
        """A token to stand in the row in the audio's place."""
        token = f"{TOKEN}{uuid4()}"
        with self._lock:
            self._waiting[token] = inline
        return token

    def take(self, token: str) -> Inline | None:
        with self._lock:
            return self._waiting.pop(token, None)

    def of_text(self, text: str) -> Inline:
        """The same for a text that is in memory already. Raises ValueError for what is no base64."""
        inline = self.new()
        try:
            for start in range(0, len(text), CHUNK):
                inline.feed(text[start : start + CHUNK].encode("latin-1", "replace"))
            inline.end()
        except BaseException:
            inline.close()
            raise
        return inline


class InlineAdapter(BaseAdapter):
    """Takes one field's text out of JSON answers as they arrive; everybody above sees a small answer with a token in it."""

    def __init__(self, field: str, files: InlineFiles, inner: BaseAdapter) -> None:
        """`inner` sends the requests."""
        super().__init__()
        self._key = re.compile(_KEY.format(re.escape(field)).encode())
        self._files = files
        self._inner = inner

    def close(self) -> None:
        self._inner.close()

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, *args: Any, **kwargs: Any
    ) -> requests.Response:
        response = self._inner.send(request, True, *args, **kwargs)
        response.connection = self  # type: ignore[assignment]
        if response.status_code == 200:
            tokens: list[str] = []
            body = b"".join(self._without_field(response.iter_content(CHUNK), tokens))
            response._content = body
            response._content_consumed = True  # type: ignore[attr-defined]
            if tokens and not _is_json(body):
                # Whoever sent the request asks again, and the file comes again.
                for inline in filter(None, map(self._files.take, tokens)):
                    inline.close()
        return response

    def _without_field(self, pieces: Iterator[bytes], tokens: list[str]) -> Iterator[bytes]:
        """Raises a RequestException if the answer breaks off within the field."""
        held = b""
        for piece in pieces:
            held += piece
            found = self._key.search(held)
            if not found:
                # A key that starts at the end of this piece goes on in the next.
                keep = max(0, len(held) - 2 * len(self._key.pattern))
                yield held[:keep]
                held = held[keep:]
                continue
            yield held[: found.end()]
            token, held = self._spill(held[found.end() :], pieces)
            tokens.append(token)
            yield token.encode()
        yield held

    def _spill(self, held: bytes, pieces: Iterator[bytes]) -> tuple[str, bytes]:
        inline = self._files.new()
        try:
            while True:
                end = held.find(b'"')
                text = held if end < 0 else held[:end]
                # An escape that starts at the end of this piece goes on in the next.
                split = len(text) - 1 if end < 0 and text.endswith(b"\\") else len(text)
                inline.feed(_ESCAPES.sub(_unescape, text[:split]))
                if end >= 0:
                    inline.end()
                    return self._files.keep(inline), held[end:]
                held = held[split:]
                held += next(pieces)
        except BaseException as error:
            inline.close()
            if isinstance(error, StopIteration):
                raise ChunkedEncodingError("the answer ended within a string") from error
            if isinstance(error, ValueError):
                raise ContentDecodingError("the audio is no base64") from error
            raise


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _unescape(escape: "re.Match[bytes]") -> bytes:
    return b"/" if escape[0] == b"\\/" else b""
