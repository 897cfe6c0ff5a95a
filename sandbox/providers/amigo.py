"""Amigo.

https://docs.amigo.ai/api-reference/readme/platform/calls
https://docs.amigo.ai/api-reference/readme/platform/recordings
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

from aiohttp import web

from ..world import DAY, parse_time
from .amigo_details import AmigoDetails
from .base import RefusalError, Row, Stream, answer

if TYPE_CHECKING:
    from collections.abc import Callable

API_KEY = "sandbox-amigo-api-key"


class Amigo(AmigoDetails):
    def config(self) -> Row:
        return {"api_key": API_KEY, "workspace_id": self.workspace_id, "base_url": self.base_url}

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

        def detailed() -> list[int]:
            return [index for index in self.listed() if self.has_details(index)]

        def entity(index: int) -> tuple[str]:
            return (self.world.uuid("amigo", index),)

        return {
            "amigo_calls": Stream(self.listed, entity, self.call),
            "amigo_call_details": Stream(detailed, entity, lambda index: {**self.detail(index), **since(index)}),
            "amigo_recording_metadata": Stream(recorded, sid, lambda index: {**self.metadata(index), **since(index)}),
            "amigo_recording_urls": Stream(recorded, sid, lambda index: {**self.urls(index), **since(index)}),
            "amigo_recording_files": Stream(files, lambda ref: (self.sid(ref[0]), ref[1]), file_row),
        }

    # --- http -------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        recording = "/v1/{workspace}/recordings/{sid}"
        return [
            web.get("/v1/{workspace}/calls", self.list_calls),
            web.get("/v1/{workspace}/calls/{id}", self.get_call),
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

    async def get_call(self, request: web.Request) -> web.Response:
        """Simulated sessions too, which the list leaves out."""
        text, known_by = request.match_info["id"], self.knobs.amigo_call_id
        index = None
        if known_by != "entity_id" and text.startswith("CA"):
            index = self.known("amigo-sid", text[2:])
        elif known_by != "call_sid":
            index = self.known("amigo", text)
        if index is None or self.deleted(index):
            raise self.refuse(request, 404, "Call not found")
        return answer(self.detail(index))

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
