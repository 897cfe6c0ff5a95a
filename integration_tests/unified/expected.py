"""What the rows of `recordings` and `utterances` must be, written from the providers' documents and not from the mapping.

Each function takes the rows of a provider's own streams, as a sync has brought them, and gives the unified ones, in full: a
field that is not there is null.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from integration_tests.syncing import Row

Own = Mapping[str, Sequence[Row]]
"""The rows of each stream."""

RECORDING = [
    "provider",
    "recording_id",
    "account_id",
    "call_id",
    "status",
    "provider_status",
    "direction",
    "from_number",
    "to_number",
    "started_at",
    "ended_at",
    "duration_seconds",
    "media_type",
    "channels",
    "media_url",
    "media_path",
    "transcript_text",
    "created_at",
    "updated_at",
]
UTTERANCE = [
    "provider",
    "transcript_id",
    "position",
    "recording_id",
    "call_id",
    "speaker",
    "speaker_role",
    "speaker_basis",
    "text",
    "start_seconds",
    "end_seconds",
    "offset_basis",
    "confidence",
    "language",
    "created_at",
]


def by(rows: Sequence[Row], key: str) -> dict[Any, Row]:
    return {row[key]: row for row in rows if row.get(key) is not None}


def utc(text: str | None) -> str | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def of_epoch_ms(milliseconds: float | None) -> str | None:
    if milliseconds is None:
        return None
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=milliseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def toward(direction: str | None) -> str | None:
    if direction in ("incoming", "inbound"):
        return "inbound"
    return "outbound" if direction in ("outgoing", "outbound") else None


def bird_recordings(own: Own, config: Row) -> Iterator[Row]:
    for row in own["bird_recordings"]:
        status = row.get("status")
        is_there = status == "available"
        yield {
            "recording_id": row["id"],
            "account_id": config["bird"]["workspace_id"],
            "call_id": row["sourceId"] if row.get("source") == "call" else None,
            "status": "available"
            if is_there
            else "unavailable"
            if status in ("absent", "failed")
            else "pending"
            if status in ("accepted", "completed", "ongoing", "paused")
            else None,
            "provider_status": status,
            "direction": toward(row.get("direction")),
            "from_number": ((row.get("originator") or {}).get("number") or {}).get("number"),
            "to_number": ((row.get("receiver") or {}).get("number") or {}).get("number"),
            "started_at": utc(row.get("startedAt")),
            "ended_at": utc(row.get("endedAt")),
            "duration_seconds": row.get("duration"),
            "media_type": {"mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg"}.get(row.get("format") or ""),
            "channels": {True: 2, False: 1, None: None}[row.get("stereo")],
            "media_url": row.get("url"),
            "media_path": of_file(own["bird_recording_files"], "recordingId", row["id"]) if is_there else None,
            "created_at": utc(row["createdAt"]),
            "updated_at": utc(row["updatedAt"]),
        }


def amigo_recordings(own: Own, config: Row) -> Iterator[Row]:
    calls = by(own["amigo_calls"], "call_sid")
    for row in own["amigo_recording_metadata"]:
        call = calls[row["call_sid"]]
        sides = [call.get("caller_id"), call.get("phone_number")]
        if call["direction"] == "outbound":
            sides.reverse()
        elif call["direction"] != "inbound":
            sides = [None, None]
        formats = {row.get("inbound_format"), row.get("outbound_format")} - {None}
        yield {
            "recording_id": row["call_sid"],
            "account_id": config["amigo"]["workspace_id"],
            "call_id": row["call_sid"],
            "status": "available",
            "direction": toward(row.get("direction") or call["direction"]),
            "from_number": sides[0],
            "to_number": sides[1],
            "started_at": of_epoch_ms(row.get("media_start_epoch_ms")),
            "duration_seconds": row.get("duration_seconds"),
            "media_type": {"wav": "audio/wav", "mp3": "audio/mpeg"}.get(str(formats.pop()))
            if len(formats) == 1
            else None,
            "channels": 2,
            "created_at": utc(call.get("started_at")),
        }


def quo_recordings(own: Own, _: Row) -> Iterator[Row]:
    calls = by(own["quo_calls"], "id")
    for row in own["quo_call_recordings"]:
        call, status = calls[row["callId"]], row.get("status")
        inside = [p["phoneNumber"] for p in call.get("participants") or [] if p.get("actorId")]
        outside = [p["phoneNumber"] for p in call.get("participants") or [] if not p.get("actorId")]
        ours = inside[0] if len(inside) == 1 else None
        theirs = outside[0] if len(outside) == 1 else None
        incoming = call["direction"] == "incoming"
        yield {
            "recording_id": row["id"],
            "call_id": row["callId"],
            "status": "available"
            if status == "completed"
            else "unavailable"
            if status in ("absent", "deleted", "failed")
            else "pending"
            if status in ("in-progress", "paused", "processing", "stopped", "stopping")
            else None,
            "provider_status": status,
            "direction": toward(call["direction"]),
            "from_number": theirs if incoming else ours,
            "to_number": ours if incoming else theirs,
            "started_at": utc(row.get("startTime")),
            "duration_seconds": row.get("duration"),
            "media_type": row.get("type"),
            "media_url": row.get("url"),
            "media_path": of_file(own["quo_recording_files"], "recordingId", row["id"])
            if status == "completed" and row.get("type")
            else None,
            "created_at": utc(call["createdAt"]),
        }


def bota_recordings(own: Own, _: Row) -> Iterator[Row]:
    for row in own["bota_recordings"]:
        status, media = row.get("status"), row.get("media")
        audio = {item.get("mime_type") for item in media or [] if item.get("type") == "audio"} - {None}
        uploaded = [item["id"] for item in media or [] if item.get("status") == "uploaded"]
        milliseconds = row.get("duration_ms")
        yield {
            "recording_id": row["id"],
            "account_id": row.get("project_id"),
            "status": "available"
            if status in ("uploaded", "processing", "completed")
            else "unavailable"
            if status in ("failed", "integrity_failure")
            else "pending"
            if status in ("pending", "streaming")
            else None,
            "provider_status": status,
            "started_at": utc(row.get("started_at") or row.get("recorded_at")),
            "ended_at": utc(row.get("ended_at")),
            "duration_seconds": row.get("duration_seconds")
            if row.get("duration_seconds") is not None
            else milliseconds / 1000
            if milliseconds is not None
            else None,
            "media_type": row.get("mime_type") or (audio.pop() if len(audio) == 1 else None),
            "media_url": row.get("audio_url"),
            "media_path": of_file(own["bota_recording_files"], "media_id", uploaded[0])
            if len(uploaded) == 1 and mime(media, uploaded[0])
            else None,
            "created_at": utc(row["created_at"]),
            "updated_at": utc(row.get("updated_at")),
        }


def tether_recordings(own: Own, _: Row) -> Iterator[Row]:
    calls = by(own["tether_calls"], "callId")
    for row in own["tether_call_recordings"]:
        call = calls[row["callId"]]
        yield {
            "recording_id": row["callId"],
            "account_id": call.get("organizationId"),
            "call_id": row["callId"],
            "status": "available",
            "direction": toward(row.get("direction") or call.get("direction")),
            "from_number": row.get("from"),
            "to_number": row.get("to"),
            "duration_seconds": row.get("duration"),
            "media_url": row.get("audioUrl"),
            "transcript_text": row.get("transcriptionText") or None,
            "created_at": utc(call["createdAt"]),
        }


def of_file(files: Sequence[Row], key: str, value: str) -> str | None:
    """Where the file stream has put it; ANY if it had none to put."""
    (row,) = [row for row in files if row[key] == value]
    found: str = row.get("media_path", ANY)
    return found


def mime(media: Sequence[Row] | None, media_id: str) -> str | None:
    found: str | None = next(item.get("mime_type") for item in media or [] if item["id"] == media_id)
    return found


class _Any(str):
    """Equal to all: a path that nothing was put at."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    __hash__ = str.__hash__


