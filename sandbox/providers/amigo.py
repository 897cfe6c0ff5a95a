"""Amigo.

https://docs.amigo.ai/api-reference/readme/platform/calls
https://docs.amigo.ai/api-reference/readme/platform/recordings
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from aiohttp import web

from ..media import Media
from ..text import label, phone
from ..world import DAY, SECOND, World, iso, parse_time
from .base import Provider, RefusalError, Row, Stream, answer, delay, soon, talk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..knobs import Knobs
    from ..storage import Storage

API_KEY = "sandbox-amigo-api-key"
FILES = ("inbound.wav", "outbound.wav", "metadata.json")


@dataclass(frozen=True)
class _Life:
    created: int
    dateless: bool
    connected: int
    ended: int
    outcome: str
    flagged: int | None  # since when has_recording is true
    stored: int | None  # since when the recording's endpoints answer


class Amigo(Provider):
    name = "amigo"
    quantum = 1

    def __init__(self, world: World, knobs: Knobs, storage: Storage) -> None:
        super().__init__(world, knobs, storage)
        self.workspace_id = world.uuid("amigo-workspace", 0)
        self.life = lru_cache(maxsize=8192)(self._life)
        # Every page of a list needs the whole list: kept until the clock moves.
        self._listed = lru_cache(maxsize=16)(self._list)

    def config(self) -> Row:
        return {"api_key": API_KEY, "workspace_id": self.workspace_id, "base_url": self.base_url}

    # --- data -------------------------------------------------------------------------------

    def _life(self, index: int) -> _Life:
        dice = self.world.dice("amigo-life", index)
        created = self.created(index)
        connected = created + dice.randrange(SECOND, 30 * SECOND)
        outcome = dice.choices(
            ("completed", "busy", "no-answer", "canceled", "failed", "unknown"), (84, 3, 5, 3, 3, 2)
        )[0]
        ended = connected + (talk(dice) * SECOND if outcome == "completed" else 0)
        flagged = stored = None
        if outcome in ("completed", "unknown") and dice.random() < 0.85:
            flagged = ended + delay(dice)
            roll = dice.random()
            if roll < 0.9:
                stored = flagged
            elif roll < 0.97:  # announced before it can be had: 404 meanwhile, or for ever
                stored = flagged + soon(dice)
        return _Life(created, dice.random() < 0.01, connected, ended, outcome, flagged, stored)

    def simulated(self, index: int) -> bool:
        return self.world.chance("amigo-simulated", index) < 0.03

    def deleted(self, index: int) -> bool:
        if self.world.chance("amigo-deleted", index) >= 0.02:
            return False
        days = 3 + 17 * self.world.chance("amigo-deleted-after", index)
        return self.created(index) + int(days * DAY) <= self.world.clock

    def sid(self, index: int) -> str | None:
        if self.world.chance("amigo-sidless", index) < 0.01:
            return None
        return f"CA{self.world.id('amigo-sid', index)}"

    def started(self, index: int) -> int | None:
        life = self.life(index)
        # Null for good in a few calls, and while nobody has picked up in many.
        if life.dateless or (self.world.clock < life.connected and index % 2):
            return None
        return life.created

    def call(self, index: int) -> Row:
        life, dice = self.life(index), self.world.dice("amigo-row", index)
        clock, started = self.world.clock, self.started(index)
        done = life.ended <= clock
        simulated = self.simulated(index)
        status = life.outcome
        if clock < life.connected:
            status = "initiated" if clock < life.created + 3 * SECOND else "ringing"
        elif not done:
            status = "in-progress"
        source = dice.choice(("simulation", "playground")) if simulated else "real"
        row: Row = {
            "entity_id": self.world.uuid("amigo", index),
            "call_sid": self.sid(index),
            "direction": (
                dice.choice(("simulated", "playground", "test")) if simulated else dice.choice(("inbound", "outbound"))
            ),
            "phone_number": phone(dice),
            "caller_id": phone(dice),
            # Whole seconds are written without a fraction, as Python's isoformat does.
            "started_at": None if started is None else iso(started, 6 if started % SECOND else 0),
            "duration_seconds": (life.ended - life.connected) / SECOND if done else None,
            "status": status,
            "escalation_status": dice.choice((None, "none", "requested", "connected", "handback")),
            "turns": dice.randrange(80) if done else None,
            "has_recording": dice.choice((False, None)),
            "quality_score": dice.choice((None, 0, 1, 1e-7, round(dice.random(), 6))),
            "final_state": dice.choice((None, label(dice))),
            "completion_reason": (
                dice.choice((None, "completed", "caller_hangup", "terminal_state", "transferred")) if done else None
            ),
            "service_id": dice.choice((None, self.world.uuid("amigo-service", index % 3))),
            "source": source,
            "run_id": f"run-{index}" if source == "simulation" else None,
            "parent_session_id": f"session-{index // 2}" if simulated and index % 2 else None,
            "fork_turn_index": index % 7 if simulated and index % 2 else None,
        }
        if life.flagged is not None and life.flagged <= clock:
            row["has_recording"] = True
        # Only entity_id is required: some answers leave the empty rest out.
        if dice.random() < 0.1:
            row = {key: value for key, value in row.items() if value is not None}
        if dice.random() < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = {"labels": [label(dice)], "score": 1.5e300}
        return row

    def listed(self, dated: range | None = None, *, simulated: bool = False) -> Sequence[int]:
        """The calls that a list (of a date range) holds now, in its order."""
        indices = range(self.count()) if dated is None else dated
        order = self.knobs.undocumented_order
        return self._listed(self.world.clock, order, indices.start, indices.stop, simulated)

    def _list(self, _: int, __: str, start: int, stop: int, simulated: bool) -> Sequence[int]:
        indices = [i for i in range(start, stop) if not self.deleted(i)]
        return self.arrange(indices if simulated else [i for i in indices if not self.simulated(i)])

    def has_recording(self, index: int) -> bool:
        """Whether the recording's endpoints answer with it now."""
        stored = self.life(index).stored
        return (
            stored is not None
            and stored <= self.world.clock
            and self.sid(index) is not None
            and not self.simulated(index)
            and not self.deleted(index)
        )

    def urls(self, index: int) -> Row:
        """Download paths: relative, absolute, mixed with null."""
        dice = self.world.dice("amigo-urls", index)
        root = f"/v1/{self.workspace_id}/recordings/{self.sid(index)}/download/"
        if dice.random() < 0.35:
            root = self.base_url + root
        row: Row = {"call_sid": self.sid(index), "status": "available"}
        for name, file in zip(("inbound_url", "outbound_url", "metadata_url"), FILES, strict=True):
            row[name] = None if dice.random() < 0.08 else root + file
        if dice.random() < 0.05:
            del row["status"]  # has a default, is not required
        if dice.random() < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = None
        return row

    def metadata(self, index: int) -> Row:
        life, dice = self.life(index), self.world.dice("amigo-metadata", index)
        sid = self.sid(index)
        row: Row = {
            "call_sid": sid,
            "workspace_id": self.workspace_id,
            "service_id": dice.choice((None, self.world.uuid("amigo-service", index % 3))),
            "direction": dice.choice(("inbound", "outbound")),
            "duration_seconds": (life.ended - life.connected) / SECOND,
            "inbound_format": "mulaw",
            "inbound_sample_rate": 8000,
            "outbound_format": "pcm16",
            "outbound_sample_rate": 16000,
            "tts_provider": dice.choice(("example-tts", "\u97f3\u58f0")),
            "call_start_iso": iso(life.created, 6).replace("Z", "+00:00"),
            "call_end_iso": iso(life.ended, 6).replace("Z", "+00:00"),
            "inbound_size_bytes": self.make_media(f"{sid}/{FILES[0]}", "audio/wav").size,
            "outbound_size_bytes": self.make_media(f"{sid}/{FILES[1]}", "audio/wav").size,
            "media_start_epoch_ms": life.connected / 1000,
        }
        if dice.random() < 0.1 or self.knobs.unknown_fields:
            row["sandbox_extra"] = [0.1 + 0.2, -0.0]
        return row

    def _by_sid(self, sid: str) -> int | None:
        """A call by its sid, while its recording can be had."""
        index = self.known("amigo-sid", sid.removeprefix("CA")) if sid.startswith("CA") else None
        return index if index is not None and self.has_recording(index) else None

    def media(self, media_id: str) -> Media | None:
        sid, _, file = media_id.partition("/")
        index = self._by_sid(sid)
        if index is None or file not in FILES:
            return None
        if file == "metadata.json":
            body = json.dumps(self.metadata(index), ensure_ascii=False).encode()
            return Media(media_id, "application/json", len(body), body)
        return self.make_media(media_id, "audio/wav")

    def streams(self) -> dict[str, Stream[Any]]:
        def recorded() -> list[int]:
            return [index for index in self.listed() if self.has_recording(index)]

        def files() -> list[tuple[int, str]]:
            return [
                (index, url.rpartition("/")[2])
                for index in recorded()
                for name, url in self.urls(index).items()
                if name.endswith("_url") and url is not None
            ]

        def sid(index: int) -> tuple[str | None]:
            return (self.sid(index),)

        def since(index: int) -> Row:
            return {"call_started_at": self.call(index).get("started_at")}

        def file_row(ref: tuple[int, str]) -> Row:
            keys = {"call_sid": self.sid(ref[0]), "filename": ref[1], **since(ref[0])}
            return self.media_row(self.media(f"{self.sid(ref[0])}/{ref[1]}"), **keys)

        return {
            "amigo_calls": Stream(self.listed, lambda index: (self.world.uuid("amigo", index),), self.call),
            "amigo_recording_metadata": Stream(recorded, sid, lambda index: {**self.metadata(index), **since(index)}),
            "amigo_recording_urls": Stream(recorded, sid, lambda index: {**self.urls(index), **since(index)}),
            "amigo_recording_files": Stream(files, lambda ref: (self.sid(ref[0]), ref[1]), file_row),
        }

    # --- http -------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        recording = "/v1/{workspace}/recordings/{sid}"
        return [
            web.get("/v1/{workspace}/calls", self.list_calls),
            web.get(f"{recording}/urls", self.get_urls),
            web.get(f"{recording}/metadata", self.get_metadata),
            web.get(f"{recording}/download/{{file}}", self.download),
        ]

    def error(self, request: web.Request, status: int, message: str) -> Row:
        return {"detail": message}

    def rate_headers(self, limit: int, remaining: int, reset: int) -> dict[str, str]:
        # https://docs.amigo.ai/developer-guide/operations/reference/rate-limits
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(reset),
        }

    def limit_headers(self, reset: int) -> dict[str, str]:
        return {"Retry-After": str(reset)}

    def authorize(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {API_KEY}":
            raise self.refuse(request, 401, "Invalid or missing API key")
        workspace = request.match_info["workspace"]
        try:
            UUID(workspace)
        except ValueError:
            raise _invalid("path", "workspace_id", "Input should be a valid UUID") from None
        if workspace != self.workspace_id:
            # Keys belong to one workspace; that another one answers 403 is not documented.
            raise self.refuse(request, 403, "API key does not belong to this workspace")

    def _recorded(self, request: web.Request) -> int:
        index = self._by_sid(request.match_info["sid"])
        if index is None:
            raise self.refuse(request, 404, "Recording not found")
        return index

    async def get_urls(self, request: web.Request) -> web.Response:
        return answer(self.urls(self._recorded(request)))

    async def get_metadata(self, request: web.Request) -> web.Response:
        return answer(self.metadata(self._recorded(request)))

    async def download(self, request: web.Request) -> web.StreamResponse:
        file = request.match_info["file"]
        if not re.fullmatch(r"[\w.-]+", file, re.ASCII) or ".." in file:
            raise self.refuse(request, 400, "Invalid filename")
        media = self.media(f"{request.match_info['sid']}/{file}")
        if media is None:
            raise self.refuse(request, 404, "Recording file not found")
        return await self.storage.serve(request, media)

    async def list_calls(self, request: web.Request) -> web.Response:
        query = request.query
        limit = _whole(query.get("limit"), "limit", 20, 1, 100)
        offset = _whole(query.get("offset"), "offset", 0, 0)
        # Documented as an alias of offset, with the same meaning.
        offset = _whole(query.get("continuation_token"), "continuation_token", offset, 0)
        keep = self._filter(request)
        dated = self._dated(request)
        simulated = query.get("include_simulated", "false").lower() in ("true", "1")
        items = self.listed(dated, simulated=simulated)
        if keep is not None:
            items = [index for index in items if keep(index)]
        found = items[offset : offset + limit]
        more = offset + limit < len(items)
        return answer(
            {
                "items": [self.call(index) for index in found],
                "total": len(items),
                "has_more": more,
                "continuation_token": offset + limit if more else None,
            }
        )

    def _dated(self, request: web.Request) -> range:
        """Both days are inclusive; that days are days in UTC is not documented."""
        start, end = (_day(request.query.get(name), name) for name in ("date_from", "date_to"))
        return self.between(start, None if end is None else end + DAY - 1)

    def _filter(self, request: web.Request) -> Callable[[int], bool] | None:
        query = request.query
        equal = {key: query[key] for key in ("status", "direction", "service_id") if key in query}
        low = _whole(query.get("min_duration"), "min_duration", -(2**63), -(2**63))
        high = _whole(query.get("max_duration"), "max_duration", 2**63, -(2**63))
        bounded = "min_duration" in query or "max_duration" in query
        dated = "date_from" in query or "date_to" in query
        strict = dated and self.knobs.amigo_dateless == "excluded"
        if not equal and not bounded and not strict:
            return None

        def keep(index: int) -> bool:
            row = self.call(index)
            if strict and row.get("started_at") is None:
                return False
            duration = row.get("duration_seconds")
            if bounded and (duration is None or not low <= duration <= high):
                return False
            return all(row.get(name) == value for name, value in equal.items())

        return keep


def _invalid(place: str, name: str, message: str) -> RefusalError:
    """FastAPI's validation error."""
    detail = {"type": "value_error", "loc": [place, name], "msg": message}
    return RefusalError(422, {"detail": [detail]})


def _whole(text: str | None, name: str, default: int, low: int, high: int = 2**63) -> int:
    if text is None:
        return default
    if not re.fullmatch(r"-?\d{1,19}", text, re.ASCII) or not low <= int(text) <= high:
        raise _invalid("query", name, "Input should be a valid integer in range")
    return int(text)


def _day(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    try:
        date.fromisoformat(text if len(text) == 10 else "")
    except ValueError:
        raise _invalid("query", name, "Input should be a valid date") from None
    return parse_time(f"{text}T00:00:00Z")
