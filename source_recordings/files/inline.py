"""Audio that comes as base64 text inside an answer: decoded piece by piece, exactly or not at all."""

import base64
import re
from collections.abc import Iterable

from source_recordings.files.names import media_type
from source_recordings.files.sniff import type_of
from source_recordings.files.staging import Part

MAX_HEADER = 1000

LEAST_BARE = 24
"""Letters. A shorter text without `data:` in front is a word in the audio's place, as `N/A` or `processing`."""

SURELY_BARE = 200
"""Letters. A shorter one may be a path or a token: it has to begin as audio does."""

SAMPLE = 300
"""So much of the text is looked at for what a person may have written."""

_SPACE = re.compile(r"\s+")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
_URL_SAFE = str.maketrans("-_", "+/")
_BLOCK = re.compile(r"([A-Za-z0-9+/]*)(=*)")
# What programs write where there is nothing.
_NULL = re.compile(r"n/?a|null|none|nil|nan|undefined|true|false|pending|processing|unavailable|error", re.IGNORECASE)
_SENTENCE = re.compile(r"[A-Z]?[a-z]+( +[A-Z]?[a-z]+)+")


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
        self._sample = ""
        self._letters = 0
        self._percent = ""
        self._held = ""

    def decode(self, pieces: Iterable[str]) -> None:
        """Raises NoBase64."""
        for piece in pieces:
            self._feed(piece)
        self._end()

    def _feed(self, piece: str) -> None:
        piece = self._percent + piece
        self._percent = ""
        if "%" in piece:
            # A percent sign at the end goes on in the next piece.
            cut = piece.rfind("%", -2)
            self._percent, piece = ("", piece) if cut < 0 else (piece[cut:], piece[:cut])
            piece = _PERCENT.sub(lambda hit: chr(int(hit[1], 16)), piece)
        if self._header is not None:
            self._header += piece
            if len(self._header) < MAX_HEADER and "," not in self._header:
                return
            piece = self._take_header()
        self._decode(piece, last=False)

    def _end(self) -> None:
        rest = "" if self._header is None else self._take_header()
        self._decode(rest + self._percent, last=True)
        said = self._sample.strip()
        if len(said) < SAMPLE and (_NULL.fullmatch(said) or _SENTENCE.fullmatch(said)):
            raise NoBase64("words")
        if self._bare and not self._is_audio(said):
            raise NoBase64("a word")

    def _is_audio(self, said: str) -> bool:
        """Whether a text that does not say what it is can be audio."""
        if self._letters < LEAST_BARE:
            return False
        if type_of(self.part.head):
            return True
        # A long sentence has blanks, but next to no digits.
        return self._letters >= SURELY_BARE and (" " not in said or any(map(str.isdigit, said)))

    def _take_header(self) -> str:
        header, comma, rest = (self._header or "").partition(",")
        self._header = None
        if not comma:
            self._bare = True
            return header
        kind = _SPACE.sub("", header)
        if kind[:5].lower() == "data:":
            kind = kind[5:]
            if ";base64" not in kind.lower():
                raise NoBase64("a data URL of another encoding")
        elif ";base64" not in kind.lower() and not (media_type(kind) or "").startswith(("audio/", "video/")):
            raise NoBase64("a sentence")
        self.content_type = media_type(kind)
        return rest

    def _decode(self, text: str, *, last: bool) -> None:
        if len(self._sample) < SAMPLE:
            self._sample += text[: SAMPLE - len(self._sample)]
        text = self._held + _SPACE.sub("", text).translate(_URL_SAFE)
        self._held = ""
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
                self._held = letters[whole:] + padding
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
