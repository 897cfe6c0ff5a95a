"""Bird.

https://docs.bird.com/api/voice-api/recordings-api/get-a-recording
https://docs.bird.com/api/voice-api/recordings-api/list-recordings
https://docs.bird.com/api/voice-api/recordings-api/list-recording-storage-metrics
https://docs.bird.com/api/voice-api/transcriptions-api/list-transcriptions
https://docs.bird.com/api/voice-api/transcriptions-api/get-a-transcription
https://docs.bird.com/api/voice-api/voice-calls-api/get-calls-log
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from aiohttp import web

from ..world import parse_time
from .base import Row, answer, decode_token, encode_token, page
from .bird_voice import BirdVoice

if TYPE_CHECKING:
    from collections.abc import Callable

ACCESS_KEY = "sandboxBirdAccessKeyAbCdEfGhIj"
STATUSES = ("accepted", "completed", "ongoing", "paused", "available", "absent", "failed")
DIRECTIONS = ("incoming", "outgoing")


class Bird(BirdVoice):
    def config(self) -> Row:
        return {"access_key": ACCESS_KEY, "workspace_id": self.workspace_id, "base_url": self.base_url}

    def routes(self) -> list[web.RouteDef]:
        root = "/workspaces/{workspace}"
        return [
            web.get(f"{root}/recordings", self.list_recordings),
            web.get(f"{root}/recordings/{{id}}.mp3", self.get_file),
            web.get(f"{root}/recordings/{{id}}", self.get_recording),
            web.get(f"{root}/recording-metrics", self.get_metrics),
            web.get(f"{root}/transcriptions", self.list_transcriptions),
            web.get(f"{root}/transcriptions/{{id}}.vtt", self.get_vtt),
            web.get(f"{root}/transcriptions/{{id}}", self.get_transcription),
            web.get(f"{root}/channels/calls", self.list_calls),
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

    def _uuid(self, request: web.Request, what: str) -> str:
        text = request.match_info["id"]
        if not _is_uuid(text):
            raise self.refuse(request, 422, f"{what} id must be a uuid")
        return text

    def _recording(self, request: web.Request) -> int:
        index = self.known("bird", self._uuid(request, "Recording"))
        if index is None:
            raise self.refuse(request, 404, "Recording not found")
        return index

    def _transcription(self, request: web.Request) -> int:
        ref = self.find_transcription(self._uuid(request, "Transcription"))
        if ref is None:
            raise self.refuse(request, 404, "Transcription not found")
        return ref

    async def get_recording(self, request: web.Request) -> web.Response:
        return answer(self.recording(self._recording(request)))

    async def get_file(self, request: web.Request) -> web.Response:
        index = self._recording(request)
        rid = self.world.uuid("bird", index)
        if self.media(rid) is None:
            raise self.refuse(request, 404, "Recording file not found")
        location = self.storage.url(self.name, rid, "mp3")
        return web.Response(status=307, headers={"Location": location})

    async def get_metrics(self, request: web.Request) -> web.Response:
        """What is counted stands on no page: here it is what the list without filters has."""
        rows = [self.recording(index) for index in self.arrange(self.between(None, None))]
        updated = {"updatedAt": max(row["updatedAt"] for row in rows)} if rows else {}
        return answer({"counter": len(rows), "dailyStorageUsage": {}, **updated})

    async def get_transcription(self, request: web.Request) -> web.Response:
        return answer(self.transcription(self._transcription(request)))

    async def get_vtt(self, request: web.Request) -> web.Response:
        """The page names the address only: the text comes in the answer, or from where the recordings' files are."""
        ref = self._transcription(request)
        if self.transcription(ref)["status"] != "available":
            raise self.refuse(request, 404, "Transcription not available")
        if self.knobs.bird_vtt == "redirect":
            return web.Response(status=307, headers={"Location": self.storage.url(self.name, self.tid(ref), "vtt")})
        return web.Response(text=self.vtt(ref), content_type="text/vtt")

    async def list_recordings(self, request: web.Request) -> web.Response:
        limit, after = self._position(request)
        bounds, keep = self._bounds(request), self._filter(request)
        found, following = page(self.arrange(self.between(*bounds)), self.rank, after, limit, keep)
        return _results([self.recording(index) for index in found], following)

    async def list_calls(self, request: web.Request) -> web.Response:
        limit, after = self._position(request, 25, 1000)
        bounds, keep = self._bounds(request), self._call_filter(request)
        found, following = page(self.arrange(self.between(*bounds)), self.rank, after, limit, keep)
        return _results([self.call(index) for index in found], following)

    def _bounds(self, request: web.Request) -> tuple[int | None, int | None]:
        """What was created from when to when."""
        start, end = (self._moment(request, name) for name in ("startAt", "endAt"))
        if end is not None and self.knobs.bird_bounds == "half_open":
            end -= 1
        return start, end

    def _moment(self, request: web.Request, name: str) -> int | None:
        text = request.query.get(name)
        moment = parse_time(text) if text is not None else None
        if text is not None and moment is None:
            raise self.refuse(request, 422, f"{name} must be a date-time")
        return moment

    def _call_filter(self, request: web.Request) -> Callable[[int], bool] | None:
        query = request.query
        wanted = {name: query[name] for name in ("id", "direction", "status", "type", "from", "to") if name in query}
        channels, tags = set(query.getall("channelId", [])), set(query.getall("tag", []))
        if wanted.get("direction") not in (None, *DIRECTIONS):
            raise self.refuse(request, 422, f"direction is one of {', '.join(DIRECTIONS)}")
        if not all(map(_is_uuid, [*channels, *query.getall("id", [])])):
            raise self.refuse(request, 422, "id and channelId must be uuids")
        duration = self.integer(request, "duration", -1, 0, 2**31, 422)
        if not wanted and not channels and not tags and duration < 0:
            return None

        def keep(index: int) -> bool:
            row = self.call(index)
            return (
                all(row.get(name) == value for name, value in wanted.items())
                and (not channels or row["channelId"] in channels)
                and (not tags or bool(tags & set(row.get("tags", ()))))
                and duration in (-1, row.get("duration"))
            )

        return keep

    def _filter(self, request: web.Request) -> Callable[[int], bool] | None:
        wanted = {
            name: request.query[name]
            for name in ("sourceId", "channelId", "id", "direction", "from", "to", "status")
            if name in request.query
        }
        for name, allowed in (("direction", DIRECTIONS), ("status", STATUSES)):
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
        found, following = page(self.transcriptions(), self.transcription_rank, after, limit)
        return _results([self.transcription(ref) for ref in found], following)

    def _position(self, request: web.Request, default: int = 10, most: int = 99) -> tuple[int, int | None]:
        limit = self.integer(request, "limit", default, 1, most, 422)
        token = request.query.get("pageToken")
        after = decode_token(token) if token else None
        if token and after is None:
            raise self.refuse(request, 422, "pageToken is not valid")
        return limit, after


def _results(rows: list[Row], following: int | None) -> web.Response:
    # The samples of a last page show no token at all.
    more = {} if following is None else {"nextPageToken": encode_token(following)}
    return answer({"results": rows, **more})


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
