"""Audio inside an answer: decoded exactly, wherever the pieces end."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_recordings.files.inline import LEAST_BARE, Inline, NoBase64
from source_recordings.files.staging import Staging
from unit_tests.audio_texts import AUDIO, FORMS, HEAD, SIZES, cut, data_uri, decoded, encoded, parts


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path)


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
