"""Names of files that are safe on every file system, whatever ids and names a provider sends."""

import re
from collections.abc import Sequence
from hashlib import blake2b

MAX_LENGTH = 100
WITHOUT_DATE = "0000-00"

EXTENSIONS = {
    "application/json": "json",
    "application/ogg": "ogg",
    "application/pdf": "pdf",
    "audio/aac": "aac",
    "audio/aiff": "aiff",
    "audio/amr": "amr",
    "audio/basic": "au",
    "audio/flac": "flac",
    "audio/m4a": "m4a",
    "audio/mp3": "mp3",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/vnd.wave": "wav",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/webm": "webm",
    "audio/x-aiff": "aiff",
    "audio/x-flac": "flac",
    "audio/x-m4a": "m4a",
    "audio/x-wav": "wav",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "text/plain": "txt",
    "text/vtt": "vtt",
    "video/3gpp": "3gp",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
}
UNKNOWN = "bin"

# What a host says that knows nothing about the file.
_NO_TYPE = {"application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"}

_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM\d|LPT\d)(\..*)?", re.IGNORECASE | re.DOTALL)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_EXTENSION = re.compile(rf"\.({'|'.join(sorted({*EXTENSIONS.values(), 'jpeg', 'aif'}))})$", re.IGNORECASE)
# Telephony ids begin with two capitals, the rest is in lower case: CA3f2a. A UUID may begin with the same letters.
_CAPITALS = re.compile(r"(?:AC|CA|CR)(?=[0-9a-f]*\d)(?![0-9a-f]{6}-[0-9a-f]{4}-)")

_TYPES = {extension: content_type for content_type, extension in reversed(EXTENSIONS.items())} | {
    "aiff": "audio/aiff",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
}


def media_type(said: object) -> str | None:
    """The MIME type in a Content-Type header, without parameters; None if it says nothing."""
    if not isinstance(said, str):
        return None
    value = said.partition(";")[0].partition(",")[0].strip().lower()
    return value if _TYPE.fullmatch(value) and value not in _NO_TYPE else None


def type_of_name(name: str) -> str | None:
    """The MIME type that a file's extension stands for."""
    found = _EXTENSION.search(name)
    return _TYPES.get(found.group(1).lower()) if found else None


def joined(parts: Sequence[str]) -> str:
    """One name of several parts, a different one for different parts.

    `a-b` and `c` must not become the file of `a` and `b-c`: where the lengths are needed to tell, they stand behind a
    character that no file's name has.
    """
    name = "-".join(parts)
    if any("-" in part for part in parts[:-1]) or "\0" in name:
        return f"{name}\0{[len(part) for part in parts]}"
    return name


def staging_segments(provider: str, dated: object, name: object) -> list[str]:
    """Provider, year, month, name; a slash in an ID is no folder. `name` may be a tuple of parts."""
    date = dated if isinstance(dated, str) else WITHOUT_DATE
    parts = name if isinstance(name, tuple) else (name,)
    return [provider, date[:4], date[5:7], joined(["" if part is None else str(part) for part in parts])]


def relative_path(segments: Sequence[str], content_type: str | None, *, is_id: bool = False) -> str:
    """A path below the staging directory, with `/`; the last segment gets an extension unless it has one.

    An id has none, whatever it looks like: `x.mp3` must not become the file of `x`.
    """
    *folders, name = segments
    found = None if is_id else _EXTENSION.search(name)
    if found:
        stem, extension = name[: found.start()], found.group(1).lower()
    else:
        stem, extension = name, EXTENSIONS.get(content_type or "", UNKNOWN)
    return "/".join([*map(safe_segment, folders), f"{safe_segment(stem)}.{extension}"])


def safe_segment(text: str) -> str:
    """The text itself if it can be a file's name anywhere, else what is left of it and a hash of the whole."""
    safe = _UNSAFE.sub("_", text[: 2 * MAX_LENGTH])
    changed = safe != text or len(safe) > MAX_LENGTH or safe.strip(".") != safe or not safe or _RESERVED.fullmatch(safe)
    if not changed and not safe.startswith("_") and _is_usual(safe):
        return safe
    # Two different ids must not become one name, and no id may pass for the name of another one.
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    kept = safe[: MAX_LENGTH - 2 * 6 - 2].strip(".-")
    return f"_{kept}-{digest}"


def _is_usual(text: str) -> bool:
    """Whether it is the one way, of all that differ in their capitals only, in which it stays as it is.

    Many file systems take `X1` and `x1` for one name.
    """
    usual = text.lower()
    prefix = _CAPITALS.match(usual[:2].upper() + usual[2:])
    return text == (prefix.group() + usual[2:] if prefix else usual)
