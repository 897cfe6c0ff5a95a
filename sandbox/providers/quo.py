"""Quo.

https://openphone-public-api-prod.s3.us-west-2.amazonaws.com/public/openphone-public-api-v1-prod.json
https://www.quo.com/docs/2026-03-30/calls/list-calls
https://www.quo.com/docs/2026-03-30/requests
https://www.quo.com/docs/2026-03-30/versioning
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import web

from ..world import parse_time
from .base import Row, answer, decode_token, encode_token, page
from .quo_calls import QuoCalls

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


class Quo(QuoCalls):
    def config(self) -> Row:
        return {"api_key": API_KEY, "base_url": self.base_url}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/calls", self.list_calls),
            web.get("/v1/call-recordings/{id}", self.get_recordings),
            web.get("/v1/call-transcripts/{id}", self.get_transcript),
            web.get("/v1/phone-numbers", self.list_numbers),
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

    async def list_numbers(self, request: web.Request) -> web.Response:
        return answer({"data": [self._phone_number(number) for number in range(5)]})

    def _phone_number(self, number: int) -> Row:
        regions = dict.fromkeys(("CA", "Intl", "US"), "unrestricted")
        member = {
            "email": "owner@example.com",
            "firstName": None,
            "lastName": None,
            "id": f"US{self.world.id('quo-user', 0, 10)}",
            "role": "owner",
            "groupId": f"GR{self.world.id('quo-group', 0, 10)}",
        }
        return {
            "id": self._pnid(number),
            "groupId": f"GR{self.world.id('quo-group', 0, 10)}",
            "portRequestId": None,
            "formattedNumber": None,
            "forward": None,
            "name": f"Line {number}",
            "number": self._number(number),
            "portingStatus": None,
            "symbol": "\U0001f4de",
            "users": [member],
            "createdAt": "2024-01-01T00:00:00.000Z",
            "updatedAt": "2024-01-01T00:00:00.000Z",
            "restrictions": {"calling": regions, "messaging": regions},
        }

    async def list_calls(self, request: web.Request) -> web.Response:
        if request.headers.get("Quo-Api-Version") != VERSION:
            raise self.refuse(request, 400, f"The Quo-Api-Version header must be {VERSION}")
        query = request.query
        for name in query:
            operator = re.fullmatch(r"(\w+)\[(\w*)\]", name)
            if operator and name not in (
                "createdAt[gte]", "createdAt[lte]", "participant[in]", "status[in]"
            ):  # fmt: skip
                raise self.refuse(request, 400, f"{name} is not supported")
        if "createdAt" in query:
            raise self.refuse(request, 400, "createdAt needs an operator")
        limit = self.integer(request, "limit", 10, 1, 50, 400)
        bounds: list[int | None] = []
        for name in ("createdAt[gte]", "createdAt[lte]"):
            text = query.get(name)
            bounds.append(parse_time(text) if text is not None else None)
            if text is not None and bounds[-1] is None:
                raise self.refuse(request, 400, f"{name} must be a date-time")
        after = decode_token(query["after"]) if "after" in query else None
        if "after" in query and after is None:
            raise self.refuse(request, 400, "after is not a valid cursor")
        include = frozenset(filter(None, query.get("include", "").split(",")))
        if not include <= {"summary", "voicemail"}:
            raise self.refuse(request, 400, "include is summary, voicemail or both")
        items = self.between(*bounds)[::-1]  # newest first
        keep = self._filter(request)
        found, following = page(items, lambda index: -index, after, limit, keep)
        return answer(
            {
                "data": [self.call(index, include) for index in found],
                "nextCursor": None if following is None else encode_token(following),
            }
        )

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


def _list(one: str | None, several: str | None) -> set[str]:
    return set(filter(None, [one, *(several or "").split(",")]))
