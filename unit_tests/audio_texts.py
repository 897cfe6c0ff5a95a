"""Audio as text, in every form in which a provider may write it."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from source_recordings.files.inline import Inline
from source_recordings.files.staging import Staging

AUDIO = random.Random(3).randbytes(200_001)
LIMIT = 10**6
HEAD = "data:audio/mpeg;base64,"


def encoded(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


def data_uri(audio: bytes, head: str = HEAD) -> str:
    return head + encoded(audio)


def cut(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


def parts(staging: Staging) -> list[Path]:
    return list(staging.root.rglob("*.part"))


def decoded(staging: Staging, text: str, size: int = 10**9, limit: int = LIMIT) -> tuple[bytes, str | None]:
    """The audio as it was written, and its type. Raises NoBase64."""
    with staging.part() as part:
        inline = Inline(part, limit)
        inline.decode(cut(text, size))
        assert part._path
        written = part._path.read_bytes()
        assert inline.too_large or inline.size == part.size == len(written)
        return written, inline.content_type


def one_by_one(audio: bytes, block: int = 10) -> str:
    """Blocks that were encoded and padded by themselves, one after the other."""
    return "".join(encoded(audio[i : i + block]) for i in range(0, len(audio), block))


def percent(text: str) -> str:
    return text.replace("%", "%25").replace("+", "%2B").replace("/", "%2f").replace("=", "%3D")


def blanks_anywhere(audio: bytes) -> str:
    dice, text = random.Random(len(audio)), encoded(audio)
    for place in sorted((dice.randrange(len(text) + 1) for _ in range(len(text) // 50 + 1)), reverse=True):
        text = text[:place] + dice.choice(" \n\t\r") + text[place:]
    return HEAD + text


FORMS: dict[str, Callable[[bytes], str]] = {
    "data url": data_uri,
    "DATA: capitals": lambda audio: data_uri(audio, "DATA:audio/mpeg;BASE64,"),
    "another parameter": lambda audio: data_uri(audio, "data:audio/mpeg;rate=8000;base64,"),
    "white space in front": lambda audio: "\n  " + data_uri(audio),
    "url-safe": lambda audio: HEAD + base64.urlsafe_b64encode(audio).decode(),
    "line breaks": lambda audio: HEAD + "\r\n".join(cut(encoded(audio), 76)),
    "spaces": lambda audio: HEAD + " ".join(cut(encoded(audio), 5)),
    "no padding": lambda audio: HEAD + encoded(audio).rstrip("="),
    "percent-encoded": lambda audio: HEAD + percent(encoded(audio)),
    "blocks padded one by one": lambda audio: HEAD + one_by_one(audio),
    "a blank after the comma": lambda audio: data_uri(audio, HEAD + " "),
    "a line break in the head": lambda audio: data_uri(audio, "data:audio/mpeg;\n base64,"),
    "all percent-encoded": lambda audio: "".join(f"%{ord(c):02x}" for c in data_uri(audio)),
    "a percent-encoded head": lambda audio: data_uri(audio, "data:audio%2Fmpeg%3Bbase64,"),
    "no scheme": lambda audio: data_uri(audio, "audio/mpeg;base64,"),
    "blanks anywhere": blanks_anywhere,
    "all at once": lambda audio: HEAD + "%0A".join(percent(p) for p in cut(one_by_one(audio), 7)),
}
BARE_FORMS: dict[str, Callable[[bytes], str]] = {
    "bare": encoded,
    "bare, line breaks": lambda audio: "\n".join(cut(encoded(audio), 76)),
    "bare, blanks": lambda audio: " ".join(cut(encoded(audio), 60)),
    "bare, percent-encoded": lambda audio: percent(encoded(audio)),
}
SIZES = [1, 2, 3, 5, 7, 64, 1000, 10**9]
