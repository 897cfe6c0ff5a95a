"""Pagination: both of Bota's revisions, cursors that repeat, and lists that change while they are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import pytest
import requests
import requests_mock
from airbyte_cdk.sources.declarative.extractors import DpathExtractor
from airbyte_cdk.sources.declarative.requesters.paginators.strategies.pagination_strategy import (
    PaginationStrategy,
)
from airbyte_cdk.utils import AirbyteTracedException

from source_recordings.components.pagination import (
    CursorOrOffset,
    OnceOnlyCursor,
    OverlappingOffset,
)
from unit_tests.harness import CREATED, LISTS, Case, Connector, Row, config, without_nulls


def answer(body: Any) -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    response._content = json.dumps(body).encode()
    return response


def walk(*bodies: Row) -> list[Any]:
    """The tokens that follow each answer of one walk through Bota's list."""
    strategy = CursorOrOffset(config={}, parameters={})
    tokens: list[Any] = []
    for body in bodies:
        last = tokens[-1] if tokens else strategy.initial_token
        size = len(body.get("data", []))
        tokens.append(strategy.next_page_token(answer(body), size, None, last))
    return tokens


def body(rows: int, **more: Any) -> Row:
    return {"data": [{"id": str(number)} for number in range(rows)], **more}


class TestCursorOrOffset:
    """https://docs.bota.dev/api-reference/pagination and github.com/bota-dev/examples contradict each other."""

    def test_follows_the_cursor_where_there_is_one(self) -> None:
        assert walk(
            body(100, has_more=True, next_cursor="a"),
            body(100, has_more=True, next_cursor="b"),
            body(3, has_more=False),
        ) == [{"cursor": "a"}, {"cursor": "b"}, None]

    def test_counts_rows_where_there_is_none(self) -> None:
        assert walk(body(100, has_more=True), body(7, has_more=True), body(1, has_more=False)) == [
            {"offset": 100},
            {"offset": 107},
            None,
        ]

    def test_an_empty_page_ends_the_walk(self) -> None:
        """has_more with no rows would ask for the same offset for ever."""
        assert walk(body(0, has_more=True)) == [None]

    def test_a_cursor_counts_even_without_has_more(self) -> None:
        assert walk(body(1, next_cursor="a")) == [{"cursor": "a"}]

    def test_a_cursor_with_has_more_false_ends_the_walk(self) -> None:
        """next_cursor is "present only when more rows" -> has_more: false says the same more plainly."""
        assert walk(body(1, has_more=False, next_cursor=None)) == [None]

    @pytest.mark.parametrize("cursors", ["aa", "aba", "abca", "abcb"])
    def test_a_cursor_that_repeats_is_an_error(self, cursors: str) -> None:
        """Malformed cursors "can be treated as an initial page" -> the list would never end."""
        with pytest.raises(AirbyteTracedException, match="second time"):
            walk(*(body(1, has_more=True, next_cursor=cursor) for cursor in cursors))

    def test_two_walks_at_once_do_not_mix_up_their_cursors(self) -> None:
        """The strategy is shared by all windows -> what it has seen belongs to the walk."""
        strategy = CursorOrOffset(config={}, parameters={})
        page = answer(body(1, has_more=True, next_cursor="a"))
        first = strategy.next_page_token(page, 1, None, None)
        second = strategy.next_page_token(page, 1, None, None)
        assert first == second == {"cursor": "a"}

    def test_asks_for_pages_of_100(self) -> None:
        assert CursorOrOffset(config={}, parameters={}).get_page_size() == 100


TOKENS = {"bird": "nextPageToken", "quo": "nextCursor", "bota": "next_cursor"}
cursor_lists = pytest.mark.parametrize("case", [LISTS[0], LISTS[1], LISTS[3], LISTS[4]], ids=str)


@cursor_lists
@pytest.mark.parametrize("cursors", ["aa", "aba", "abcbc"])
def test_a_repeated_cursor_ends_the_stream_incomplete(
    case: Case,
    cursors: str,
    connector: Connector,
    api: requests_mock.Mocker,
) -> None:
    """A cursor that comes again, at once or after others -> no endless loop, no silent end either."""
    pages = [{**case.answer, TOKENS[case.provider]: cursor, "has_more": True} for cursor in cursors]
    api.get(case.url, [{"json": page} for page in pages])

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 1
    assert output.ended(case.stream) == "INCOMPLETE"
    assert "page cursor" in output.errors[0]["message"]
    assert output.errors[0]["failure_type"] == "transient_error"
    assert api.call_count <= len(cursors)


@cursor_lists
def test_a_walk_of_many_pages_ends_and_asks_for_each_once(
    case: Case, connector: Connector, api: requests_mock.Mocker
) -> None:
    pages = [
        {**case.answer, TOKENS[case.provider]: f"page-{number}", "has_more": True}
        for number in range(25)
    ]
    api.get(case.url, [*({"json": page} for page in pages), {"json": case.answer}])

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 0
    assert api.call_count == 26


