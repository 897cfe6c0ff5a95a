"""A long text of an answer is kept out of memory while it arrives."""

from __future__ import annotations

import io
import json
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3 import HTTPResponse

from source_recordings.files.inline import Inline
from source_recordings.files.staging import Staging
from source_recordings.http import apart as module
from source_recordings.http.answers import Reply, Unreadable, parsed
from source_recordings.http.apart import read_apart
from unit_tests.audio_texts import AUDIO, BARE_FORMS, FORMS, LIMIT, data_uri


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path)


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