ANY = _Any("anything")


def bird_utterances(own: Own) -> Iterator[Row]:
    transcriptions = by(own["bird_transcriptions"], "id")
    for row in own["bird_transcripts"]:
        of = transcriptions[row["transcriptionId"]]
        for position, cue in enumerate(row.get("cues") or []):
            yield {
                "transcript_id": row["transcriptionId"],
                "position": position,
                "recording_id": row["recordingId"],
                "speaker": cue["voice"] or None,
                "text": cue["text"],
                "start_seconds": cue["start"],
                "end_seconds": cue["end"],
                "offset_basis": "media_start",
                "language": of.get("locale"),
                "created_at": utc(of["createdAt"]),
            }


def amigo_utterances(own: Own) -> Iterator[Row]:
    calls = by(own["amigo_calls"], "call_sid") | by(own["amigo_calls"], "entity_id")
    for row in own["amigo_call_details"]:
        call = calls.get(row.get("call_sid")) or calls[row["id"]]
        timeline = row.get("timeline") or {}
        said: list[Row] = []
        for number, turn in enumerate(row.get("turns") or []):
            for speaker, kinds in (
                ("user", ["caller_speech"]),
                ("agent", ["agent_speech", "greeting", "interrupted_speech"]),
            ):
                if not turn.get(f"{speaker}_transcript"):
                    continue
                spans = [
                    (segment["start"], segment["end"])
                    for segment in timeline.get("segments") or []
                    if segment.get("turn_index") == number and segment["type"] in kinds
                ]
                said.append(
                    {
                        "speaker": speaker,
                        "speaker_role": "customer" if speaker == "user" else "agent",
                        "text": turn[f"{speaker}_transcript"],
                        "start_seconds": min(start for start, _ in spans) if spans else None,
                        "end_seconds": max(end for _, end in spans) if spans else None,
                        "offset_basis": (timeline.get("timebase") or {}).get("origin") if spans else None,
                        "confidence": turn.get("stt_confidence") if speaker == "user" else None,
                    }
                )
        for segment in row.get("human_segments") or []:
            role = {"agent": "agent", "operator": "agent", "user": "customer", "caller": "customer"}.get(
                segment["speaker_role"]
            )
            said.append({"speaker": segment["speaker_role"], "speaker_role": role, "text": segment["transcript"]})
        for position, piece in enumerate(said):
            yield {
                **piece,
                "transcript_id": row["id"],
                "position": position,
                "call_id": row.get("call_sid"),
                "created_at": utc(call.get("started_at")),
            }


