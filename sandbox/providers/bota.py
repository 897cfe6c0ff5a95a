"""Bota.

https://docs.bota.dev/ (recordings)
https://docs.bota.dev/api-reference/pagination
https://docs.bota.dev/api-reference/uploads/download-url
https://docs.bota.dev/api-reference/ai/transcriptions/get
https://github.com/bota-dev/examples
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..text import label, sentence
from ..world import HOUR, MINUTE, SECOND, World, iso
from .base import Provider, Row, Stream, answer, decode_token, delay, encode_token, page, soon, talk

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from ..knobs import Knobs
    from ..media import Media
    from ..storage import Storage

API_KEY = "sk_test_sandbox_bota"
FILE_SLOTS = 4
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


class Bota(Provider):
    name = "bota"

    def __init__(self, world: World, knobs: Knobs, storage: Storage) -> None:
        super().__init__(world, knobs, storage)
        self.life = lru_cache(maxsize=8192)(self._life)

    def config(self) -> Row:
        return {"api_key": API_KEY, "base_url": self.base_url}

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

    def tid(self, index: int) -> str:
        return f"txn_{self.world.id('bota-transcription', index, 20)}"

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
                    "captured_at": None if index % 5 == 0 else _iso(life.started),
                    "created_at": _iso(life.settled),
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
        transcription = life.transcription is not None and life.transcription <= clock
        if transcription and life.transcription is not None:
            updated = life.transcription
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
            "started_at": _iso(life.started),
            "ended_at": _iso(life.ended),
            "transcription_id": self.tid(index) if transcription else None,
            "media": media,
            "metadata": dice.choice((None, {}, {"meeting_type": label(dice), "n": 2**63 - 1, "deep": {"a": [None]}})),
            "created_at": _iso(life.created),
            # The rest: other revisions of the documents, and the vendor's examples.
            "updated_at": _iso(updated),
            "duration_seconds": duration // SECOND if ready else None,
            "recorded_at": dice.choice((None, _iso(life.started))),
            "file_size_bytes": media[0]["file_size_bytes"] if media else None,
            "mime_type": media[0]["mime_type"] if media else None,
            "uploaded_at": _iso(life.settled) if ready else None,
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

    def has_transcription(self, index: int) -> bool:
        at = self.life(index).transcription
        return at is not None and at <= self.world.clock

    def transcription(self, index: int) -> Row:
        life, dice = self.life(index), self.world.dice("bota-transcription", index)
        assert life.transcription is not None
        done = life.transcribed <= self.world.clock and life.transcript != "processing"
        status = life.transcript
        if not done:
            began = life.transcription + 20 * SECOND <= self.world.clock
            status = "processing" if began else "pending"
        good = done and status == "completed"
        segments = _segments(dice) if good else None
        row: Row = {
            "id": self.tid(index),
            "recording_id": self.rid(index),
            "status": status,
            "language": dice.choice((None, "en", "pt-BR")) if good else None,
            "provider": dice.choice(("whisper", "deepgram", "assemblyai", "elevenlabs")),
            "duration_ms": (life.ended - life.started) // 1000 if good else None,
            "segments": segments,
            "text": " ".join(s["text"] for s in segments) if segments is not None else None,
            "error": {"code": "audio_corrupt", "message": "The audio could not be decoded"}
            if done and not good
            else None,
            "created_at": _iso(life.transcription),
            "completed_at": _iso(life.transcribed) if done else None,
            "started_at": None if status == "pending" else _iso(life.transcription + 20 * SECOND),
            "updated_at": _iso(life.transcribed if done else life.transcription),
        }
        if dice.random() < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = True
        return row

    def _slot(self, media_id: str) -> tuple[int, int] | None:
        number = self.world.find("bota-media", media_id.removeprefix("med_"))
        if number is None or not media_id.startswith("med_"):
            return None
        index, slot = divmod(number, FILE_SLOTS)
        return (index, slot) if index < self.count() else None

    def media(self, media_id: str) -> Media | None:
        place = self._slot(media_id)
        if place is None:
            return None
        files = self.files(place[0])
        if place[1] >= len(files) or files[place[1]]["status"] != "uploaded":
            return None
        return self.make_media(media_id, files[place[1]]["mime_type"])

    def streams(self) -> dict[str, Stream[Any]]:
        def created(index: int) -> Row:
            return {"recording_created_at": _iso(self.created(index))}

        def files() -> list[tuple[int, str]]:
            return [
                (index, file["id"])
                for index in range(self.count())
                for file in self.files(index)
                if file["status"] == "uploaded"
            ]

        return {
            "bota_recordings": Stream(lambda: range(self.count()), lambda index: (self.rid(index),), self.recording),
            "bota_transcriptions": Stream(
                lambda: [i for i in range(self.count()) if self.has_transcription(i)],
                lambda index: (self.tid(index),),
                lambda index: {**self.transcription(index), **created(index)},
            ),
            "bota_recording_files": Stream(
                files,
                lambda ref: (ref[1],),
                lambda ref: self.media_row(self.media(ref[1]), media_id=ref[1], **created(ref[0])),
            ),
        }

    # --- http -------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/recordings", self.list_recordings),
            web.get("/v1/recordings/{id}", self.get_recording),
            web.post("/v1/recordings/{id}/download-url", self.download_url),
            web.get("/v1/transcriptions/{id}", self.get_transcription),
        ]

    def error(self, request: web.Request, status: int, message: str) -> Row:
        codes = {
            400: "invalid_request",
            401: "unauthorized",
            403: "forbidden",
            404: "not_found",
            429: "rate_limit_exceeded",
        }
        code = codes.get(status, "processing_error")
        return {"error": {"code": code, "message": message, "request_id": "req_sandbox"}}

    def rate_headers(self, limit: int, remaining: int, reset: int) -> dict[str, str]:
        # https://docs.bota.dev/api-reference/rate-limits: on every answer
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(reset),
        }

    def authorize(self, request: web.Request) -> None:
        # https://docs.bota.dev/authentication
        if request.headers.get("Authorization") != f"Bearer {API_KEY}":
            raise self.refuse(request, 401, "Invalid API key")

    def _item(self, request: web.Request) -> int:
        text = request.match_info["id"]
        index = self.known("bota", text[4:]) if text.startswith("rec_") else None
        if index is None:
            raise self.refuse(request, 404, "Recording not found")
        return index

    async def get_recording(self, request: web.Request) -> web.Response:
        return answer(self.recording(self._item(request)))

    async def get_transcription(self, request: web.Request) -> web.Response:
        text = request.match_info["id"]
        index = self.known("bota-transcription", text[4:]) if text.startswith("txn_") else None
        if index is None or not self.has_transcription(index):
            raise self.refuse(request, 404, "Transcription not found")
        return answer(self.transcription(index))

    async def download_url(self, request: web.Request) -> web.Response:
        index = self._item(request)
        try:
            body = await request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("media_id"), str):
            raise self.refuse(request, 400, "media_id is required")
        place = self._slot(body["media_id"])
        if place is None or place[0] != index or place[1] >= len(self.files(index)):
            raise self.refuse(request, 404, "Media not found")
        media = self.media(body["media_id"])
        if media is None:
            raise self.refuse(request, 400, "Media is not uploaded")
        return answer(
            {
                "download_url": self._url(*place),
                "media_id": body["media_id"],
                "content_type": media.content_type,
                "file_size_bytes": media.size,
                "expires_at": _iso(self.world.clock + HOUR),
            }
        )

    async def list_recordings(self, request: web.Request) -> web.Response:
        cursors = self.knobs.bota_revision == "cursor"
        limit = self.integer(request, "limit", 20 if cursors else 25, 1, 100, 400)
        keep = self._filter(request, cursors)
        items = range(self.count())[::-1]  # created_at descending, as documented
        if cursors:
            # "Some malformed cursors can be treated as an initial page" (the vendor's examples).
            token = request.query.get("cursor")
            after = decode_token(token) if token else None
            found, following = page(items, lambda index: -index, after, limit, keep)
            more: Row = {"has_more": following is not None}
            if following is not None:
                more["next_cursor"] = encode_token(following)
        else:
            offset = self.integer(request, "offset", 0, 0, 2**63, 400)
            wanted = items if keep is None else [index for index in items if keep(index)]
            found = list(wanted[offset : offset + limit])
            more = {"has_more": offset + limit < len(wanted)}
        return answer({"data": [self.recording(index) for index in found], **more})

    def _filter(self, request: web.Request, cursors: bool) -> Callable[[int], bool] | None:
        names = ("end_user_id",) if cursors else ("end_user_id", "device_id", "status")
        wanted = {name: request.query[name] for name in names if name in request.query}
        if not wanted:
            return None

        def keep(index: int) -> bool:
            row = self.recording(index)
            return all(row[name] == value for name, value in wanted.items())

        return keep


def _iso(moment: int) -> str:
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
