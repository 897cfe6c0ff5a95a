"""Audio that comes as base64 text inside an answer: decoded piece by piece, exactly or not at all."""

import base64
import re
from collections.abc import Iterable

from source_recordings.files.names import media_type
from source_recordings.files.staging import Part

MAX_HEADER = 200

LEAST_BARE = 24
"""Letters. A shorter text without `data:` in front is a word in the audio's place, as `N/A` or `processing`."""

_SPACE = re.compile(r"\s+")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
_URL_SAFE = str.maketrans("-_", "+/")
_BLOCK = re.compile(r"([A-Za-z0-9+/]*)(=*)")


class NoBase64(ValueError):
    """The text is something else: not even a part of it is audio."""


class Inline:
    """Base64, with or without `data:<type>;base64,` in front, that arrives in pieces.

    Also in the URL-safe alphabet, with white space or line breaks, percent-encoded, and as blocks that are padded one by one.
    """

    def __init__(self, part: Part, limit: int) -> None:
        """Over `limit` bytes it is not written any further."""
        self.part = part
        self.content_type: str | None = None
        self.size = 0
        self.too_large = False
        self._limit = limit
        self._header: str | None = ""
        self._bare = False
        self._letters = 0
        self._held = ""

    def decode(self, pieces: Iterable[str]) -> None:
        """Raises NoBase64."""
        for piece in pieces:
            self._feed(piece)
        self._end()

    def _feed(self, piece: str) -> None:
        if self._header is not None:
            self._header += piece
            if len(self._header) < MAX_HEADER and "," not in self._header:
                return
            piece = self._take_header()
        text = self._held + _SPACE.sub("", piece)
        # A percent sign at the end goes on in the next piece.
        cut = text.rfind("%", -2)
        self._held, text = ("", text) if cut < 0 else (text[cut:], text[:cut])
        self._decode(text, last=False)

    def _end(self) -> None:
        rest = "" if self._header is None else self._take_header()
        self._decode(self._held + _SPACE.sub("", rest), last=True)
        if self._bare and self._letters < LEAST_BARE:
            raise NoBase64("a word")

    def _take_header(self) -> str:
        header, comma, rest = (self._header or "").partition(",")
        self._header = None
        if not comma:
            self._bare = True
            return header
        kind = header.strip()
        if kind[:5].lower() == "data:":
            kind = kind[5:]
            if ";base64" not in kind.lower().replace(" ", ""):
                raise NoBase64("a data URL of another encoding")
        elif "/" not in kind and ";base64" not in kind.lower():
            raise NoBase64("a sentence")
        self.content_type = media_type(kind)
        return rest

    def _decode(self, text: str, *, last: bool) -> None:
        text = _PERCENT.sub(lambda hit: chr(int(hit[1], 16)), text)
        text = _SPACE.sub("", text).translate(_URL_SAFE)
        position = 0
        while position < len(text):
            block = _BLOCK.match(text, position)
            assert block
            letters, padding = block.groups()
            if block.end() == position:
                raise NoBase64("other characters")
            at_end = block.end() == len(text)
            if at_end and not last:
                # What may go on in the next piece waits for it, a block of four at the most.
                whole = len(letters) - len(letters) % 4 if not padding else 0
                self._write(letters[:whole])
                self._held = letters[whole:] + padding + self._held
                return
            self._write_padded(letters, padding)
            position = block.end()

    def _write_padded(self, letters: str, padding: str) -> None:
        rest = len(letters) % 4
        if rest == 1 or len(padding) > 2 or (padding and not rest):
            raise NoBase64("a broken block")
        if padding and rest + len(padding) != 4:
            raise NoBase64("a broken padding")
        if rest and not padding and self._bare:
            raise NoBase64("a block that is not whole")
        self._write(letters + "=" * (-len(letters) % 4))

    def _write(self, letters: str) -> None:
        if not letters:
            return
        self._letters += len(letters)
        decoded = base64.b64decode(letters)
        self.size += len(decoded)
        self.too_large = self.too_large or self.size > self._limit
        if not self.too_large:
            self.part.write(decoded)
