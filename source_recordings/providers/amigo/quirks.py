"""One row per file where Amigo's answer names several files in fields of its own."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

FIELDS = ("inbound_url", "outbound_url", "metadata_url")
DOWNLOAD = "/download/"

Track = dict[str, Any]


def tracks(row: Mapping[str, Any], config: Mapping[str, Any]) -> list[Track]:
    """A row `{call_sid, filename, url, name, media_type}` for each of the three urls that is not null.

    A url may be a path, an absolute URL of the API (perhaps under its public name while `base_url` is a proxy), or one of
    another host. All but the last become the documented download endpoint at `base_url`.
    Source: https://docs.amigo.ai/api-reference/readme/platform/recordings
    """
    found = list(_tracks(row, config))
    # What two tracks have in common does not tell them apart: their field does. Of the name that goes for what would be
    # one file on disk, too: `audio` gets the extension that `audio.wav` has.
    keys = Counter(track["filename"] for track in found)
    files = Counter(_on_disk(track["filename"]) for track in found)
    for track in found:
        filename, own = track["filename"], f"{track['field']}/{track['filename']}"
        track["filename"] = own if keys[filename] > 1 else filename
        track["name"] = own if files[_on_disk(filename)] > 1 else filename
    return found


def _tracks(row: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Track]:
    sid = row.get("call_sid")
    if not isinstance(sid, str):
        return
    endpoint = f"/v1/{config['workspace_id']}/recordings/{_quoted(sid)}{DOWNLOAD}"
    for field in FIELDS:
        url = row.get(field)
        if not isinstance(url, str) or not url:
            continue
        filename, url = _address(url, endpoint, config["base_url"])
        # The third file tells about the call in JSON, whatever its name is.
        media_type = "application/json" if field == "metadata_url" else None
        track = field.removesuffix("_url")
        yield {"call_sid": sid, "filename": filename, "url": url, "field": track, "media_type": media_type}


def _address(url: str, endpoint: str, base_url: str) -> tuple[str, str]:
    """The file's name at Amigo, and where it is to be had."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no address at all: the download says so
        return url.rpartition("/")[2], url
    path = parts.path.rstrip("/")
    last = path.rpartition("/")[2]
    if parts.netloc and not parts.path.startswith(endpoint):
        return _unquoted(last), url
    # The name may have folders, which tell `inbound/audio.wav` from `outbound/audio.wav`.
    name = path.partition(DOWNLOAD)[2] or (path if not path.startswith("/") else last)
    segments = name.split("/")
    if any(unquote(segment) in ("", ".", "..") for segment in segments):
        segments = [last]
    query = f"?{parts.query}" if parts.query else ""
    asked = "/".join(_quoted(unquote_to_bytes(_bytes(segment))) for segment in segments)
    return "/".join(map(_unquoted, segments)), f"{base_url}{endpoint}{asked}{query}"


def _on_disk(filename: str) -> str:
    stem, dot, extension = filename.lower().rpartition(".")
    return stem if dot else extension


def _unquoted(segment: str) -> str:
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:  # as it came, so that two of them do not become one
        return segment


def _quoted(text: str | bytes) -> str:
    return quote(_bytes(text), safe="")


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


# What is said in a call: https://docs.amigo.ai/api-reference/readme/platform/calls

SPOKEN = {"caller_speech": "user", "agent_speech": "agent", "greeting": "agent", "interrupted_speech": "agent"}
"""Kinds of segments of the timeline, and whose words they are."""


def utterances(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each thing said, as `{speaker, text, start, end, confidence}`: the turns in their order, in each the caller before the
    agent, then what a person said who took over.

    Seconds are those of the timeline: the fields in milliseconds of a turn have no documented zero point.
    """
    places = _places(row.get("timeline"))
    found = []
    turns = row.get("turns")
    for number, turn in enumerate(turns if isinstance(turns, list) else []):
        if not isinstance(turn, Mapping):
            continue
        for speaker, confidence in (("user", turn.get("stt_confidence")), ("agent", None)):
            text = turn.get(f"{speaker}_transcript")
            if isinstance(text, str) and text:
                start, end = places.get((number, speaker), (None, None))
                found.append({"speaker": speaker, "text": text, "start": start, "end": end, "confidence": confidence})
    for segment in _objects(row.get("human_segments")):
        said = {"speaker": segment.get("speaker_role"), "text": segment.get("transcript")}
        found.append({**said, "start": None, "end": None, "confidence": None})
    return found


def numbers(call: Mapping[str, Any]) -> dict[str, Any]:
    """The `calling` and the `called` number: `caller_id` is the other side's, `phone_number` the workspace's own."""
    own, other = call.get("phone_number"), call.get("caller_id")
    if call.get("direction") == "inbound":
        return {"calling": other, "called": own}
    if call.get("direction") == "outbound":
        return {"calling": own, "called": other}
    return {"calling": None, "called": None}


def _places(timeline: Any) -> dict[tuple[Any, str], tuple[float, float]]:
    """From when to when each speaker speaks in each turn."""
    found: dict[tuple[Any, str], tuple[float, float]] = {}
    for segment in _objects(timeline.get("segments") if isinstance(timeline, Mapping) else None):
        speaker = SPOKEN.get(str(segment.get("type")))
        start: Any = segment.get("start")
        end: Any = segment.get("end")
        if speaker and _is_number(start) and _is_number(end):
            key = (segment.get("turn_index"), speaker)
            first, last = found.get(key, (start, end))
            found[key] = min(first, start), max(last, end)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