def quo_utterances(own: Own) -> Iterator[Row]:
    calls = by(own["quo_calls"], "id")
    for row in own["quo_call_transcripts"]:
        for position, piece in enumerate(row.get("dialogue") or []):
            user, number = piece.get("userId"), piece.get("identifier")
            yield {
                "transcript_id": row["callId"],
                "position": position,
                "call_id": row["callId"],
                "speaker": number or user,
                "speaker_role": "agent" if user else "customer" if number else None,
                "speaker_basis": "user" if user else "phone" if number else None,
                "text": piece.get("content"),
                "start_seconds": piece.get("start"),
                "end_seconds": piece.get("end"),
                "offset_basis": "call_start",
                "created_at": utc(calls[row["callId"]]["createdAt"]),
            }


def bota_utterances(own: Own) -> Iterator[Row]:
    recordings = by(own["bota_recordings"], "id")
    for row in own["bota_transcriptions"]:
        for position, segment in enumerate(row.get("segments") or []):
            yield {
                "transcript_id": row["id"],
                "position": position,
                "recording_id": row["recording_id"],
                "speaker": segment.get("speaker"),
                "speaker_basis": "diarization" if segment.get("speaker") else None,
                "text": segment.get("text"),
                "start_seconds": segment.get("start"),
                "end_seconds": segment.get("end"),
                "confidence": segment.get("confidence"),
                "language": row.get("language"),
                "created_at": utc(recordings[row["recording_id"]]["created_at"]),
            }


def tether_utterances(own: Own) -> Iterator[Row]:
    calls = by(own["tether_calls"], "callId")
    for row in own["tether_call_recordings"]:
        pieces = [p for p in row.get("transcriptionData") or [] if isinstance(p.get("role"), str) and "message" in p]
        for position, piece in enumerate(pieces):
            yield {
                "transcript_id": row["callId"],
                "position": position,
                "recording_id": row["callId"],
                "call_id": row["callId"],
                "speaker": piece["role"] or None,
                "speaker_role": {"agent": "agent", "user": "customer"}.get(piece["role"]),
                "text": piece["message"],
                "start_seconds": piece.get("timestamp"),
                "created_at": utc(calls[row["callId"]]["createdAt"]),
            }


RECORDINGS: dict[str, Callable[[Own, Row], Iterator[Row]]] = {
    "bird": bird_recordings,
    "amigo": amigo_recordings,
    "quo": quo_recordings,
    "bota": bota_recordings,
    "tether": tether_recordings,
}
UTTERANCES: dict[str, Callable[[Own], Iterator[Row]]] = {
    "bird": bird_utterances,
    "amigo": amigo_utterances,
    "quo": quo_utterances,
    "bota": bota_utterances,
    "tether": tether_utterances,
}


def recordings(own: Own, config: Row) -> dict[tuple[Any, ...], Row]:
    """All of them by their keys, each with all fields."""
    rows = [{"provider": name, **row} for name, make in RECORDINGS.items() for row in make(own, config)]
    return {(row["provider"], row["recording_id"]): {name: row.get(name) for name in RECORDING} for row in rows}


def utterances(own: Own) -> dict[tuple[Any, ...], Row]:
    """The same; what has no text is nothing that was said."""
    rows = [{"provider": name, **row} for name, make in UTTERANCES.items() for row in make(own) if row.get("text")]
    return {
        (row["provider"], row["transcript_id"], row["position"]): {name: row.get(name) for name in UTTERANCE}
        for row in rows
    }
