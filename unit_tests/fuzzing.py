"""A provider that answers as its schemas say, but for the faults of a plan: what test_fuzz.py reads from."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from source_recordings.times import parse_iso
from unit_tests.harness import Row, without_nulls
from unit_tests.hostile import ALL_DETAILS, ALL_LISTS, VTT, Detail, List

WITH_DATES = [f"2024-03-0{day}T1{day}:00:0{day}.000Z" for day in range(1, 8)]
WITHOUT_DATES = [*WITH_DATES, *(f"{year}-07-15T08:30:00Z" for year in (1999, 2009, 2010, 2015, 2021, 2025))]

HOSTILE = [
    "NaN",
    "-Infinity",
    "1e999",
    "1" * 30,
    "9" * 5_000,
    '"\\ud83d"',
    '"\\u0000"',
    "[" * 1_200 + "]" * 1_200,
    '{"a": 1, "a": {"b": NaN}}',
    '""',
    "{}",
    "[]",
    "null",
    "true",
    "-1",
    '"2024-03-02T10:00:00+24:00"',
    '"9999-12-31T23:59:59-14:00"',
    '"0000-00-00"',
    '"tomorrow"',
    '"../.."',
    '"."',
    '"a/b?c#d%"',
]
NO_ROWS = [
    "{}",
    "[]",
    "null",
    "7",
    '"row"',
    "true",
    "NaN",
    "[{}]",
    '{"id": ""}',
    '{"id": {}, "callId": [], "entity_id": null}',
]
STATUSES = [204, 301, 400, 401, 403, 404, 408, 409, 410, 418, 422, 429, 500, 502, 503, 504, 599]
HEADERS = [
    "NaN",
    "-5",
    "inf",
    "1e300",
    "99999999",
    "Wed, 25 Nov 2099 08:00:00 GMT",
    "\xb2",
    "98, 998",
    "",
    "soon",
    "0.1",
]
NETWORK = [
    requests.exceptions.ConnectionError("refused"),
    requests.exceptions.ReadTimeout("slow"),
    requests.exceptions.ChunkedEncodingError("broken"),
]
FOREVER = 10**6


@dataclass(frozen=True)
class Fault:
    """What is wrong with one answer, the first so many times that it is given."""

    kind: str
    choice: int
    times: int

    @property
    def limit(self) -> int:
        """Who is asked to slow down asks for hours: here for a moment."""
        asks_to_wait = self.kind == "status" and STATUSES[self.choice % len(STATUSES)] == 429
        return min(self.times, 9) if asks_to_wait else self.times

    def __call__(self, content: str, context: Any) -> bytes:
        """The answer instead of this good one. Raises what the network does."""
        good = content.encode("utf-8", "surrogatepass")
        if self.kind == "network":
            raise NETWORK[self.choice % len(NETWORK)]
        if self.kind == "status":
            context.status_code = STATUSES[self.choice % len(STATUSES)]
        if self.kind in ("status", "headers"):
            value = HEADERS[self.choice % len(HEADERS)]
            context.headers.update(dict.fromkeys(("Retry-After", "X-RateLimit-Reset", "X-RateLimit-Remaining"), value))
        if self.kind == "cut":
            return good[: self.choice % len(good)]
        if self.kind == "byte":
            place = self.choice % len(good)
            return good[:place] + bytes([255]) + good[place:]
        if self.kind == "flip":
            place = self.choice % len(good)
            return good[:place] + bytes([good[place] ^ (1 << self.choice % 8)]) + good[place + 1 :]
        if self.kind == "body":
            whole = [
                b"",
                b"null",
                b"[]",
                b"{}",
                b'"text"',
                b"<html>",
                b"\xef\xbb\xbf" + good,
                good + good,
                good + b"\0",
            ]
            return whole[self.choice % len(whole)]
        return good


KINDS = ["network", "status", "headers", "cut", "byte", "flip", "body", "rows", "walk"]
"""`rows` and `walk` are about the page itself: its rows are none, or what it says of the next page is wrong."""

Target = tuple[str, int]
"""A stream, and the number of a page or of a row."""


@dataclass(frozen=True)
class Plan:
    """What a world is made from."""

    seed: int
    rows: int
    page_size: int
    junk: int
    with_dates: bool
    faults: Mapping[Target, Fault]


@dataclass
class World:
    """One provider's host. Used by all threads."""

    provider: str
    plan: Plan
    is_broken: bool = True
    """Whether the faults happen; the junk among the rows is there for good."""
    requests: int = 0
    given: Counter[Target] = field(default_factory=Counter)
    unsure: set[Target] = field(default_factory=set)
    """The lists (number -1) and details of which an answer said something else than the truth, as JSON."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        chance = Random(self.plan.seed)
        times = WITH_DATES if self.plan.with_dates else WITHOUT_DATES
        self.lists = [a_list for a_list in ALL_LISTS if a_list.case.provider == self.provider]
        self.details = [detail for detail in ALL_DETAILS if detail.parent.case.provider == self.provider]
        self.keys = [f"AC{number}" for number in range(self.plan.rows)]
        self.rows: dict[str, list[Row]] = {}
        self._raw: dict[str, list[tuple[str | None, str]]] = {}
        """Of each list its rows as JSON, the odd ones too, with their times where they have one."""
        for a_list in self.lists:
            self.rows[a_list.name] = [self._row(a_list, key, chance.choice(times), chance) for key in self.keys]
            raw = [(row.get(time_of(a_list)), json.dumps(row)) for row in self.rows[a_list.name]]
            for number in range(self.plan.junk):
                raw.insert(chance.randrange(len(raw) + 1), self._junk(a_list, number, chance))
            if a_list.stream.window and a_list.stream.window.newest_first:
                # As the document says. What has no time may stand anywhere.
                moments = iter(sorted((r for r in raw if r[0]), key=lambda r: parse_iso(r[0] or ""), reverse=True))
                raw = [next(moments) if time else (None, text) for time, text in raw]
            self._raw[a_list.name] = raw
        self._answers = {
            (detail.name, number): self._body(detail, key, chance)
            for detail in self.details
            for number, key in enumerate(self.keys)
        }
        self._urls = {a_list.case.url: a_list for a_list in self.lists}
        self._detail_urls = {
            detail.url(key): (detail, number) for detail in self.details for number, key in enumerate(self.keys)
        }

    # What it holds

    def _row(self, a_list: List, key: str, time: str, chance: Random) -> Row:
        leads = next((detail.list_row(key) for detail in self.details if detail.parent is a_list), a_list.row(0))
        if not any(detail.parent is a_list for detail in self.details):
            leads[a_list.key] = key
        return {**of_schema(a_list.stream.schema, chance), **leads, **({a_list.time: time} if a_list.has_time else {})}

    def _junk(self, a_list: List, number: int, chance: Random) -> tuple[str | None, str]:
        if chance.random() < 0.5:
            return None, chance.choice(NO_ROWS)
        row = self._row(a_list, f"odd-{number}", WITH_DATES[0], chance)
        names = chance.sample(sorted(row), min(len(row), chance.randint(1, 3)))
        text = json.dumps({name: value for name, value in row.items() if name not in names})[:-1]
        # A list with one key twice is one that rows are missing from, as far as anybody can tell.
        keys = HOSTILE[number :: max(1, self.plan.junk)]
        values = {name: chance.choice(keys if name == a_list.key else HOSTILE) for name in names}
        odd = "".join(f", {json.dumps(name)}: {raw}" for name, raw in values.items())
        return None, (text + odd + "}").replace("{, ", "{", 1)

    def _body(self, detail: Detail, key: str, chance: Random) -> str:
        return VTT if detail.stream.operation.text else json.dumps(self._answer(detail, key, chance))

    def _answer(self, detail: Detail, key: str, chance: Random) -> Row:
        row = of_schema(detail.stream.schema, chance)
        row.pop("status", None)
        answer = detail.answer(key)
        for name in detail.stream.operation.rows:
            inner = answer[name]
            return {name: [{**row, **inner[0]}] if isinstance(inner, list) else {**row, **inner}}
        return {**row, **answer}

    # What it answers

    def answer(self, request: Any, context: Any) -> bytes:
        """A callback of requests_mock."""
        parts = urlsplit(request.url)
        address = request.url.partition("?")[0]
        a_list = self._urls.get(address)
        if a_list:
            return self._page(a_list, parse_qs(parts.query), context)
        if address not in self._detail_urls:  # about an odd row
            self._count(("", 0))
            context.status_code = 404
            return b"{}"
        detail, number = self._detail_urls[address]
        target = (detail.name, number)
        good = self._answers[target]
        fault = self._count(target)
        if fault is None:
            return good.encode()
        body = fault(good, context)
        skips = {403, *detail.stream.operation.skip}
        other = body != good.encode() if detail.stream.operation.text else is_other(body, good)
        if context.status_code in skips or (context.status_code < 300 and other):
            self.unsure.add(target)
        return body

    def _page(self, a_list: List, query: Mapping[str, Sequence[str]], context: Any) -> bytes:
        pages, rows = a_list.stream.pages, self._in_window(a_list, query)
        assert pages
        size = self.plan.page_size
        start = int(query.get(pages.cursor or "", query.get(pages.offset or "", ["0"]))[0].rpartition("-")[2])
        more = start + size < len(rows)
        answer: Row = {**a_list.page("@rows"), "total": len(rows), "has_more": more}
        if pages.cursor:
            answer |= dict.fromkeys(
                ("nextPageToken", "nextCursor", "next_cursor"), f"token_-{start + size}" if more else None
            )
        target = (a_list.name, start // size)
        fault = self._count(target)
        text = "[" + ", ".join(raw for _, raw in rows[start : start + size]) + "]"
        if fault and fault.kind == "rows":
            text = ["null", '{"id": "x"}', '"text"', "7", "NaN"][fault.choice % 5]
        if fault and fault.kind == "walk":
            odd: Any = [None, 0, -1, True, "many", [], {}, 10**30, start, "token_-0"][fault.choice % 10]
            names = ("total", "has_more", "nextPageToken", "nextCursor", "next_cursor")
            answer[[name for name in names if name in answer][fault.choice % 3 - 1]] = odd
            self.unsure.add((a_list.name, -1))
        good = json.dumps(answer).replace('"@rows"', text)
        if fault is None:
            return good.encode("utf-8", "surrogatepass")
        body = fault(good, context)
        if context.status_code < 300 and is_other(body, good):
            self.unsure.add((a_list.name, -1))
        return body

    def _in_window(self, a_list: List, query: Mapping[str, Sequence[str]]) -> list[tuple[str | None, str]]:
        """What the provider's filter lets through; a row without a good time stands in every window."""
        window, rows = a_list.stream.window, self._raw[a_list.name]
        if not (window and window.is_exact and window.since and window.until):
            return rows
        since, until = (query.get(name, [""])[0] for name in (window.since, window.until))
        return [
            (time, raw)
            for time, raw in rows
            if not time or ((not since or parse_iso(since) <= parse_iso(time)) and parse_iso(time) <= parse_iso(until))
        ]

    def _count(self, target: Target) -> Fault | None:
        """Counts a request, and gives the fault that it meets."""
        with self._lock:
            self.requests += 1
            self.given[target] += 1
            fault = self.plan.faults.get(target) if self.is_broken else None
            return fault if fault and self.given[target] <= fault.limit else None

    # What must arrive

    def healthy(self) -> Iterator[tuple[str, str, Row]]:
        """The stream, the key and what the record must have of each row that was never shown otherwise."""
        for a_list in self.lists:
            if (a_list.name, -1) in self.unsure:
                continue
            for row in self.rows[a_list.name]:
                yield a_list.name, row[a_list.key], {} if a_list.stream.set else without_nulls(row)
        for detail in self.details:
            if (detail.parent.name, -1) in self.unsure:
                continue
            for number, key in enumerate(self.keys):
                if (detail.name, number) not in self.unsure:
                    expected = detail.expected(key)
                    name = detail.stream.primary_key[0]
                    yield detail.name, expected[name], {name: expected[name]}


