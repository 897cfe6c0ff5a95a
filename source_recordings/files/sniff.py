"""What the first bytes of a body say: which kind of media it is, or that it is no media at all."""

import codecs
import json
import re
from dataclasses import dataclass

HEAD = 1024
"""So many bytes of a file's start are looked at."""

NOTHING, PAGE, XML, JSON, TEXT = "an empty body", "a web page", "XML", "JSON", "text"

_MP4 = frozenset({"audio/mp4", "audio/m4a", "audio/x-m4a", "audio/aac", "audio/3gpp", "video/mp4", "video/quicktime"})
_OGG = frozenset(
    {"audio/ogg", "audio/opus", "audio/vorbis", "audio/speex", "audio/x-ogg", "application/ogg", "video/ogg"}
)
_MATROSKA = frozenset({"audio/webm", "video/webm", "audio/x-matroska", "video/x-matroska"})
_MPEG = frozenset(
    {"audio/mpeg", "audio/mp3", "audio/mpeg3", "audio/x-mpeg", "audio/x-mp3", "audio/x-mpeg-3", "audio/aac"}
)


@dataclass(frozen=True)
class _Kind:
    """Bytes at a file's start, and what they stand for."""

    start: re.Pattern[bytes]
    content_type: str
    others: frozenset[str] = frozenset()
    """Types that begin in the same way, or other names of the same: who says one of them knows better."""


def _kind(start: bytes, content_type: str, *others: str) -> _Kind:
    return _Kind(re.compile(start, re.DOTALL), content_type, frozenset(others))


# The first that fits.
_KINDS = (
    _kind(rb"(RIFF|RF64|BW64)....WAVE", "audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/x-pn-wav"),
    _kind(rb"RIFF....WEBP", "image/webp"),
    _kind(rb"ID3[\x02-\x04].[\0-\x7f]", "audio/mpeg", *_MPEG),
    _kind(rb"OggS\0", "audio/ogg", *_OGG),
    _kind(rb"fLaC", "audio/flac", "audio/x-flac"),
    _kind(rb"#!AMR", "audio/amr", "audio/amr-wb", "audio/x-amr"),
    _kind(rb"FORM....AIF[FC]", "audio/aiff", "audio/x-aiff"),
    _kind(rb"\.snd\0", "audio/basic", "audio/x-au"),
    _kind(rb"\x1aE\xdf\xa3.{0,60}webm", "video/webm", *_MATROSKA),
    _kind(rb"\x1aE\xdf\xa3", "video/x-matroska", *_MATROSKA),
    _kind(rb"\0\0..ftypM4[AB] ", "audio/mp4", *_MP4),
    _kind(rb"\0\0..ftypqt  ", "video/quicktime", *_MP4),
    _kind(rb"\0\0..ftyp3g", "video/3gpp", "audio/3gpp", "video/3gpp2", "audio/3gpp2", *_MP4),
    _kind(rb"\0\0..ftyp(heic|heix|mif1)", "image/heic", "image/heif"),
    _kind(rb"\0\0..ftyp", "video/mp4", *_MP4),
    _kind(rb"\xff\xd8\xff", "image/jpeg", "image/jpg"),
    _kind(rb"\x89PNG\r\n\x1a\n", "image/png"),
    _kind(rb"GIF8[79]a", "image/gif"),
    _kind(rb"%PDF-", "application/pdf"),
    # An encrypted container, whatever is said about it.
    _kind(rb"BOTAENC", "application/octet-stream"),
)

# The start of a frame, which noise may have too: they only tell where nobody else does.
_FRAMES = (
    _kind(rb"ID3", "audio/mpeg"),
    # Version, layer, bit rate and sample rate each have a value that means nothing.
    _kind(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef]", "audio/mpeg"),
    _kind(rb"\xff[\xf0\xf1\xf8\xf9]", "audio/aac"),
)

