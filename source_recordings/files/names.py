"""Names of files that are safe on every file system, whatever ids and names a provider sends."""

import re
from hashlib import blake2b

MAX_LENGTH = 100

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
_NO_TYPE = {"", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"}

_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|COM\d|LPT\d)(\..*)?", re.IGNORECASE | re.DOTALL)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_EXTENSION = re.compile(rf"\.({'|'.join(sorted({*EXTENSIONS.values(), 'jpeg', 'aif'}))})$", re.IGNORECASE)


def media_type(said: str | None) -> str | None:
    """The MIME type in a Content-Type header, without parameters; None if it says nothing."""
    value = (said or "").partition(";")[0].strip().lower()
    return None if value in _NO_TYPE or "/" not in value else value


def relative_path(segments: list[str], content_type: str | None) -> str:
    """A path below the staging directory, with `/`; the last segment gets an extension unless it has one."""
    *folders, name = segments
    found = _EXTENSION.search(name)
    if found:
        stem, extension = name[: found.start()], found.group(1).lower()
    else:
        stem, extension = name, EXTENSIONS.get(content_type or "", UNKNOWN)
    return "/".join([*map(safe_segment, folders), f"{safe_segment(stem)}.{extension}"])


def safe_segment(text: str) -> str:
    """The text itself if it can be a file's name anywhere, else what is left of it and a hash of the whole."""
    safe = _UNSAFE.sub("_", text[: 2 * MAX_LENGTH])
    changed = safe != text or len(safe) > MAX_LENGTH or safe.strip(".") != safe or not safe or _RESERVED.fullmatch(safe)
    if not changed:
        return safe
    # Two different ids must not become one name.
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    kept = safe[: MAX_LENGTH - 2 * 6 - 2].strip(".-")
    return f"_{kept}-{digest}"
