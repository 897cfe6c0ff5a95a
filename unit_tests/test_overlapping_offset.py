"""Offset pagination over a list that grows and shrinks while it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_recordings.errors import PassingError
from source_recordings.expressions import compile_expression
from source_recordings.http.answers import Answer
from source_recordings.provider import Pages
from source_recordings.reading import pages as module
from source_recordings.reading.pages import Walker

PAGE = 5
BY_TOTAL = Pages("limit", PAGE, offset="offset", total=compile_expression("answer.total"))
BY_MORE = Pages("limit", PAGE, offset="offset", more=compile_expression("answer.has_more"))
BY_SIZE = Pages("limit", PAGE, offset="offset")

Change = Callable[[list[int]], None]


def walk(
    a_list: list[int], changes: Mapping[int, list[Change]] | None = None, pages: Pages = BY_TOTAL, shortest: int = PAGE
) -> tuple[list[int], int]:
    """All rows in the order they came and the number of requests; `changes` edit the list after a request."""
    requests = 0

    def fetch(params: Mapping[str, str]) -> Answer:
        nonlocal requests
        requests += 1
        assert requests < 1000, "the walk does not end"
        assert params["limit"] == str(PAGE)
        offset = int(params.get("offset", "0"))
        page = [{"id": i} for i in a_list[offset : offset + min(PAGE, shortest)]]
        total, has_more = len(a_list), offset + len(page) < len(a_list)
        for change in (changes or {}).get(requests, []):
            change(a_list)
        return Answer({"items": page, "total": total, "has_more": has_more})

    walker = Walker(pages, fetch, ("items",), "id", {})
    return [row["id"] for page in walker.walk() for row in page], requests


@pytest.mark.parametrize("pages", [BY_TOTAL, BY_MORE], ids=["total", "has_more"])
@given(size=st.integers(0, 60))
def test_a_list_at_rest_is_read_once(pages: Pages, size: int) -> None:
    """One row of overlap a page, and no page asked for after the last."""
    rows, requests_made = walk(list(range(size)), pages=pages)
    assert sorted(set(rows)) == list(range(size))
    assert requests_made <= max(1, -(-max(size - 1, 1) // (PAGE - 1)))


@given(size=st.integers(0, 60), shortest=st.integers(1, PAGE))
def test_pages_may_be_shorter_than_asked_for(size: int, shortest: int) -> None:
    rows, _ = walk(list(range(size)), shortest=shortest)
    assert sorted(set(rows)) == list(range(size))


@given(size=st.integers(0, 60))
def test_where_the_provider_says_nothing_a_full_page_goes_on(size: int) -> None:
    assert sorted(set(walk(list(range(size)), pages=BY_SIZE)[0])) == list(range(size))


edits = st.one_of(
    st.builds(lambda at: ("insert", at), st.floats(0, 1)), st.builds(lambda at: ("delete", at), st.floats(0, 1))
)


@settings(max_examples=400, deadline=None)
@given(size=st.integers(1, 60), changes=st.dictionaries(st.integers(1, 25), st.lists(edits, max_size=8), max_size=12))
def test_no_row_is_lost_from_a_list_that_changes(size: int, changes: dict[int, list[tuple[str, float]]]) -> None:
    """Rows that are there from the first request to the last are all read, wherever others come and go."""
    a_list = list(range(size))
    fresh = iter(range(1000, 100_000))

    def edit(kind: str, at: float) -> Change:
        def change(rows: list[int]) -> None:
            if kind == "insert":
                rows.insert(int(at * len(rows)), next(fresh))
            elif rows:
                rows.pop(int(at * (len(rows) - 1)))

        return change

    rows, _ = walk(a_list, {n: [edit(*e) for e in es] for n, es in changes.items()})
    assert {i for i in a_list if i < 1000} <= set(rows)


def test_a_list_that_never_rests_is_an_error_in_the_end() -> None:
    def renew(rows: list[int]) -> None:
        rows[:] = [i + 100 for i in rows]

    with patch.object(module, "MAX_STEPS_BACK", 10), pytest.raises(PassingError, match="faster"):
        walk(list(range(20)), {n: [renew] for n in range(1, 1000)})


@pytest.mark.parametrize("given_rows", [0, 3, 7])
def test_a_list_that_ends_before_its_total_is_an_error(given_rows: int) -> None:
    """Rows would be missing in silence."""
    rows: list[Any] = [{"id": n} for n in range(given_rows)]
    requests = 0

    def fetch(params: Mapping[str, str]) -> Answer:
        nonlocal requests
        requests += 1
        offset = int(params.get("offset", "0"))
        return Answer({"items": rows[offset : offset + PAGE], "total": 1000})

    with pytest.raises(PassingError, match=r"contradicts itself|faster"):
        list(Walker(BY_TOTAL, fetch, ("items",), "id", {}).walk())
    assert requests < 500
