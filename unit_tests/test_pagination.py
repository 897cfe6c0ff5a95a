"""Pagination: both of Bota's revisions, cursors that repeat, and lists that change while they are read."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests_mock

from source_recordings.errors import PassingError
from source_recordings.expressions import compile_expression
from source_recordings.http.answers import Answer
from source_recordings.provider import Pages
from source_recordings.reading.pages import Walker
from unit_tests.examples import CURSOR_LISTS, OFFSET_LISTS, Case, a_list, config
from unit_tests.harness import CREATED, Connector, Row, without_nulls

PAGES = Pages(
    size_param="limit",
    size=100,
    cursor="cursor",
    next=compile_expression("answer.next_cursor"),
    offset="offset",
    more=compile_expression("answer.has_more"),
)
"""Bota's, of both revisions."""


def walk(*bodies: Row, pages: Pages = PAGES) -> list[dict[str, str]]:
    """What each request of one walk through these answers asked for, besides the size."""
    asked: list[dict[str, str]] = []
    answers = iter(bodies)

    def fetch(params: Mapping[str, str]) -> Answer:
        assert params[pages.size_param] == str(pages.size)
        asked.append({key: value for key, value in params.items() if key != pages.size_param})
        return Answer(next(answers))

    rows = [r for page in Walker(pages, fetch, ("data",), "id", {}).walk() for r in page]
    assert rows == [r for body in bodies for r in body["data"]]
    return asked


def body(rows: int, first: int = 0, **more: Any) -> Row:
    return {"data": [{"id": str(number)} for number in range(first, first + rows)], **more}


class TestCursorOrOffset:
    """https://docs.bota.dev/api-reference/pagination and github.com/bota-dev/examples contradict each other."""

    def test_follows_the_cursor_where_there_is_one(self) -> None:
        assert walk(
            body(100, has_more=True, next_cursor="a"),
            body(100, has_more=True, next_cursor="b"),
            body(3, has_more=False),
        ) == [{}, {"cursor": "a"}, {"cursor": "b"}]

    def test_counts_rows_where_there_is_none(self) -> None:
        assert walk(body(100, has_more=True), body(7, 100, has_more=True), body(1, 107, has_more=False)) == [
            {},
            {"offset": "100"},
            {"offset": "107"},
        ]

    @pytest.mark.parametrize("pages", [1, 2])
    def test_more_that_is_not_given_is_an_error(self, pages: int) -> None:
        """has_more with no rows, or with the same ones, would ask for ever, and an end would lose rows in silence."""
        with pytest.raises(PassingError, match="contradicts itself"):
            walk(*([body(5, has_more=True)] * (pages - 1)), body(0, has_more=True))
        with pytest.raises(PassingError, match="contradicts itself"):
            walk(*[body(5, has_more=True)] * (pages + 1))

    def test_more_without_a_cursor_where_there_is_no_offset_is_an_error(self) -> None:
        with pytest.raises(PassingError, match="does not give it"):
            walk(body(5, has_more=True), pages=replace(PAGES, offset=None))

    def test_a_cursor_counts_even_without_has_more(self) -> None:
        assert walk(body(1, next_cursor="a"), body(1)) == [{}, {"cursor": "a"}]

    @pytest.mark.parametrize("cursor", [None, ""])
    def test_no_cursor_and_has_more_false_end_the_walk(self, cursor: str | None) -> None:
        assert walk(body(1, has_more=False, next_cursor=cursor)) == [{}]

    def test_a_cursor_that_is_a_number_goes_back_as_it_came(self) -> None:
        assert walk(body(1, next_cursor=7), body(1)) == [{}, {"cursor": "7"}]

    @pytest.mark.parametrize("cursor", [True, 1.5, ["a"], {"a": 1}])
    def test_a_cursor_of_another_kind_is_an_error(self, cursor: Any) -> None:
        with pytest.raises(PassingError, match="neither text nor a number"):
            walk(body(1, next_cursor=cursor))

    @pytest.mark.parametrize("cursors", ["aa", "aba", "abca", "abcb"])
    def test_a_cursor_that_repeats_is_an_error(self, cursors: str) -> None:
        """Malformed cursors "can be treated as an initial page" -> the list would never end."""
        with pytest.raises(PassingError, match="second time"):
            walk(*(body(1, has_more=True, next_cursor=cursor) for cursor in cursors))


