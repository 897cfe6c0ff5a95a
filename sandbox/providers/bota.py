"""Bota.

https://docs.bota.dev/ (recordings)
https://docs.bota.dev/api-reference/pagination
https://docs.bota.dev/api-reference/uploads/download-url
https://docs.bota.dev/api-reference/ai/transcriptions/get
https://github.com/bota-dev/examples
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..world import HOUR
from .base import Row, answer, decode_token, encode_token, page
from .bota_lists import BotaLists
from .bota_recordings import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

API_KEY = "sk_test_sandbox_bota"


class Bota(BotaLists):
    # The lists that have to be sorted, each for the moment at which it was.
    _sorted: tuple[Any, dict[str, Sequence[int]]] = (None, {})

    def config(self) -> Row:
        return {"api_key": API_KEY, "base_url": self.base_url}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/recordings", self.list_recordings),
            web.get("/v1/recordings/{id}", self.get_recording),
            web.post("/v1/recordings/{id}/download-url", self.media_url),
            web.get("/v1/recordings/{id}/download-url", self.recording_url),
            web.get("/v1/transcriptions", self.list_transcriptions),
            web.get("/v1/transcriptions/{id}", self.get_transcription),
            web.get("/v1/summaries", self.list_summaries),
            web.get("/v1/summaries/{id}", self.get_summary),
            web.get("/v1/end-users", self.list_end_users),
            web.get("/v1/devices", self.list_devices),
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

    # --- one of them ------------------------------------------------------------------------

    def _item(self, request: web.Request) -> int:
        text = request.match_info["id"]
        index = self.known("bota", text[4:]) if text.startswith("rec_") else None
        if index is None:
            raise self.refuse(request, 404, "Recording not found")
        return index

    async def get_recording(self, request: web.Request) -> web.Response:
        return answer(self.recording(self._item(request)))

    async def get_transcription(self, request: web.Request) -> web.Response:
        job = self.job_of(request.match_info["id"])
        if job is None:
            raise self.refuse(request, 404, "Transcription not found")
        return answer(self.transcription(job))

    async def get_summary(self, request: web.Request) -> web.Response:
        job = self.summary_of(request.match_info["id"])
        if job is None:
            raise self.refuse(request, 404, "Summary not found")
        return answer(self.summary(job))

    async def media_url(self, request: web.Request) -> web.Response:
        """The address of one medium, of a recording in the older form."""
        index = self._item(request)
        if self.is_live(index):
            raise self.refuse(request, 404, "Not found")
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
                "expires_at": stamp(self.world.clock + HOUR),
            }
        )

    async def recording_url(self, request: web.Request) -> web.Response:
        """The address of the recording's one file, in the form of October 2026."""
        index = self._item(request)
        if not self.is_live(index):
            raise self.refuse(request, 404, "Not found")
        if self.recording(index)["status"] in ("pending", "streaming"):
            raise self.refuse(request, 400, "The recording is not uploaded")
        if self.live_media(index) is None:
            raise self.refuse(request, 404, "The recording has no file")
        return answer(self.live_url(index))

    # --- lists ------------------------------------------------------------------------------

    async def list_recordings(self, request: web.Request) -> web.Response:
        cursors = self.knobs.bota_revision != "offset"
        items = range(self.count())[::-1]  # created_at descending, as documented
        names = ("end_user_id",) if cursors else ("end_user_id", "device_id", "status")
        keep = self._filter(request, self.recording, names)
        return self._page(request, items, self.recording, lambda index: -index, keep, cursors=cursors)

    async def list_transcriptions(self, request: web.Request) -> web.Response:
        """(created_at, id) descending; in the October 2026 revision only."""
        if self.knobs.bota_revision not in ("live", "mixed"):
            raise self.refuse(request, 404, "Not found")
        wanted = request.query.get("recording_id")
        if wanted is None and self.knobs.bota_needs_filter:
            raise self.refuse(request, 400, "recording_id is required")
        items: Sequence[int]
        if wanted is None:
            items = self._newest("transcriptions", self.jobs)
        else:
            index = self.known("bota", wanted[4:]) if wanted.startswith("rec_") else None
            job = None if index is None else self.job(index)
            items = [] if job is None else [job]
        return self._page(request, items, self.transcription, _descending(self.job_time))

    async def list_summaries(self, request: web.Request) -> web.Response:
        items = self._newest("summaries", self.summaries)
        keep = self._filter(request, self.summary, ("transcription_id",))
        return self._page(request, items, self.summary, _descending(self.summary_time), keep)

    async def list_end_users(self, request: web.Request) -> web.Response:
        cursors = self.knobs.bota_revision != "offset"
        # An external_id without text is no filter.
        names = ("external_id",) if request.query.get("external_id") else ()
        keep = self._filter(request, self.end_user, names)
        return self._page(request, self.end_users()[::-1], self.end_user, lambda number: -number, keep, cursors=cursors)

    async def list_devices(self, request: web.Request) -> web.Response:
        cursors = self.knobs.bota_revision != "offset"
        keep = self._filter(request, self.device, ("end_user_id",))
        return self._page(request, self.devices()[::-1], self.device, lambda number: -number, keep, cursors=cursors)

    def _newest(self, name: str, listed: Callable[[], list[int]]) -> Sequence[int]:
        moment = (self.world.clock, self.knobs.bota_retranscribed)
        if self._sorted[0] != moment:
            self._sorted = (moment, {})
        found = self._sorted[1]
        if name not in found:
            found[name] = listed()[::-1]
        return found[name]

    def _page(
        self,
        request: web.Request,
        items: Sequence[int],
        row: Callable[[int], Row],
        rank: Callable[[int], Any],
        keep: Callable[[int], bool] | None = None,
        *,
        cursors: bool = True,
    ) -> web.Response:
        limit = self.integer(request, "limit", 20 if cursors else 25, 1, 100, 400)
        if cursors:
            # "Some malformed cursors can be treated as an initial page" (the vendor's examples).
            token = request.query.get("cursor")
            after = decode_token(token) if token else None
            found, following = page(items, rank, after, limit, keep)
            more: Row = {"has_more": following is not None}
            if following is not None:
                more["next_cursor"] = encode_token(following)
        else:
            offset = self.integer(request, "offset", 0, 0, 2**63, 400)
            wanted = items if keep is None else [item for item in items if keep(item)]
            found = list(wanted[offset : offset + limit])
            more = {"has_more": offset + limit < len(wanted)}
        return answer({"data": [row(item) for item in found], **more})

    @staticmethod
    def _filter(
        request: web.Request, row: Callable[[int], Row], names: tuple[str, ...]
    ) -> Callable[[int], bool] | None:
        wanted = {name: request.query[name] for name in names if name in request.query}
        if not wanted:
            return None

        def keep(item: int) -> bool:
            found = row(item)
            return all(found[name] == value for name, value in wanted.items())

        return keep


def _descending(time: Callable[[int], tuple[int, int]]) -> Callable[[int], tuple[int, int]]:
    def rank(item: int) -> tuple[int, int]:
        moment, number = time(item)
        return -moment, -number

    return rank