def time_of(a_list: List) -> str:
    return a_list.time if a_list.has_time else ""


def is_other(body: bytes, good: str) -> bool:
    """Whether it can be read, and says something else."""
    try:
        return bool(json.loads(body.decode()) != json.loads(good))
    except (ValueError, RecursionError):
        return body != good.encode("utf-8", "surrogatepass") and len(body) == len(good.encode("utf-8", "surrogatepass"))


def of_schema(schema: Mapping[str, Any], chance: Random) -> Row:
    """Some of the documented fields."""
    found: Row = {}
    for name, inner in schema["properties"].items():
        if chance.random() < 0.3:
            found[name] = value_of(inner, chance)
    return found


def value_of(schema: Mapping[str, Any], chance: Random) -> Any:
    kinds = schema.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    kind = chance.choice(kinds)
    if kind == "null":
        return None
    if kind == "object":
        return of_schema({"properties": schema.get("properties", {})}, chance)
    if kind == "array":
        return [value_of(schema.get("items", {}), chance) for _ in range(chance.randint(0, 2))]
    if kind == "boolean":
        return chance.random() < 0.5
    if kind == "integer":
        return chance.choice([0, 1, -1, 2**63, 10**30, 7])
    if kind == "number":
        return chance.choice([0.5, -1.25, 3, 1e300])
    if schema.get("format") == "date-time":
        return chance.choice(WITHOUT_DATES)
    return chance.choice(
        ["", "a", "Jürgen 日本 😀", "completed", "https://media.example.com/x?y=1", "\\", '"', "x" * 60]
    )