class ChangingList:
    """Amigo's or Tether's list by offset; `changes` insert or remove rows after the n-th page."""

    def __init__(
        self, case: Case, rows: Sequence[Row], changes: dict[int, tuple[int, int]]
    ) -> None:
        self.case = case
        self.rows = list(rows)
        self.changes = changes
        self.pages = 0

    def __call__(self, request: Any, context: object) -> Row:
        offset = int(request.qs.get("offset", ["0"])[0])
        limit = int(request.qs["limit"][0])
        found = self.rows[offset : offset + limit]
        total = len(self.rows)
        self.pages += 1
        inserted, removed = self.changes.get(self.pages, (0, 0))
        del self.rows[:removed]
        self.rows[:0] = [row(self.case, f"new-{self.pages}-{n}") for n in range(inserted)]
        key = "items" if self.case.provider == "amigo" else "calls"
        more = {"has_more": offset + limit < total, "continuation_token": None}
        return {"success": True, key: found, "total": total, **more}


def row(case: Case, key: str) -> Row:
    names = {"amigo": ("entity_id", "started_at"), "tether": ("callId", "createdAt")}
    name, time = names[case.provider]
    return {name: key, time: CREATED}


offset_lists = pytest.mark.parametrize("case", [LISTS[2], LISTS[5]], ids=str)


@offset_lists
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {1: (3, 0)},
        {1: (0, 1)},
        {1: (0, 60), 2: (0, 3)},
        {1: (1, 1), 2: (70, 0), 3: (0, 90)},
    ],
    ids=["quiet", "grows", "shrinks", "shrinks a lot", "both"],
)
def test_rows_that_shift_between_pages_are_neither_lost_nor_doubled(
    case: Case,
    changes: dict[int, tuple[int, int]],
    connector: Connector,
    api: requests_mock.Mocker,
) -> None:
    """Both page by offset over a list that changes -> a row that was there all the time comes out exactly once."""
    rows = [row(case, f"k{number}") for number in range(330)]
    changing = ChangingList(case, rows, changes)
    api.get(case.url, json=changing)

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 0
    name = next(iter(rows[0]))
    keys = [record[name] for record in output.records(case.stream)]
    lasting = {record[name] for record in changing.rows} & {record[name] for record in rows}
    assert lasting <= set(keys)
    assert len(keys) == len(set(keys))


@offset_lists
def test_a_quiet_list_costs_no_more_than_the_overlap(
    case: Case, connector: Connector, api: requests_mock.Mocker
) -> None:
    size = 100 if case.provider == "amigo" else 50
    changing = ChangingList(case, [row(case, f"k{n}") for n in range(3 * size)], {})
    api.get(case.url, json=changing)

    output = connector.read(case.config, case.stream)

    assert len(output.records(case.stream)) == 3 * size
    assert api.call_count == 4


def test_tether_may_cut_a_page_short(connector: Connector, api: requests_mock.Mocker) -> None:
    """The maximum of `limit` is not documented -> a shorter page than asked for is not the end, `total` is."""
    case = LISTS[5]
    rows = [row(case, f"k{number}") for number in range(40)]

    def capped(request: Any, context: object) -> Row:
        offset = int(request.qs.get("offset", ["0"])[0])
        return {"success": True, "calls": rows[offset : offset + 10], "total": len(rows)}

    api.get(case.url, json=capped)

    output = connector.read(config("tether"), "tether_calls")

    assert output.records("tether_calls") == [without_nulls(record) for record in rows]


def test_a_list_that_never_stands_still_ends_with_an_error(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    """Other rows on every request -> no walk can be complete -> an error after a bounded number of requests."""
    case = LISTS[5]
    count = iter(range(10**6))

    def restless(request: Any, context: object) -> Row:
        rows = [row(case, f"k{next(count)}") for _ in range(50)]
        return {"success": True, "calls": rows, "total": 1000}

    api.get(case.url, json=restless)

    output = connector.read(config("tether"), "tether_calls")

    assert output.ended("tether_calls") == "INCOMPLETE"
    assert api.call_count < 300


def once_only() -> OnceOnlyCursor:
    return OnceOnlyCursor(cursor_value="{{ response.next }}", config={}, parameters={})


def overlapping() -> OverlappingOffset:
    rows = DpathExtractor(field_path=["data"], config={}, parameters={})
    return OverlappingOffset(page_size=2, extractor=rows, row_key="id")


@pytest.mark.parametrize(
    ("strategy", "page"),
    [
        (once_only(), lambda n: {"next": f"c{n}"}),
        (CursorOrOffset(config={}, parameters={}), lambda n: {"next_cursor": f"c{n}"}),
        (overlapping(), lambda n: {"data": [{"id": n}, {"id": n + 1}], "total": 9_999}),
    ],
    ids=["cursor", "bota", "offset"],
)
def test_a_token_stays_light_over_thousands_of_pages(
    strategy: PaginationStrategy, page: Callable[[int], Row]
) -> None:
    """The CDK deep-copies the token with every request -> the walk's memory is neither copied nor nested in itself."""
    token: Any = None
    for number in range(2_000):
        trail = getattr(token, "seen", None)
        token = deepcopy(strategy.next_page_token(answer(page(number)), 2, None, token))
        assert trail is None or token.seen is trail
    assert len(token.seen) >= 2_000
