"""Quo.

https://openphone-public-api-prod.s3.us-west-2.amazonaws.com/public/openphone-public-api-v1-prod.json
https://www.quo.com/docs/2026-03-30/calls/list-calls
https://www.quo.com/docs/2026-03-30/calls/get-a-call-by-id
https://www.quo.com/docs/2026-03-30/users/list-users
https://www.quo.com/docs/2026-03-30/phone-numbers/list-phone-numbers
https://www.quo.com/docs/2026-03-30/requests
https://www.quo.com/docs/2026-03-30/versioning
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import web

from ..world import parse_time
from .base import Row, answer, decode_token, encode_token, page
from .quo_people import QuoPeople

if TYPE_CHECKING:
    from collections.abc import Callable


API_KEY = "sandboxQuoApiKey0123456789"
VERSION = "2026-03-30"
STATUSES = (
    "queued", "initiated", "ringing", "in-progress", "completed", "busy", "failed",
    "no-answer", "canceled", "missed", "answered", "forwarded", "abandoned",
)  # fmt: skip
# The first four digits of an error code name the endpoint (that of phone-numbers is made up).
FAMILIES = {"call-recordings": "0900", "call-transcripts": "0600", "phone-numbers": "1000"}
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
    500: "Unknown",
}


class Quo(QuoPeople):
    def config(self) -> Row:
        return {"api_key": API_KEY, "base_url": self.base_url}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/calls", self.list_calls),
            web.get("/calls/{id}", self.get_call),
            web.get("/users", self.list_users),
            web.get("/phone-numbers", self.list_numbers),
            web.get("/v1/call-recordings/{id}", self.get_recordings),
            web.get("/v1/call-transcripts/{id}", self.get_transcript),
            web.get("/v1/phone-numbers", self.list_v1_numbers),
        ]

    def error(self, request: web.Request, status: int, message: str) -> Row:
        row: Row = {
            "message": message,
            "docs": "https://quo.com/docs",
            "title": TITLES.get(status, "Unknown"),
            "trace": "sandbox-trace",
        }
        if request.path.startswith("/v1/"):
            # The newer version has no `code`. Codes of 402 and 429 are not documented.
            family = FAMILIES.get(request.path.split("/")[2], "0000")
            code = f"{family[:3]}1500" if status == 500 else f"{family}{status}"
            row.update(code=code, status=status)
        return row

    def authorize(self, request: web.Request) -> None:
        # https://www.quo.com/docs/mdx/api-reference/authentication: the bare key
        if request.headers.get("Authorization") != API_KEY:
            raise self.refuse(request, 401, "Unauthorized")

    def _item(self, request: web.Request) -> int:
        text = request.match_info["id"]
        if not text.startswith("AC"):
            raise self.refuse(request, 400, "Expected string to match '^AC(.*)$'")
        index = self.known("quo", text[2:])
        if index is None:
            raise self.refuse(request, 404, "Call not found")
        return index

    async def get_recordings(self, request: web.Request) -> web.Response:
        index = self._item(request)
        rows = self.recordings(index)
        # Both occur for a call without recordings.
        if not rows and self.world.chance("quo-none", index) < 0.5:
            raise self.refuse(request, 404, "Recording not found")
        return answer({"data": rows})

    async def get_transcript(self, request: web.Request) -> web.Response:
        if self.knobs.quo_plan != "business":
            status = 403 if self.knobs.quo_plan == "starter-403" else 402
            raise self.refuse(request, status, "Transcripts need a Business or Scale plan")
        index = self._item(request)
        if not self.has_transcript(index):
            raise self.refuse(request, 404, "Transcript not found")
        return answer({"data": self.transcript(index)})

    async def list_v1_numbers(self, request: web.Request) -> web.Response:
        return answer({"data": [self.v1_phone_number(number) for number in range(5)]})

    async def list_users(self, request: web.Request) -> web.Response:
        limit, after = self._position(request)
        found, following = page(range(self.users())[::-1], lambda index: -index, after, limit)  # newest first
        return _data([self.user(index) for index in found], following)

    async def list_numbers(self, request: web.Request) -> web.Response:
        limit, after = self._position(request)
        include, wanted = request.query.get("include"), request.query.get("phoneNumber")
        if include not in (None, "restrictions"):
            raise self.refuse(request, 400, "include is restrictions")

        def keep(index: int) -> bool:
            return wanted in (None, self.phone_number(index)["phoneNumber"])

        items = self.arrange(range(self.numbers()))
        found, following = page(items, self.rank, after, limit, keep)
        rows = [self.phone_number(index) for index in found]
        if include is None:
            rows = [{name: row[name] for name in row if name != "restrictions"} for row in rows]
        return _data(rows, following)

    async def get_call(self, request: web.Request) -> web.Response:
        self._version(request)
        return answer({"data": self.call(self._item(request), self._include(request))})

    async def list_calls(self, request: web.Request) -> web.Response:
        limit, after = self._position(request)
        query = request.query
        for name in query:
            operator = re.fullmatch(r"(\w+)\[(\w*)\]", name)
            if operator and name not in (
                "createdAt[gte]", "createdAt[lte]", "participant[in]", "status[in]"
            ):  # fmt: skip
                raise self.refuse(request, 400, f"{name} is not supported")
        if "createdAt" in query:
            raise self.refuse(request, 400, "createdAt needs an operator")
        bounds: list[int | None] = []
        for name in ("createdAt[gte]", "createdAt[lte]"):
            text = query.get(name)
            bounds.append(parse_time(text) if text is not None else None)
            if text is not None and bounds[-1] is None:
                raise self.refuse(request, 400, f"{name} must be a date-time")
        include = self._include(request)
        items = self.between(*bounds)[::-1]  # newest first
        keep = self._filter(request)
        found, following = page(items, lambda index: -index, after, limit, keep)
        return _data([self.call(index, include) for index in found], following)

    def _version(self, request: web.Request) -> None:
        if request.headers.get("Quo-Api-Version") != VERSION:
            raise self.refuse(request, 400, f"The Quo-Api-Version header must be {VERSION}")

    def _position(self, request: web.Request) -> tuple[int, int | None]:
        """Where a list of the newer version goes on."""
        self._version(request)
        limit, token = self.integer(request, "limit", 10, 1, 50, 400), request.query.get("after")
        after = decode_token(token) if token is not None else None
        if token is not None and after is None:
            raise self.refuse(request, 400, "after is not a valid cursor")
        return limit, after

    def _include(self, request: web.Request) -> frozenset[str]:
        include = frozenset(filter(None, request.query.get("include", "").split(",")))
        if not include <= {"summary", "voicemail"}:
            raise self.refuse(request, 400, "include is summary, voicemail or both")
        return include

    def _filter(self, request: web.Request) -> Callable[[int], bool] | None:
        query = request.query
        equal = {name: query[name] for name in ("phoneNumberId", "actorId", "direction") if name in query}
        statuses = _list(query.get("status"), query.get("status[in]"))
        people = _list(query.get("participant"), query.get("participant[in]"))
        if not statuses <= set(STATUSES) or equal.get("direction") not in (
            None, "incoming", "outgoing"
        ):  # fmt: skip
            raise self.refuse(request, 400, "status or direction is not one of the known ones")
        if not equal and not statuses and not people:
            return None

        def keep(index: int) -> bool:
            row = self.call(index)
            numbers = {person["phoneNumber"] for person in row["participants"]}
            return (
                all(row[name] == value for name, value in equal.items())
                and (not statuses or row["status"] in statuses)
                and (not people or bool(numbers & people))
            )

        return keep


def _data(rows: list[Row], following: int | None) -> web.Response:
    return answer({"data": rows, "nextCursor": None if following is None else encode_token(following)})


def _list(one: str | None, several: str | None) -> set[str]:
    return set(filter(None, [one, *(several or "").split(",")]))