class TestByNumber:
    """A list whose pages have numbers."""

    PAGES = Pages(size_param="limit", size=2, number="page", total=compile_expression("answer.total"))

    def test_goes_on_to_the_total(self) -> None:
        pages = (body(2, 0, total=5), body(2, 2, total=5), body(1, 4, total=5))
        assert walk(*pages, pages=self.PAGES) == [{"page": "1"}, {"page": "2"}, {"page": "3"}]

    def test_goes_on_while_pages_are_full_where_nothing_is_said(self) -> None:
        assert len(walk(body(2, 0), body(2, 2), body(1, 4), pages=self.PAGES)) == 3

    @pytest.mark.parametrize("again", [0, 2])
    def test_a_page_that_brings_nothing_new_before_the_total_is_an_error(self, again: int) -> None:
        with pytest.raises(PassingError, match="contradicts itself"):
            walk(body(2, 0, total=5), body(again, 0, total=5), pages=self.PAGES)


def test_the_first_page_is_enough_for_a_check() -> None:
    assert walk(body(2, next_cursor="a"), pages=replace(PAGES, single=True)) == [{}]


TRIES = 6
cursor_lists = pytest.mark.parametrize("case", CURSOR_LISTS, ids=str)


@cursor_lists
@pytest.mark.parametrize("cursors", ["aa", "aba", "abcbc"])
def test_a_repeated_cursor_ends_the_stream_incomplete(
    case: Case, cursors: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    """A cursor that comes again, at once or after others, and stays -> no endless loop, no silent end either."""
    pages = [{**case.with_next(cursor), "has_more": True} for cursor in cursors]
    api.get(case.url, [{"json": page} for page in pages])

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 1
    assert output.ended(case.stream) == "INCOMPLETE"
    assert "page cursor" in output.errors[0]["message"]
    assert output.errors[0]["failure_type"] == "transient_error"
    assert case.owner.title in output.errors[0]["message"]
    assert api.call_count <= len(cursors) + TRIES - 1


@cursor_lists
def test_a_cursor_that_repeats_once_costs_a_wait(
    case: Case, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """A page names itself as the next one -> asked for again after a wait, it names the right one -> all is read."""
    first, second, third = ({**case.with_next(token), "has_more": True} for token in "abc")
    api.get(case.url, [{"json": page} for page in (first, first, second, third, second, case.answer)])

    output = connector.read(case.config, case.stream)

    assert (output.exit_code, output.errors) == (0, [])
    assert case.of.pages and case.of.pages.cursor
    queries = [parse_qs(urlsplit(request.url).query) for request in api.request_history]
    assert [query.get(case.of.pages.cursor, [""])[0] for query in queries] == ["", "a", "a", "b", "c", "c"]
    assert len(naps) == 2


@pytest.mark.parametrize("case", OFFSET_LISTS, ids=str)
def test_a_page_that_holds_its_rows_back_is_asked_for_again(
    case: Case, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """No rows, and a total that says that there are some -> asked for again after a wait -> the rows come."""
    api.get(case.url, [{"json": case.with_rows()}] * 2 + [{"json": case.answer}])

    output = connector.read(case.config, case.stream)

    assert (output.exit_code, output.errors) == (0, [])
    assert len(output.records(case.stream)) == 1
    assert len(naps) == 2


@cursor_lists
def test_a_walk_of_many_pages_ends_and_asks_for_each_once(
    case: Case, connector: Connector, api: requests_mock.Mocker
) -> None:
    pages = [{**case.with_next(f"page-{number}"), "has_more": True} for number in range(25)]
    api.get(case.url, [*({"json": page} for page in pages), {"json": case.answer}])

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 0
    assert api.call_count == 26


class ChangingList:
    """A list by offset, of Amigo or Tether; `changes` insert or remove rows after the n-th page."""

    def __init__(self, case: Case, rows: Sequence[Row], changes: dict[int, tuple[int, int]]) -> None:
        self.case = case
        self.rows = list(rows)
        self.changes = changes
        self.pages = 0

    def __call__(self, request: Any, context: object) -> Row:
        pages = self.case.of.pages
        assert pages and pages.offset
        offset = int(request.qs.get(pages.offset, ["0"])[0])
        limit = int(request.qs[pages.size_param][0])
        found = self.rows[offset : offset + limit]
        total = len(self.rows)
        self.pages += 1
        inserted, removed = self.changes.get(self.pages, (0, 0))
        del self.rows[:removed]
        self.rows[:0] = [row(self.case, f"new-{self.pages}-{n}") for n in range(inserted)]
        return self.case.with_rows(*found, total=total, has_more=offset + limit < total)


def row(case: Case, key: str) -> Row:
    (name,), window = case.of.primary_key, case.of.window
    assert window
    return {name: key, window.field: CREATED}


offset_lists = pytest.mark.parametrize("case", OFFSET_LISTS, ids=str)


@offset_lists
@pytest.mark.parametrize(
    "changes",
    [{}, {1: (3, 0)}, {1: (0, 1)}, {1: (0, 60), 2: (0, 3)}, {1: (1, 1), 2: (70, 0), 3: (0, 90)}],
    ids=["quiet", "grows", "shrinks", "shrinks a lot", "both"],
)
def test_rows_that_shift_between_pages_are_neither_lost_nor_doubled(
    case: Case, changes: dict[int, tuple[int, int]], connector: Connector, api: requests_mock.Mocker
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
    assert case.of.pages
    size = case.of.pages.size
    changing = ChangingList(case, [row(case, f"k{n}") for n in range(3 * size)], {})
    api.get(case.url, json=changing)

    output = connector.read(case.config, case.stream)

    assert len(output.records(case.stream)) == 3 * size
    assert api.call_count == 4


def test_tether_may_cut_a_page_short(connector: Connector, api: requests_mock.Mocker) -> None:
    """The maximum of `limit` is not documented -> a shorter page than asked for is not the end, `total` is."""
    case = a_list("tether_calls")
    rows = [row(case, f"k{number}") for number in range(40)]

    def capped(request: Any, context: object) -> Row:
        offset = int(request.qs.get("offset", ["0"])[0])
        return {"success": True, "calls": rows[offset : offset + 10], "total": len(rows)}

    api.get(case.url, json=capped)

    output = connector.read(config("tether"), "tether_calls")

    assert output.records("tether_calls") == [without_nulls(record) for record in rows]


def test_a_list_that_never_stands_still_ends_with_an_error(connector: Connector, api: requests_mock.Mocker) -> None:
    """Other rows on every request -> no walk can be complete -> an error after a bounded number of requests."""
    case = a_list("tether_calls")
    count = iter(range(10**6))

    def restless(request: Any, context: object) -> Row:
        rows = [row(case, f"k{next(count)}") for _ in range(50)]
        return {"success": True, "calls": rows, "total": 1000}

    api.get(case.url, json=restless)

    output = connector.read(config("tether"), "tether_calls")

    assert output.ended("tether_calls") == "INCOMPLETE"
    assert api.call_count < 300


@pytest.mark.parametrize(
    "pages",
    [PAGES, Pages("limit", 2, offset="offset", total=compile_expression("answer.total"))],
    ids=["cursor", "offset"],
)
def test_a_walk_takes_little_memory_over_thousands_of_pages(pages: Pages) -> None:
    """What a walk remembers is eight bytes a page or a row."""
    numbers = itertools.count()

    def fetch(_: Mapping[str, str]) -> Answer:
        n = next(numbers)
        rows = [{"id": n}, {"id": n + 1}]
        return Answer({"data": rows, "next_cursor": f"c{n}", "total": 10**9})

    walker = Walker(pages, fetch, ("data",), "id", {}).walk()
    next(walker)
    tracemalloc.start()
    try:
        for _ in range(2_000):
            next(walker)
        assert tracemalloc.get_traced_memory()[0] < 500_000
    finally:
        tracemalloc.stop()
