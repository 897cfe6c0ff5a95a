"""Audio inside a JSON answer: taken out while it arrives, wherever the pieces of the answer end."""

import base64
import binascii
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3 import HTTPResponse

from source_recordings.media.inline import CHUNK, TOKEN, InlineAdapter, InlineFiles
from source_recordings.media.staging import Staging

AUDIO = random.Random(3).randbytes(200_001)
LIMIT = 10**6


def data_uri(audio: bytes, head: str = "data:audio/mpeg;base64,") -> str:
    return head + base64.b64encode(audio).decode()


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path)


@pytest.fixture
def files(staging: Staging) -> InlineFiles:
    return InlineFiles(staging.part, LIMIT)


def parts(staging: Staging) -> list[Path]:
    return list(staging.root.rglob("*.part"))


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


def send(
    files: InlineFiles, body: bytes, *, size: int = 10**9, status: int = 200
) -> requests.Response:
    """The answer as the adapter hands it on."""

    class Answer(HTTPAdapter):
        def send(
            self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
        ) -> requests.Response:
            raw = io.BufferedReader(Pieces(body, size), 8192)
            return self.build_response(
                request, HTTPResponse(raw, status=status, preload_content=False)
            )

    request = requests.Request("GET", "https://tether.example.com/x").prepare()
    return InlineAdapter("audioData", files, Answer()).send(request)


def taken(files: InlineFiles, token: str) -> tuple[bytes, str | None]:
    inline = files.take(token)
    assert inline and inline.part
    with inline.part as part:
        assert inline.size == part.size
        assert part._path
        return part._path.read_bytes(), inline.content_type


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 64, 1000, CHUNK])
@pytest.mark.parametrize("audio", [b"", b"a", b"ab", b"abc", AUDIO[:5000]])
def test_the_audio_goes_to_disk_and_a_token_takes_its_place(
    files: InlineFiles, staging: Staging, audio: bytes, chunk: int
) -> None:
    row = {"success": True, "audioData": data_uri(audio), "from": 'a "audioData": b', "z": [1]}
    with patch("source_recordings.media.inline.CHUNK", chunk):
        seen = send(files, json.dumps(row).encode()).json()
    assert seen["audioData"].startswith(TOKEN)
    assert {**seen, "audioData": row["audioData"]} == row
    assert taken(files, seen["audioData"]) == (audio, "audio/mpeg")
    assert files.take(seen["audioData"]) is None
    assert parts(staging) == []


@pytest.mark.parametrize("separators", [(",", ":"), (", ", " :\n ")])
@pytest.mark.parametrize("first", [True, False])
def test_wherever_the_field_stands(
    files: InlineFiles, separators: tuple[str, str], first: bool
) -> None:
    row: dict[str, Any] = (
        {"audioData": data_uri(AUDIO)}
        if first
        else {"a": None, "b": {}, "audioData": data_uri(AUDIO)}
    )
    seen = send(files, json.dumps(row, separators=separators).encode()).json()
    assert taken(files, seen["audioData"])[0] == AUDIO


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize(
    "text",
    [
        data_uri(AUDIO[:999]).replace("/", r"\/"),
        data_uri(AUDIO[:999])[:500] + r"\r\n" + data_uri(AUDIO[:999])[500:],
        data_uri(AUDIO[:999], head=""),
        data_uri(AUDIO[:999], head="data:;base64,"),
        data_uri(AUDIO[:1000]).rstrip("="),
    ],
)
def test_other_ways_to_write_base64(files: InlineFiles, text: str, chunk: int) -> None:
    with patch("source_recordings.media.inline.CHUNK", chunk):
        seen = send(files, b'{"audioData":"' + text.encode() + b'"}').json()
    audio, content_type = taken(files, seen["audioData"])
    assert audio in (AUDIO[:999], AUDIO[:1000])
    assert content_type == ("audio/mpeg" if "audio" in text[:30] else None)


@pytest.mark.parametrize(
    "body",
    [
        b'{"success":true,"audioUrl":"https://x"}',
        b'{"audioData":null}',
        b'{"a":"\\"audioData\\":\\"abc\\""}',
        b'{"xaudioData":"abc"}',
        b'["audioData","abc"]',
        b"no json at all",
        b"",
    ],
)
def test_other_answers_stay_as_they_are(files: InlineFiles, staging: Staging, body: bytes) -> None:
    assert send(files, body).content == body
    assert parts(staging) == []


def test_an_error_stays_as_it_is(files: InlineFiles) -> None:
    body = json.dumps({"audioData": data_uri(b"x")}).encode()
    assert send(files, body, status=500).content == body


@pytest.mark.parametrize(
    "body",
    [
        b'{"audioData":"data:audio/mpeg;base64,QUJD',
        b'{"audioData":"data:audio/mpeg;base64,QUJDR"}',
        b'{"audioData":"',
    ],
)
def test_audio_that_breaks_off_or_is_none_is_asked_for_again(
    files: InlineFiles, staging: Staging, body: bytes
) -> None:
    with pytest.raises(RequestException):
        send(files, body)
    assert parts(staging) == []


def test_an_answer_that_breaks_off_behind_the_audio_leaves_no_part(
    files: InlineFiles, staging: Staging
) -> None:
    response = send(files, json.dumps({"audioData": data_uri(AUDIO), "to": "x"}).encode()[:-3])
    with pytest.raises(ValueError, match="Unterminated"):
        response.json()
    assert parts(staging) == []


def test_audio_over_the_limit_is_not_written(staging: Staging) -> None:
    files = InlineFiles(staging.part, len(AUDIO) - 1)
    seen = send(files, json.dumps({"audioData": data_uri(AUDIO)}).encode()).json()
    inline = files.take(seen["audioData"])
    assert inline and inline.too_large and inline.part
    assert inline.part.size < inline.size == len(AUDIO)
    inline.close()
    assert parts(staging) == []


def test_audio_that_nobody_wants_is_not_written(staging: Staging) -> None:
    files = InlineFiles(None, LIMIT)
    seen = send(files, json.dumps({"audioData": data_uri(AUDIO)}).encode()).json()
    inline = files.take(seen["audioData"])
    assert inline and inline.part is None
    assert not staging.root.exists() or parts(staging) == []


def test_a_text_in_memory_is_decoded_in_pieces(files: InlineFiles, staging: Staging) -> None:
    inline = files.of_text(data_uri(AUDIO))
    assert inline.part and inline.part._path and inline.part._path.read_bytes() == AUDIO
    inline.close()
    with pytest.raises(binascii.Error):
        files.of_text("data:audio/mpeg;base64,QUJDR")
    assert parts(staging) == []


def test_the_token_can_not_be_guessed_by_the_provider(files: InlineFiles) -> None:
    assert files.take(f"{TOKEN}x") is None


@pytest.fixture(autouse=True)
def closed(files: InlineFiles) -> Iterator[None]:
    yield
    for token in list(files._waiting):
        inline = files.take(token)
        assert inline
        inline.close()
