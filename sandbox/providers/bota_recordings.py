"""Bota's recordings, their files and transcriptions, in each form that its documents describe.

A recording has the older form (`media` and `transcription_id` in its row) or the one of October 2026 (neither).
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..text import label, sentence
from ..world import HOUR, MINUTE, SECOND, World, iso
from .base import Provider, Row, Stream, delay, soon, talk

if TYPE_CHECKING:
    import random

    from ..knobs import Knobs
    from ..media import Media
    from ..storage import Storage

FILE_SLOTS = 4
ENCRYPTED = b"BOTAENC2"
"""How an encrypted container begins, whatever its type is said to be."""
FIELDS_BEFORE = ("media", "transcription_id", "duration_ms", "started_at", "ended_at", "uploaded_at", "mime_type")
"""Of a recording, in the older form alone."""
TYPES = {"audio/opus": "audio", "audio/wav": "audio", "image/jpeg": "image", "video/mp4": "video"}


@dataclass(frozen=True)
class _Life:
    """pending (or streaming), then the outcome; the transcription follows."""

    created: int
    started: int
    ended: int
    streaming: int | None
    settled: int
    outcome: str
    types: tuple[str, ...]
    late: int  # the last media item is uploaded this much later
    transcription: int | None
    transcribed: int
    transcript: str

    @property
    def uploaded(self) -> bool:
        return self.outcome in ("uploaded", "completed")


class BotaRecordings(Provider, ABC):
    name = "bota"

    def __init__(self, world: World, knobs: Knobs, storage: Storage) -> None:
        super().__init__(world, knobs, storage)
        self.life = lru_cache(maxsize=8192)(self._life)

    # --- data -------------------------------------------------------------------------------

    def _life(self, index: int) -> _Life:
        dice = self.world.dice("bota-life", index)
        created = self.created(index)
        ended = created - dice.randrange(MINUTE, HOUR)
        started = ended - talk(dice) * SECOND
        settled = created + delay(dice)
        streaming = created + dice.randrange(SECOND, MINUTE) if dice.random() < 0.2 else None
        # `processing` and `completed` are legacy values that old rows still have.
        outcome = dice.choices(
            ("uploaded", "completed", "processing", "failed", "integrity_failure", "pending"), (60, 26, 2, 5, 3, 4)
        )[0]
        types = ["audio/opus" if dice.random() < 0.8 else "audio/wav"]
        if dice.random() < 0.2:
            types += dice.choices(("image/jpeg", "video/mp4"), (4, 1), k=dice.randrange(1, 4))
        late = soon(dice) if dice.random() < 0.1 else 0
        transcription = None
        if outcome in ("uploaded", "completed") and dice.random() < 0.7:
            transcription = settled + dice.randrange(SECOND, 30 * MINUTE)
        transcript = dice.choices(("completed", "failed", "processing"), (92, 5, 3))[0]
        transcribed = (transcription or settled) + soon(dice)
        return _Life(
            created, started, ended, streaming, settled, outcome, tuple(types), late,
            transcription, transcribed, transcript,
        )  # fmt: skip

    def rid(self, index: int) -> str:
        return f"rec_{self.world.id('bota', index, 20)}"

    def is_live(self, index: int) -> bool:
        """Whether the recording has the form of October 2026."""
        revision = self.knobs.bota_revision
        return revision == "live" or (revision == "mixed" and self.world.chance("bota-form", index) < 0.5)

    def mid(self, index: int, slot: int) -> str:
        return f"med_{self.world.id('bota-media', index * FILE_SLOTS + slot, 20)}"

    def files(self, index: int) -> list[Row]:
        """The `media` of a recording: none before it settles, the last one perhaps later."""
        life, clock = self.life(index), self.world.clock
        if not life.uploaded or clock < life.settled:
            return []
        rows: list[Row] = []
        for slot, mime in enumerate(life.types):
            last = slot == len(life.types) - 1
            media = self.make_media(self.mid(index, slot), mime)
            rows.append(
                {
                    "id": self.mid(index, slot),
                    "type": TYPES[mime],
                    "mime_type": mime,
                    "file_size_bytes": media.size,
                    "status": ("pending" if last and clock < life.settled + life.late else "uploaded"),
                    "captured_at": None if index % 5 == 0 else stamp(life.started),
                    "created_at": stamp(life.settled),
                }
            )
        return rows

    def recording(self, index: int) -> Row:
        life, dice = self.life(index), self.world.dice("bota-row", index)
        clock = self.world.clock
        settled = life.settled <= clock
        status = life.outcome
        updated = life.settled
        if not settled:
            streaming = life.streaming is not None and life.streaming <= clock
            status = "streaming" if streaming else "pending"
            updated = (life.streaming or life.created) if streaming else life.created
        media = self.files(index)
        job, live = self.job(index), self.is_live(index)
        if job is not None and not live:
            updated = self.requested(job)
        source = dice.choice(("device", "app_import", "api_upload"))
        duration = life.ended - life.started
        ready = settled and life.uploaded
        row: Row = {
            "id": self.rid(index),
            "device_id": None if source == "api_upload" else f"dev_{dice.randrange(20):06d}",
            "end_user_id": dice.choice((None, f"eu_{dice.randrange(50):06d}")),
            "name": dice.choice((None, label(dice))),
            "status": status,
            "duration_ms": duration // 1000 if ready else None,
            "started_at": stamp(life.started),
            "ended_at": stamp(life.ended),
            "transcription_id": self.tid(job) if job is not None else None,
            "media": media,
            "metadata": dice.choice((None, {}, {"meeting_type": label(dice), "n": 2**63 - 1, "deep": {"a": [None]}})),
            "created_at": stamp(life.created),
            # The rest: other revisions of the documents, and the vendor's examples.
            "updated_at": stamp(updated),
            "duration_seconds": duration // SECOND if ready else None,
            "recorded_at": dice.choice((None, stamp(life.started))),
            "file_size_bytes": media[0]["file_size_bytes"] if media else None,
            "mime_type": media[0]["mime_type"] if media else None,
            "uploaded_at": stamp(life.settled) if ready else None,
            "source": source,
            "project_id": "proj_sandbox",
            "audio_url": None,
            "content_sha256": self._sha256(index, media),
            "content_sha256_verified_at": None,
            "deleted_at": None,
        }
        if media and media[0]["status"] == "uploaded" and dice.random() < 0.5:
            row["audio_url"] = self._url(index, 0)
        if dice.random() < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = {"tiny": 5e-324, "list": [[], {}]}
        if live:
            row = {name: value for name, value in row.items() if name not in FIELDS_BEFORE}
            file = self.live_media(index)
            row["file_size_bytes"] = _size(dice, file)
            row["audio_url"] = self.live_url(index)["download_url"] if row["audio_url"] and file else None
            row["content_sha256"] = file.sha256() if row["content_sha256"] and file else None
        return row

    def _sha256(self, index: int, media: list[Row]) -> str | None:
        """Of the audio, in a few rows (it takes reading the file)."""
        if not media or media[0]["status"] != "uploaded" or index % 50 or index > 1000:
            return None
        return self.make_media(media[0]["id"], media[0]["mime_type"]).sha256()

    def _url(self, index: int, slot: int) -> str:
        mid = self.mid(index, slot)
        media = self.make_media(mid, self.life(index).types[slot])
        return self.storage.url(self.name, mid, media.extension, 3600)

    # --- transcriptions: the jobs 2 * index and 2 * index + 1 are about one recording

    def tid(self, job: int) -> str:
        kind = "bota-transcription-again" if job % 2 else "bota-transcription"
        return f"txn_{self.world.id(kind, job // 2, 20)}"

    def requested(self, job: int) -> int:
        life = self.life(job // 2)
        assert life.transcription is not None
        if job % 2 == 0:
            return life.transcription
        return life.transcribed + int((0.05 + self.world.chance("bota-again-after", job)) * 12 * HOUR)

    def transcribed(self, job: int) -> int:
        """When it is done, unless it never is."""
        if job % 2 == 0:
            return self.life(job // 2).transcribed
        return self.requested(job) + 20 * MINUTE

    def job(self, index: int) -> int | None:
        """The transcription that counts: a new one replaces the one before."""
        life, clock = self.life(index), self.world.clock
        if life.transcription is None or life.transcription > clock:
            return None
        again = self.knobs.bota_retranscribed and self.world.chance("bota-again", index) < 0.4
        return 2 * index + int(again and self.requested(2 * index + 1) <= clock)

    def job_of(self, text: str) -> int | None:
        """The transcription with this id, if it is there."""
        for again, kind in enumerate(("bota-transcription", "bota-transcription-again")):
            index = self.known(kind, text[4:]) if text.startswith("txn_") else None
            if index is not None and self.job(index) == 2 * index + again:
                return 2 * index + again
        return None

    def jobs(self) -> list[int]:
        """Those of all recordings, oldest first."""
        found = (self.job(index) for index in range(self.count()))
        return sorted((job for job in found if job is not None), key=self.job_time)

    def job_time(self, job: int) -> tuple[int, int]:
        """What the list is sorted by: created_at, then the id."""
        return self.requested(job), int(self.tid(job)[4:], 16)

    def is_completed(self, job: int) -> bool:
        return self.life(job // 2).transcript == "completed" and self.transcribed(job) <= self.world.clock

    def transcription(self, job: int) -> Row:
        index, clock = job // 2, self.world.clock
        life, dice = self.life(index), self.world.dice("bota-transcription", job if job % 2 else index)
        requested, transcribed = self.requested(job), self.transcribed(job)
        done = transcribed <= clock and life.transcript != "processing"
        status = life.transcript
        if not done:
            status = "processing" if requested + 20 * SECOND <= clock else "pending"
        good = done and status == "completed"
        segments = _segments(dice) if good else None
        text = " ".join(s["text"] for s in segments) if segments is not None else None
        row: Row = {
            "id": self.tid(job),
            "recording_id": self.rid(index),
            "status": status,
            "language": dice.choice((None, "en", "pt-BR")) if good else None,
            "provider": dice.choice(("whisper", "deepgram", "assemblyai", "elevenlabs")),
            "duration_ms": (life.ended - life.started) // 1000 if good else None,
            "segments": segments,
            "text": text,
            "error": {"code": "audio_corrupt", "message": "The audio could not be decoded"}
            if done and not good
            else None,
            "created_at": stamp(requested),
            "completed_at": stamp(transcribed) if done else None,
            "started_at": None if status == "pending" else stamp(requested + 20 * SECOND),
            "updated_at": stamp(transcribed if done else requested),
        }
        if dice.random() < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = True
        if self.is_live(index):
            for name in ("text", "duration_ms", "error"):
                del row[name]
            row["full_text"] = text
            row["word_count"] = len(text.split()) if text is not None else None
            row["project_id"] = "proj_sandbox"
            if good:
                row["confidence"] = round(dice.random(), 4)
            for segment in segments or ():
                if segment["speaker"] is None:
                    del segment["speaker"]
        return row

    # --- files

    def _slot(self, media_id: str) -> tuple[int, int] | None:
        number = self.world.find("bota-media", media_id.removeprefix("med_"))
        if number is None or not media_id.startswith("med_"):
            return None
        index, slot = divmod(number, FILE_SLOTS)
        return (index, slot) if index < self.count() else None

    def media(self, media_id: str) -> Media | None:
        if media_id.startswith("rec_"):
            index = self.known("bota", media_id[4:])
            return None if index is None or not self.is_live(index) else self.live_media(index)
        place = self._slot(media_id)
        if place is None or self.is_live(place[0]):
            return None
        files = self.files(place[0])
        if place[1] >= len(files) or files[place[1]]["status"] != "uploaded":
            return None
        return self.make_media(media_id, files[place[1]]["mime_type"])

    def live_media(self, index: int) -> Media | None:
        """The one file of a recording of October 2026: the audio that the older form has too."""
        life, rid = self.life(index), self.rid(index)
        if self.world.clock < life.settled or life.outcome not in ("uploaded", "processing", "completed"):
            return None
        media = self.make_media(self.mid(index, 0), life.types[0])
        head = ENCRYPTED if self.is_encrypted(index) else None
        return replace(media, size=self.knobs.media_sizes.get(rid, media.size), head=head)

    def is_encrypted(self, index: int) -> bool:
        return self.knobs.bota_encrypted and self.world.chance("bota-encrypted", index) < 0.3

    def live_url(self, index: int) -> Row:
        """The answer about that file. Its type and its size may be unknown."""
        media, dice = self.live_media(index), self.world.dice("bota-url", index)
        assert media
        return {
            "download_url": self.storage.url(self.name, self.rid(index), media.extension, 3600),
            "expires_in": 3600,
            "content_type": dice.choice((media.content_type, media.content_type, None)),
            "file_size_bytes": _size(dice, media),
        }

    def streams(self) -> dict[str, Stream[Any]]:
        def created(index: int) -> Row:
            return {"recording_created_at": stamp(self.created(index))}

        def transcription(job: int) -> Row:
            row = self.transcription(job)
            text = {"text": row["full_text"]} if "full_text" in row else {}
            return {**row, **text, **created(job // 2)}

        def files() -> list[tuple[int, str]]:
            found = []
            for index in range(self.count()):
                if not self.is_live(index):
                    found += [(index, file["id"]) for file in self.files(index) if file["status"] == "uploaded"]
                elif self.live_media(index):
                    found.append((index, self.rid(index)))
            return found

        def file(ref: tuple[int, str]) -> Row:
            row = self.media_row(self.media(ref[1]), media_id=ref[1], **created(ref[0]))
            if self.is_live(ref[0]) and self.is_encrypted(ref[0]):
                row["media_type"] = "application/octet-stream"
            return row

        return {
            "bota_recordings": Stream(lambda: range(self.count()), lambda index: (self.rid(index),), self.recording),
            "bota_transcriptions": Stream(
                lambda: [job for job in map(self.job, range(self.count())) if job is not None],
                lambda job: (self.tid(job),),
                transcription,
            ),
            "bota_recording_files": Stream(files, lambda ref: (ref[1],), file),
        }


def _size(dice: random.Random, media: Media | None) -> int | str | None:
    """As a number or, since a database counts it beyond one, as decimal text; now and then it is not known."""
    return None if media is None else dice.choice((media.size, str(media.size), str(media.size), None))


def stamp(moment: int) -> str:
    """Whole seconds as in the documents' samples, a fraction where there is one."""
    return iso(moment, 3 if moment % SECOND else 0)


def _segments(dice: random.Random) -> list[Row]:
    rows: list[Row] = []
    start = 0.0
    for _ in range(dice.randrange(6)):
        end = start + dice.random() * 9
        rows.append(
            {
                "text": sentence(dice),
                "speaker": dice.choice((None, "A", "speaker_2")),
                "start": round(start, 3),
                "end": round(end, 3),
                "confidence": dice.choice((None, 1, round(dice.random(), 4))),
            }
        )
        start = end
    return rows
