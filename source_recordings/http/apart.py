"""Keeps one long text of a JSON answer out of memory: it goes to a temporary file while the answer is read."""

import json
import os
import re
import tempfile
import weakref
from collections.abc import Iterator
from uuid import uuid4

import requests

from source_recordings.http.answers import Reply
from source_recordings.temporary import disk_errors

CHUNK = 64 * 1024

# Inside a JSON string every quotation mark has a backslash before it, so this is found around keys only.
_KEY = r'[{{,\s]"{}"\s*:\s*"'
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_CONTENT = re.compile(rb'(?:[^"\\]+|\\.)*', re.DOTALL)
_WHOLE_ESCAPES = re.compile(rb"(?:[^\\]+|\\u[0-9A-Fa-f]{4}|\\[^u])*", re.DOTALL)


class FileApart:
    """The text in a file without a name, of its owner alone, that is gone with this object."""

    def __init__(self) -> None:
        self.token = f"apart:{uuid4()}"
        self.size = 0
        with disk_errors():
            self._fd, path = tempfile.mkstemp()  # its owner's alone
            os.unlink(path)  # noqa: PTH108  there is no name any more
        weakref.finalize(self, os.close, self._fd)

    def write(self, raw: bytes) -> None:
        """A piece as JSON writes it, without the quotation marks around it."""
        with disk_errors():
            os.pwrite(self._fd, raw, self.size)
        self.size += len(raw)

    def pieces(self) -> Iterator[str]:
        """The text, unescaped. Raises ValueError."""
        held = b""
        for start in range(0, self.size, CHUNK):
            held += os.pread(self._fd, CHUNK, start)
            # An escape or a character that goes on in the next piece waits for it.
            match = _WHOLE_ESCAPES.match(held)
            end = match.end() if match else 0
            while end and start + CHUNK < self.size and held[end - 1] & 0x80:
                end -= 1
            yield _unescaped(held[:end])
            held = held[end:]
        yield _unescaped(held)

    def text(self) -> str:
        # A pair of escapes that two pieces have parted comes together again.
        halves = "".join(self.pieces()).encode("utf-16-le", "surrogatepass")
        return halves.decode("utf-16-le", "surrogatepass")


def _unescaped(raw: bytes) -> str:
    text: str = json.loads(b'"%s"' % raw, strict=False)
    return text


def read_apart(response: requests.Response, field: str) -> Reply:
    """The answer without the text of `field`. Raises a RequestException if the answer breaks off."""
    if response.status_code != 200:
        return Reply(response.status_code, response.headers, response.content)
    key = re.compile(_KEY.format(re.escape(field)).encode())
    pieces = response.iter_content(CHUNK)
    apart: FileApart | None = None
    head, held = b"", b""
    kept: list[bytes] = []
    for piece in pieces:
        held = held + piece
        found = next((hit for hit in key.finditer(held) if _depth([*kept, held[: hit.start() + 1]]) == 1), None)
        if found:
            apart = FileApart()
            head, held = held[: found.end()], held[found.end() :]
            kept += [head, apart.token.encode(), _spilled(held, pieces, apart)]
            kept += pieces
            held = b""
            break
        # A key that starts at the end of this piece goes on in the next.
        keep = max(0, len(held) - 2 * len(key.pattern))
        kept.append(held[:keep])
        held = held[keep:]
    body = b"".join([*kept, held])
    return Reply(response.status_code, response.headers, body, apart)


def _depth(pieces: list[bytes]) -> int:
    """How many objects and lists are open at the end. A key of the same name inside another value is another one."""
    open_ones = _STRING.sub(b"", b"".join(pieces))
    return sum(map(open_ones.count, (b"{", b"["))) - sum(map(open_ones.count, (b"}", b"]")))


def _spilled(held: bytes, pieces: Iterator[bytes], apart: FileApart) -> bytes:
    """What comes after the text, from its quotation mark on; nothing if the answer ends within it."""
    while True:
        match = _CONTENT.match(held)
        end = match.end() if match else 0
        apart.write(held[:end])
        held = held[end:]
        if held.startswith(b'"'):
            return held
        piece = next(pieces, None)
        if piece is None:
            return b""
        held += piece