_TEXT_TYPE = re.compile(r"text/.*|.*[/+](json|xml|html|javascript)")
# Control characters that no text has.
_BINARY = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_UTF8 = codecs.getincrementaldecoder("utf-8")
# Two bytes a letter, with a mark in front or without.
_WIDE = ((re.compile(rb"\xff\xfe|([\t-~]\0){3}"), "utf-16-le"), (re.compile(rb"\xfe\xff|(\0[\t-~]){3}"), "utf-16-be"))
_PAGE = re.compile(
    r"<(!doctype\s+html|html|head|body|title|meta|script|style|link|div|p|h1|center|iframe)\b", re.IGNORECASE
)
_MARKUP = re.compile(r"<[!?a-z]", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?(-->\s*|\Z)", re.DOTALL)
_JSON = re.compile(r'\{\s*("|\}|\Z)|\[\s*(["{\[\]\d-]|true|false|null|\Z)')


def is_textual(content_type: str | None) -> bool:
    """Whether a MIME type stands for something that is read, and not heard or seen."""
    return bool(content_type and _TEXT_TYPE.fullmatch(content_type))


def type_of(head: bytes, *said: str | None) -> str | None:
    """The MIME type: of the first bytes where they tell, else the first that was said.

    Bytes that several types begin with leave the choice to who said one of them. `said` is in the order of trust.
    """
    for kind in _KINDS:
        if kind.start.match(head):
            return next((one for one in said if one in kind.others), kind.content_type)
    known = next((one for one in said if one), None)
    return known or next((kind.content_type for kind in _FRAMES if kind.start.match(head)), None)


def instead_of_media(head: bytes, size: int, said: str | None, promised: str | None) -> str | None:
    """What came in the place of media, in words; None if it may be media.

    `said` is what the host called it, `promised` what the provider or the file's name called it beforehand: a text, where
    a text was promised, is as it should be.
    """
    if not size:
        return NOTHING
    found = _text(head, size, said)
    if found is None or not is_textual(promised):
        return found
    # Where JSON was promised, a page is no JSON. Other texts may look like anything.
    return found if promised == "application/json" and found in (PAGE, XML) else None


def _text(head: bytes, size: int, said: str | None) -> str | None:
    text = _as_text(head)
    if text is None:
        return None
    text = text.lstrip()
    if _MARKUP.match(text):
        text = _COMMENT.sub("", text, count=3).lstrip() if text.startswith("<!--") else text
        is_page = not text or _PAGE.match(text) or (said or "").endswith("html")
        return PAGE if is_page else XML
    if _JSON.match(text) or (size <= len(head) and _is_json_word(text)):
        return JSON
    if is_textual(said):
        return PAGE if (said or "").endswith("html") else XML if (said or "").endswith("xml") else _json_or_text(said)
    return None


def _json_or_text(said: str | None) -> str:
    return JSON if (said or "").endswith("json") else TEXT


def _is_json_word(text: str) -> bool:
    """A text, `null`, `true` or `false` by itself. A bare number may be anything."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return value is None or isinstance(value, str | bool)


def _as_text(head: bytes) -> str | None:
    """The first bytes as text; None if they are none."""
    for start, encoding in _WIDE:
        if start.match(head):
            text = head[: len(head) & ~1].decode(encoding, "replace").removeprefix("\ufeff")
            # Sound may begin like this as well, but not go on like a page.
            return text if _begins_like_one(text) else None
    head = head.removeprefix(b"\xef\xbb\xbf")
    if _BINARY.search(head):
        return None
    try:
        # A character may go on behind the first bytes.
        return _UTF8().decode(head, final=len(head) < HEAD - 3)
    except UnicodeDecodeError:
        # A page in an older encoding. Anything else of this kind is sound without a header.
        text = head.decode("latin-1")
        return text if _MARKUP.match(text.lstrip()) else None


def _begins_like_one(text: str) -> bool:
    return bool(_MARKUP.match(text.lstrip()) or _JSON.match(text.lstrip()))
