"""Names of files: whatever a provider sends, they stay inside and differ where the ids differ."""

import re

import pytest

from source_recordings.files.names import EXTENSIONS, media_type, relative_path, safe_segment

EVIL = [
    "",
    ".",
    "..",
    "...",
    "../../etc/passwd",
    "..\\..\\windows",
    "/etc/passwd",
    "C:\\x",
    "a/b",
    "a\\b",
    "a:b",
    "a\0b",
    "a\nb",
    " a",
    "a ",
    "a.",
    ".a",
    "~",
    "-rf ",
    "$(id)",
    "%2e%2e%2f",
    "CON",
    "nul",
    "Com1",
    "LPT9.txt",
    "nul.tar.gz",
    "CONIN$",
    "\u202egpj.exe",
    "\u97f3\u58f0",
    "e\u0301",
    "\u00e9",
    "\ud800",
    "x" * 101,
    "x" * 100_000,
    "y" * 100_000,
    "x" * 99_999 + "y",
]


@pytest.mark.parametrize("text", EVIL, ids=[ascii(text)[:30] for text in EVIL])
def test_a_segment_is_a_plain_name_on_every_file_system(text: str) -> None:
    safe = safe_segment(text)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", safe)
    assert not safe.endswith(".")
    assert not re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(\..*)?", safe, re.IGNORECASE)
    assert safe == safe_segment(text), "a name is stable"


def test_different_texts_are_different_names() -> None:
    assert len({safe_segment(text) for text in EVIL}) == len(EVIL)


@pytest.mark.parametrize(
    "text", ["5b74ee9e-9d45-473a-82cd-f1f7feea6bbd", "CA01", "med_001", "2026", "01", "a.b", "console", "x" * 100]
)
def test_an_ordinary_id_stays_as_it_is(text: str) -> None:
    assert safe_segment(text) == text


@pytest.mark.parametrize(
    ("name", "content_type", "expected"),
    [
        ("r1", "audio/mpeg", "p/r1.mp3"),
        ("r1", "audio/x-wav", "p/r1.wav"),
        ("r1", None, "p/r1.bin"),
        ("r1", "application/x-new", "p/r1.bin"),
        ("r1.mp3", "audio/wav", "p/r1.mp3"),
        ("r1.WAV", None, "p/r1.wav"),
        ("r1.exe", "audio/wav", "p/r1.exe.wav"),
        ("v1.2", "audio/wav", "p/v1.2.wav"),
        ("..mp3", None, f"p/{safe_segment('.')}.mp3"),
        ("a/../b.mp3", None, f"p/{safe_segment('a/../b')}.mp3"),
        ("x" * 200 + ".mp3", None, f"p/{safe_segment('x' * 200)}.mp3"),
    ],
)
def test_the_extension_is_the_providers_or_that_of_the_type(name: str, content_type: str | None, expected: str) -> None:
    assert relative_path(["p", name], content_type) == expected


def test_folders_are_made_safe_too() -> None:
    assert relative_path(["..", "", "x"], "audio/mpeg").count("/") == 2
    assert ".." not in relative_path(["..", "", "x"], "audio/mpeg").split("/")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("audio/mpeg", "audio/mpeg"),
        ("Audio/MPEG; charset=utf-8", "audio/mpeg"),
        (" audio/wav ", "audio/wav"),
        ("application/octet-stream", None),
        ("binary/octet-stream", None),
        ("nonsense", None),
        ("", None),
        (None, None),
    ],
)
def test_a_content_type_that_says_nothing_is_none(said: str | None, expected: str | None) -> None:
    assert media_type(said) == expected


def test_every_extension_is_one_that_is_recognised_again() -> None:
    for content_type, extension in EXTENSIONS.items():
        assert relative_path([f"x.{extension}"], None) == f"x.{extension}", content_type
