"""Names of files: whatever a provider sends, they stay inside and differ where the ids differ."""

import re

import pytest

from source_recordings.files.names import EXTENSIONS, joined, media_type, relative_path, safe_segment

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


def test_no_two_names_differ_in_their_capitals_only() -> None:
    texts = [*EVIL, "x1", "X1", "CA01", "ca01", "Ca01", "cA01", "CRwRV", "CRwrv", "crwrv", "_x", "_X"]
    texts += [safe_segment(text) for text in texts]
    assert len({safe_segment(text).lower() for text in set(texts)}) == len(set(texts))


ORDINARY = [
    "5b74ee9e-9d45-473a-82cd-f1f7feea6bbd",
    "ca74ee9e-9d45-473a-82cd-f1f7feea6bbd",
    "CA01",
    "CA74ee9e9d45473a82cdf1f7feea6bbd-inbound",
    "CR3f2a",
    "AC74ee9e9d45473a82cdf1f7feea6bbd",
    "rec_9d45473a-med_001",
    "med_001",
    "2026",
    "01",
    "a.b",
    "console",
    "call-1",
    "x" * 100,
]


@pytest.mark.parametrize("text", ORDINARY)
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
        ("r1.jpeg", None, "p/r1.jpeg"),
        ("r1.exe", "audio/wav", "p/r1.exe.wav"),
        ("v1.2", "audio/wav", "p/v1.2.wav"),
        ("..mp3", None, f"p/{safe_segment('.')}.mp3"),
        ("a/../b.mp3", None, f"p/{safe_segment('a/../b')}.mp3"),
        ("x" * 200 + ".mp3", None, f"p/{safe_segment('x' * 200)}.mp3"),
    ],
)
def test_the_extension_is_the_providers_or_that_of_the_type(name: str, content_type: str | None, expected: str) -> None:
    assert relative_path(["p", name], content_type) == expected


def test_an_id_has_no_extension_whatever_it_looks_like() -> None:
    assert relative_path(["p", "x"], "audio/mpeg", is_id=True) == "p/x.mp3"
    assert relative_path(["p", "x.mp3"], "audio/mpeg", is_id=True) == "p/x.mp3.mp3"


def test_different_parts_are_different_names() -> None:
    parts = [("a", "b"), ("a-b", "c"), ("a", "b-c"), ("a", "b-c\0[3, 1]"), ("", "a-b-c"), ("a\0", "b"), ("a", "\0b")]
    assert len({safe_segment(joined(part)) for part in parts}) == len(parts)
    assert joined(("CA01", "inbound.wav")) == "CA01-inbound.wav"


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
        ("audio/mp\u00e9g", None),
        ("audio/mpeg, audio/mpeg", "audio/mpeg"),
        (["audio/mpeg"], None),
        (5, None),
        ("", None),
        (None, None),
    ],
)
def test_a_content_type_that_says_nothing_is_none(said: object, expected: str | None) -> None:
    assert media_type(said) == expected


def test_every_extension_is_one_that_is_recognised_again() -> None:
    for content_type, extension in EXTENSIONS.items():
        assert relative_path([f"x.{extension}"], None) == f"x.{extension}", content_type
