"""Bird.

https://docs.bird.com/api/voice-api/recordings-api/get-a-recording
https://docs.bird.com/api/voice-api/recordings-api/list-recordings
https://docs.bird.com/api/voice-api/transcriptions-api/list-transcriptions
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Any
from uuid import UUID

from aiohttp import web

from ..text import label, phone, sentence
from ..world import DAY, MINUTE, SECOND, World, iso, parse_time
from .base import Provider, Row, Stream, answer, decode_token, delay, encode_token, page, soon, talk

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from ..knobs import Knobs
    from ..media import Media
    from ..storage import Storage

ACCESS_KEY = "sandboxBirdAccessKeyAbCdEfGhIj"
STATUSES = ("accepted", "completed", "ongoing", "paused", "available", "absent", "failed")


@dataclass(frozen=True)
class _Life:
    """When a recording changes: accepted, ongoing, (paused,) completed, then its outcome."""

    created: int
    started: int
    pause: tuple[int, int] | None
    ended: int
    stored: int
    outcome: str
    deleted: int | None
    transcribed: int | None
    transcript_ready: int

    def history(self) -> list[tuple[int, str]]:
        steps = [(self.created, "accepted"), (self.started, "ongoing")]
        if self.pause:
            steps += [(self.pause[0], "paused"), (self.pause[1], "ongoing")]
        steps += [(self.ended, "completed"), (self.stored, self.outcome)]
        if self.deleted is not None:
            steps.append((self.deleted, "absent"))
        return steps


class Bird(Provider):
    name = "bird"

    def __init__(self, world: World, knobs: Knobs, storage: Storage) -> None:
        super().__init__(world, knobs, storage)
        self.workspace_id = world.uuid("bird-workspace", 0)
        self.life = lru_cache(maxsize=8192)(self._life)
        self._transcripts = lru_cache(maxsize=4)(self._list_transcripts)

    def config(self) -> Row:
        return {"access_key": ACCESS_KEY, "workspace_id": self.workspace_id, "base_url": self.base_url}

    # --- data -------------------------------------------------------------------------------

    def _life(self, index: int) -> _Life:
        dice = self.world.dice("bird-life", index)
        created = self.created(index)
        # The document's sample starts 113 ms before it was created.
        started = created + dice.randrange(-200, 3000) * 1000
        ended = started + talk(dice) * SECOND + dice.randrange(1000) * 1000
        pause = None
        if ended - started > MINUTE and dice.random() < 0.1:
            pause = (started + (ended - started) // 3, started + (ended - started) // 2)
        ended = max(ended, created)
        stored = ended + delay(dice)
        outcome = dice.choices(("available", "absent", "failed"), (90, 5, 5))[0]
        deleted = None
        if outcome == "available" and dice.random() < 0.04:
            deleted = stored + dice.randrange(4 * DAY, 20 * DAY)
        transcribed = None
        if outcome == "available" and dice.random() < 0.45:
            transcribed = stored + dice.randrange(SECOND, 10 * MINUTE)
        ready = (transcribed or 0) + soon(dice)
        return _Life(created, started, pause, ended, stored, outcome, deleted, transcribed, ready)

    def _now(self, index: int) -> tuple[int, str]:
        """Since when the recording has which status."""
        steps = self.life(index).history()
        return [step for step in steps if step[0] <= self.world.clock or step is steps[0]][-1]

    def recording(self, index: int) -> Row:
        life, (updated, status) = self.life(index), self._now(index)
        dice = self.world.dice("bird-row", index)
        rid = self.world.uuid("bird", index)
        conference = dice.random() < 0.1
        row: Row = {
            "id": rid,
            "source": "conference" if conference else "call",
            "sourceId": self.world.uuid("bird-source", index),
            "status": status,
            "origin": dice.choice(("call-command-record", "call-command-record-call", "create-call", "bridge-call")),
            "stereo": dice.random() < 0.3,
            "format": "mp3",
            "transcription": life.transcribed is not None,
            "createdAt": iso(life.created),
            "updatedAt": iso(max(updated, life.created)),
        }
        optional: Row = {
            "channelId": self.world.uuid("bird-channel", dice.randrange(4)),
            "direction": dice.choice(("incoming", "outgoing")),
            "originator": _party(dice, self.world, index),
            "receiver": _party(dice, self.world, index + 1_000_000),
        }
        row.update({key: value for key, value in optional.items() if dice.random() < 0.95})
        if conference:
            row["conferenceId"] = row["sourceId"]
            row["roomInfoUrl"] = f"https://example.com/rooms/{rid}"
        if life.started <= self.world.clock:
            row["startedAt"] = iso(life.started)
        if life.ended <= self.world.clock:
            row["endedAt"] = iso(life.ended)
            # int64: larger than what a float holds exactly, once in a while.
            huge = dice.random() < 0.003
            row["duration"] = 2**53 + 1 if huge else (life.ended - life.started) // SECOND
        if status == "available":
            row["url"] = self.storage.url(self.name, rid, "mp3")
        if self.knobs.unknown_fields:
            row["sandboxExtra"] = {"nested": [1, None, {"deep": True}]}
        return row

    def transcription(self, index: int) -> Row:
        life, dice = self.life(index), self.world.dice("bird-transcript", index)
        assert life.transcribed is not None
        ready = life.transcript_ready <= self.world.clock
        tid = self.world.uuid("bird-transcription", index)
        row: Row = {
            "id": tid,
            "recordingId": self.world.uuid("bird", index),
            "status": "available" if ready else "accepted",
            "stereo": dice.random() < 0.3,
            "locale": dice.choice(("en-US", "nl-NL", "ar", "zh-Hans-CN")),
            "createdAt": iso(life.transcribed),
            "updatedAt": iso(life.transcript_ready if ready else life.transcribed),
        }
        if ready:
            row["url"] = f"{self.base_url}{self._root()}/transcriptions/{tid}.json"
            if dice.random() < 0.6:
                row["summary"] = sentence(dice)
        if self.knobs.unknown_fields:
            row["sandboxExtra"] = "\u2603"
        return row

    def transcripts(self) -> list[int]:
        """The recordings that have a transcription now, in the list's order."""
        return self._transcripts(self.world.clock, self.knobs.undocumented_order)

    def _list_transcripts(self, clock: int, _: str) -> list[int]:
        ready = (index for index in range(self.count()) if self.transcribed(index) <= clock)
        return sorted(ready, key=self._transcript_rank)

    def transcribed(self, index: int) -> float:
        at = self.life(index).transcribed
        return inf if at is None else at

    def _transcript_rank(self, index: int) -> tuple[float, int]:
        """Transcriptions are made in another order than the recordings."""
        rank, at = self.rank(index), self.transcribed(index)
        return {"newest": (-at, rank), "oldest": (at, rank), "shuffled": (0.0, rank)}[self.knobs.undocumented_order]

    def media(self, media_id: str) -> Media | None:
        index = self.known("bird", media_id)
        if index is None or self._now(index)[1] != "available":
            return None
        return self.make_media(media_id, "audio/mpeg")

    def streams(self) -> dict[str, Stream[Any]]:
        def uuid(index: int) -> tuple[str]:
            return (self.world.uuid("bird", index),)

        def file(index: int) -> Row:
            (rid,) = uuid(index)
            created = iso(self.created(index))
            return self.media_row(self.media(rid), recordingId=rid, recordingCreatedAt=created)

        return {
            "bird_recordings": Stream(lambda: range(self.count()), uuid, self.recording),
            "bird_transcriptions": Stream(
                self.transcripts, lambda index: (self.world.uuid("bird-transcription", index),), self.transcription
            ),
            "bird_recording_files": Stream(
                lambda: [i for i in range(self.count()) if self._now(i)[1] == "available"], uuid, file
            ),
        }

    # --- http -------------------------------------------------------------------------------

    def _root(self) -> str:
        return f"/workspaces/{self.workspace_id}"

    def routes(self) -> list[web.RouteDef]:
        root = "/workspaces/{workspace}"
        return [
            web.get(f"{root}/recordings", self.list_recordings),
            web.get(f"{root}/recordings/{{id}}.mp3", self.get_file),
            web.get(f"{root}/recordings/{{id}}", self.get_recording),
            web.get(f"{root}/transcriptions", self.list_transcriptions),
            web.get(f"{root}/transcriptions/{{id}}", self.get_transcription),
        ]

    def error(self, request: web.Request, status: int, message: str) -> Row:
        # https://docs.bird.com/api/api-access/common-api-usage: code and message, 5+ characters
        codes = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 422: "InvalidPayload", 429: "TooManyRequests"}
        return {"code": codes.get(status, "InternalError"), "message": message}

    def authorize(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"AccessKey {ACCESS_KEY}":
            raise self.refuse(request, 401, "Unauthorized access key")
        workspace = request.match_info["workspace"]
        if workspace != self.workspace_id:
            raise self.refuse(request, 404, "Workspace not found")

    def _item(self, request: web.Request, kind: str, what: str) -> int:
        text = request.match_info["id"]
        if not _is_uuid(text):
            raise self.refuse(request, 422, f"{what} id must be a uuid")
        index = self.known(kind, text)
        if index is None:
            raise self.refuse(request, 404, f"{what} not found")
        return index

    async def get_recording(self, request: web.Request) -> web.Response:
        return answer(self.recording(self._item(request, "bird", "Recording")))

    async def get_file(self, request: web.Request) -> web.Response:
        index = self._item(request, "bird", "Recording")
        rid = self.world.uuid("bird", index)
        if self.media(rid) is None:
            raise self.refuse(request, 404, "Recording file not found")
        location = self.storage.url(self.name, rid, "mp3")
        return web.Response(status=307, headers={"Location": location})

    async def get_transcription(self, request: web.Request) -> web.Response:
        index = self._item(request, "bird-transcription", "Transcription")
        if self.transcribed(index) > self.world.clock:
            raise self.refuse(request, 404, "Transcription not found")
        return answer(self.transcription(index))

    async def list_recordings(self, request: web.Request) -> web.Response:
        limit, after = self._position(request)
        bounds: dict[str, int | None] = {}
        for name in ("startAt", "endAt"):
            text = request.query.get(name)
            bounds[name] = parse_time(text) if text is not None else None
            if text is not None and bounds[name] is None:
                raise self.refuse(request, 422, f"{name} must be a date-time")
        end = bounds["endAt"]
        if end is not None and self.knobs.bird_bounds == "half_open":
            end -= 1
        keep = self._filter(request)
        items = self.arrange(self.between(bounds["startAt"], end))
        found, following = page(items, self.rank, after, limit, keep)
        return _results([self.recording(index) for index in found], following)

    def _filter(self, request: web.Request) -> Callable[[int], bool] | None:
        wanted = {
            name: request.query[name]
            for name in ("sourceId", "channelId", "id", "direction", "from", "to", "status")
            if name in request.query
        }
        for name, allowed in (("direction", ("incoming", "outgoing")), ("status", STATUSES)):
            if name in wanted and wanted[name] not in allowed:
                raise self.refuse(request, 422, f"{name} is one of {', '.join(allowed)}")
        for name in ("sourceId", "channelId", "id"):
            if name in wanted and not _is_uuid(wanted[name]):
                raise self.refuse(request, 422, f"{name} must be a uuid")
        if not wanted:
            return None
        # The document calls `id` the id of the call: that is the recording's source.
        names = {"id": "sourceId"}

        def keep(index: int) -> bool:
            row = self.recording(index)
            for name, value in wanted.items():
                if name in ("from", "to"):
                    party = row.get("originator" if name == "from" else "receiver", {})
                    if party.get("number", {}).get("identity") != value:
                        return False
                elif row.get(names.get(name, name)) != value:
                    return False
            return True

        return keep

    async def list_transcriptions(self, request: web.Request) -> web.Response:
        limit, after = self._position(request)
        items = self.transcripts()
        found, following = page(items, self._transcript_rank, after, limit)
        return _results([self.transcription(index) for index in found], following)

    def _position(self, request: web.Request) -> tuple[int, int | None]:
        limit = self.integer(request, "limit", 10, 1, 99, 422)
        token = request.query.get("pageToken")
        after = decode_token(token) if token else None
        if token and after is None:
            raise self.refuse(request, 422, "pageToken is not valid")
        return limit, after


def _results(rows: list[Row], following: int | None) -> web.Response:
    # The samples of a last page show no token at all.
    more = {} if following is None else {"nextPageToken": encode_token(following)}
    return answer({"results": rows, **more})


def _party(dice: random.Random, world: World, index: int) -> Row:
    number = phone(dice)
    row: Row = {"type": dice.choice(("pstn", "pstn", "webrtc")), "number": number[1:]}
    optional: Row = {"identity": number, "countryIsoCode": "US", "anonymous": False, "callerIdName": label(dice)}
    row.update({key: value for key, value in optional.items() if dice.random() < 0.6})
    party: Row = {"number": row}
    if dice.random() < 0.4:
        party["contact"] = {
            "id": world.uuid("bird-contact", index),
            "identifierKey": "phonenumber",
            "identifierValue": number,
        }
    return party


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
