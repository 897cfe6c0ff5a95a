"""What a provider's answer is, and its text as values: strictly, so that nothing broken passes for empty."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG = b"0" * 19
"""So many digits may be beyond 64 bits, where orjson rounds a whole number."""


LEVELS = 200
"""What is nested deeper stays as its JSON text. Python's json and pickle end at some 500 levels, orjson at 254."""

# A string that is not closed goes to the end of the text: nothing is looked at twice.
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[{\]}]', re.DOTALL)


class Apart(Protocol):
    """A long text of an answer that is not in memory."""

    @property
    def token(self) -> str:
        """What stands in its place in the row."""

    @property
    def size(self) -> int:
        """Bytes on disk."""

    def pieces(self) -> Iterator[str]:
        """The text. Raises ValueError for what is no text."""

    def text(self) -> str:
        """All of it."""


class Unreadable(ValueError):
    """The text is no JSON."""


@dataclass(frozen=True)
class Reply:
    """What came over the wire: the status, the headers and the body, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    apart: Apart | None = None
    """What was taken out of the body."""


@dataclass(frozen=True)
class Answer:
    """An answer that counts: its values, or why there are none."""

    value: Any = None
    skipped: str | None = None
    size: int = 0
    apart: Apart | None = field(default=None, compare=False)


def parsed(body: bytes) -> Any:
    """The value of a JSON text. Raises Unreadable.

    orjson refuses what is no JSON. What it refuses and is readable all the same (numbers beyond 64 bits, NaN, half of a
    surrogate pair, very deep nesting) comes with its exact value where JSON can say it, and as null where it can't.
    """
    if _LONG not in body.translate(_DIGITS):
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
        else:
            if not _may_be_deep(body) or _can_be_written(value):
                return value
    try:
        text = _shallow(body.decode("utf-8")) if _may_be_deep(body) else body.decode("utf-8")
        return json.loads(text, parse_constant=lambda _: None, parse_float=_finite, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise Unreadable(type(error).__name__) from None


def _may_be_deep(body: bytes) -> bool:
    return body.count(b"[") + body.count(b"{") > LEVELS


def _can_be_written(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def _shallow(text: str) -> str:
    """The JSON text with a string in the place of each part that is nested too deep."""
    pieces = []
    depth = start = position = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        if found[0] in ("[", "{"):
            depth += 1
            if depth == LEVELS + 1:
                start = found.start()
        elif found[0] in ("]", "}"):
            if depth == LEVELS + 1:
                pieces += [text[position:start], json.dumps(text[start : found.end()])]
                position = found.end()
            depth -= 1
    return "".join([*pieces, text[position:]])


def text_of(body: bytes) -> str:
    """A body that is text, with or without a byte order mark. Raises Unreadable."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(type(error).__name__) from None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _whole(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:  # more digits than Python turns into a number
        return text
