"""Audio inside a JSON answer: kept out of memory while it arrives, decoded exactly, wherever the pieces end."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3 import HTTPResponse

from source_recordings.files.inline import LEAST_BARE, Inline, NoBase64
from source_recordings.files.staging import Staging
from source_recordings.http import apart as module
from source_recordings.http.answers import Reply, Unreadable, parsed
from source_recordings.http.apart import read_apart

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


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path)


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


# --- base64 ---------------------------------------------------------------------------------


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


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("audio", [b"", b"a", b"ab", b"abc", AUDIO[:999], AUDIO[:1000]])
def test_every_form_gives_the_exact_bytes(staging: Staging, form: str, audio: bytes) -> None:
    text = FORMS[form](audio)
    for size in SIZES:
        assert decoded(staging, text, size) == (audio, "audio/mpeg")
    assert parts(staging) == []


@settings(max_examples=200, deadline=None)
@given(form=st.sampled_from(sorted(FORMS)), audio=st.binary(max_size=300), size=st.integers(1, 400))
def test_any_audio_in_pieces_of_any_size(form: str, audio: bytes, size: int) -> None:
    with TemporaryDirectory() as folder:
        assert decoded(Staging(Path(folder)), FORMS[form](audio), size) == (audio, "audio/mpeg")


@pytest.mark.parametrize(
    ("head", "content_type"), [("", None), ("data:;base64,", None), ("data:audio/wav;base64,", "audio/wav")]
)
@pytest.mark.parametrize("size", SIZES)
def test_the_type_is_the_one_that_is_said(staging: Staging, head: str, content_type: str | None, size: int) -> None:
    assert decoded(staging, data_uri(AUDIO[:999], head), size) == (AUDIO[:999], content_type)


@pytest.mark.parametrize("size", [1, 3, 64, 10**9])
@pytest.mark.parametrize(
    "text",
    [
        "N/A",
        "processing",
        "none",
        "A" * (LEAST_BARE - 4),
        "https://storage.example.com/audio.mp3",
        "Not available yet, ask again",
        "Recording not available yet",
        "The recording was deleted because the time is over for which this workspace keeps what it has " * 4,
        "CallRecordingNotAvailable404",
        "recordings/2026/11/25/CA0123456789abcdef0123456789abcdef",
        "n/a, 42xy",
        "5/6 not ready, try later",
        "audio/mpeg",
        "null",
        "data:",
        "data:,",
        "data:audio/mpeg;base64",
        "@@@@",
        HEAD + "null",
        HEAD + "undefined",
        HEAD + " processing\n",
        HEAD + "N/A",
        HEAD + "Recording not available yet",
        HEAD + "QUJDR",
        HEAD + "QUJD=",
        HEAD + "QUJDRA=",
        HEAD + "QUJDRA===",
        HEAD + "====",
        HEAD + "QUJD!UJD",
        HEAD + "QUJD\u00fcQUJD",
        HEAD + "QUJD%GGQUJD",
        HEAD + "QUJD%",
        HEAD + '{"error":"x"}',
        "data:text/plain,hello",
        "data:audio/mpeg,QUJD",
        encoded(AUDIO[:1000]).rstrip("="),
    ],
)
def test_what_is_no_base64_is_no_audio(staging: Staging, text: str, size: int) -> None:
    with pytest.raises(NoBase64):
        decoded(staging, text, size)
    assert parts(staging) == []


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=80), size=st.integers(1, 90), head=st.sampled_from(["", HEAD]))
def test_any_other_text_is_refused_or_decoded_in_the_same_way_whole_and_in_pieces(
    text: str, size: int, head: str
) -> None:
    def result(size: int) -> Any:
        with TemporaryDirectory() as folder:
            try:
                return decoded(Staging(Path(folder)), head + text, size)
            except NoBase64:
                return None

    assert result(size) == result(10**9)


def test_audio_over_the_limit_is_not_written_on_but_measured(staging: Staging) -> None:
    with staging.part() as part:
        inline = Inline(part, len(AUDIO) - 1)
        inline.decode(cut(data_uri(AUDIO), 1000))
        assert inline.too_large
        assert part.size < inline.size == len(AUDIO)
    with staging.part() as part:
        inline = Inline(part, len(AUDIO))
        inline.decode(cut(data_uri(AUDIO), 1000))
        assert not inline.too_large
    assert parts(staging) == []


@pytest.mark.parametrize("size", [1, 64, 10**9])
def test_a_short_text_that_begins_as_audio_does(staging: Staging, size: int) -> None:
    """It says itself what it is; a text of the same length that does not may be anything."""
    audio = b"RIFF\x24\0\0\0WAVEfmt " + bytes(20)
    assert decoded(staging, encoded(audio), size) == (audio, None)
    with pytest.raises(NoBase64):
        decoded(staging, encoded(audio[::-1]), size)


# --- the answer -----------------------------------------------------------------------------


class Pieces(io.RawIOBase):
    """A body that arrives in pieces of a given size."""

    def __init__(self, body: bytes, size: int) -> None:
        self._body, self._size = io.BytesIO(body), size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._body.read(min(len(buffer), self._size))
        buffer[: len(data)] = data
        return len(data)


def reply(body: bytes, *, size: int = 10**9, status: int = 200, chunk: int = module.CHUNK) -> Reply:
    """The answer without its `audioData`."""
    raw = io.BufferedReader(Pieces(body, size), 8192)
    request = requests.Request("GET", "https://tether.example.com/x").prepare()
    response = HTTPAdapter().build_response(request, HTTPResponse(raw, status=status, preload_content=False))
    with patch.object(module, "CHUNK", chunk):
        return read_apart(response, "audioData")


def audio_of(found: Reply, staging: Staging, chunk: int = module.CHUNK) -> bytes:
    assert found.apart
    with staging.part() as part, patch.object(module, "CHUNK", chunk):
        inline = Inline(part, LIMIT)
        inline.decode(found.apart.pieces())
        assert part._path
        return part._path.read_bytes()


def u_escaped(text: str) -> str:
    r"""Every plus sign and slash as \u002B and \/."""
    return json.dumps(text).replace("+", r"\u002B").replace("/", r"\/")


def all_escaped(text: str) -> str:
    return '"' + "".join(f"\\u{ord(letter):04x}" for letter in text) + '"'


def any_escape(text: str) -> str:
    """Each letter in one of the ways in which JSON can write it."""
    ways = {c: [json.dumps(c)[1:-1], f"\\u{ord(c):04x}", "\\/" if c == "/" else f"\\u{ord(c):04X}"] for c in set(text)}
    return '"' + "".join(ways[c][number * 7 % 11 % 3] for number, c in enumerate(text)) + '"'


ESCAPES: list[Callable[[str], str]] = [json.dumps, u_escaped, all_escaped, any_escape]


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 64, 1000, module.CHUNK])
@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("audio", [b"", b"a", b"ab", b"abc", AUDIO[:700]])
def test_the_audio_goes_to_a_file_and_a_token_takes_its_place(
    staging: Staging, audio: bytes, escape: Callable[[str], str], chunk: int
) -> None:
    row = {"success": True, "from": 'a "audioData": b', "z": [1], "audioData": data_uri(audio)}
    text = json.dumps(row).replace(json.dumps(row["audioData"]), escape(data_uri(audio)))
    found = reply(text.encode(), chunk=chunk)
    assert found.apart
    value = parsed(found.body)
    assert value == {**row, "audioData": found.apart.token}
    assert found.apart.text() == row["audioData"]
    assert audio_of(found, staging, chunk) == audio
    assert audio_of(found, staging) == audio, "it can be read again"


BODIES = int(os.environ.get("AUDIO_BODIES", "180"))
"""How many random bodies: AUDIO_BODIES=3000 for a long look."""


def test_random_audio_in_every_form_and_escape(staging: Staging) -> None:
    """Up to 200 kB, through the answer and its file: the exact bytes, each time."""
    dice = random.Random(BODIES)
    forms = FORMS | BARE_FORMS
    for number in range(BODIES):
        name = list(forms)[number % len(forms)]
        escape = ESCAPES[number // len(forms) % len(ESCAPES)]
        # A short text that does not say what it is counts as none.
        least = 200 if name.startswith("bare") else 0
        audio = dice.randbytes(dice.choice((dice.randrange(least, 300), dice.randrange(least, 200_001))))
        text = f'{{"success": true, "audioData" : {escape(forms[name](audio))}, "duration": 3}}'
        found = reply(text.encode(), size=dice.choice((999, 10**9)))
        assert audio_of(found, staging) == audio, (number, name)
        assert parsed(found.body)["duration"] == 3


@pytest.mark.parametrize("chunk", [1, 7, module.CHUNK])
def test_a_field_of_the_same_name_elsewhere_stays_where_it_is(staging: Staging, chunk: int) -> None:
    inner = {"audioData": "of the greeting", "a": ["}", {"audioData": "x"}], "b": '"{['}
    row = {"greeting": inner, "audioData": data_uri(AUDIO[:700]), "after": inner}
    found = reply(json.dumps(row).encode(), chunk=chunk)
    assert found.apart
    assert parsed(found.body) == {**row, "audioData": found.apart.token}
    assert audio_of(found, staging, chunk) == AUDIO[:700]


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(max_size=60),
    ascii_only=st.booleans(),
    before=st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3),
    chunk=st.integers(1, 80),
    size=st.integers(1, 80),
)
def test_any_text_comes_back_as_it_was(
    text: str, ascii_only: bool, before: dict[str, str], chunk: int, size: int
) -> None:
    row = {**before, "audioData": text, "to": "x"}
    body = json.dumps(row, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = reply(body, size=size, chunk=chunk)
    assert found.apart
    assert parsed(found.body) == {**row, "audioData": found.apart.token}
    with patch.object(module, "CHUNK", chunk):
        assert found.apart.text() == text


@pytest.mark.parametrize("separators", [(",", ":"), (", ", " :\n ")])
@pytest.mark.parametrize("first", [True, False])
def test_wherever_the_field_stands(staging: Staging, separators: tuple[str, str], first: bool) -> None:
    row: dict[str, Any] = {"audioData": data_uri(AUDIO)}
    if not first:
        row = {"a": None, "b": {}, **row}
    found = reply(json.dumps(row, separators=separators).encode())
    assert audio_of(found, staging) == AUDIO


OTHERS = [
    b'{"success":true,"audioUrl":"https://x"}',
    b'{"audioData":null}',
    b'{"audioData":5}',
    b'{"a":"\\"audioData\\":\\"abc\\""}',
    b'{"xaudioData":"abc"}',
    b'["audioData","abc"]',
    b"no json at all",
    b"",
]


@pytest.mark.parametrize("body", OTHERS)
@pytest.mark.parametrize("chunk", [1, 7, module.CHUNK])
def test_other_answers_stay_as_they_are(body: bytes, chunk: int) -> None:
    found = reply(body, chunk=chunk)
    assert (found.body, found.apart) == (body, None)


@pytest.mark.parametrize("status", [202, 404, 500])
def test_an_error_stays_as_it_is(status: int) -> None:
    body = json.dumps({"audioData": data_uri(b"x")}).encode()
    found = reply(body, status=status)
    assert (found.status, found.body, found.apart) == (status, body, None)


@pytest.mark.parametrize("chunk", [1, 7, module.CHUNK])
def test_an_answer_that_breaks_off_is_no_json(chunk: int) -> None:
    """So it is asked for again."""
    body = json.dumps({"audioData": data_uri(b"abc"), "to": "x"}).encode()
    for end in range(len(body)):
        with pytest.raises(Unreadable):
            parsed(reply(body[:end], chunk=chunk).body)


def test_a_connection_that_breaks_is_a_network_error() -> None:
    class Breaks(Pieces):
        def readinto(self, buffer: Any) -> int:
            count = super().readinto(buffer)
            if not count:
                raise ConnectionResetError
            return count

    raw = io.BufferedReader(Breaks(b'{"audioData":"QUJD', 5))
    request = requests.Request("GET", "https://tether.example.com/x").prepare()
    response = HTTPAdapter().build_response(request, HTTPResponse(raw, status=200, preload_content=False))
    with pytest.raises(RequestException):
        read_apart(response, "audioData")


def test_it_takes_no_memory(staging: Staging) -> None:
    body = json.dumps({"audioData": data_uri(random.Random(1).randbytes(8_000_000))}).encode()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        found = reply(body)
        assert found.apart and found.apart.size > 10_000_000
        with staging.part() as part:
            Inline(part, 10**9).decode(found.apart.pieces())
            assert part.size == 8_000_000
        assert tracemalloc.get_traced_memory()[1] - before < 11_000_000 + 2_000_000
    finally:
        tracemalloc.stop()
