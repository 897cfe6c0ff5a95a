"""Rows of a list of the whole account: walked once, as far as wanted, and else asked for one unit at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone

import pytest

from source_recordings.errors import PassingError
from source_recordings.provider import Match, Pages
from source_recordings.reading.lookup import Lookup, Refused
from source_recordings.reading.pages import Page
from unit_tests.harness import Row

NOW = datetime(2024, 3, 8, tzinfo=timezone.utc)
MATCH = Match(field="call", param="call_id", pages=Pages("limit", 3), newest_first="at")


def row(call: object, number: int, age: int = 0) -> Row:
    """The row with this number, so many days old."""
    return {"call": call, "number": number, "at": (NOW - timedelta(days=age)).isoformat()}


class Account:
    """A list in pages of three; what was asked for is noted, a page that was read by its number."""

    def __init__(self, *rows: object, refused: bool = False, broken_at: int | None = None) -> None:
        self.rows = rows
        self.refused = refused
        self.broken_at = broken_at
        self.asked: list[object] = []

    def walk(self, params: Mapping[str, str]) -> Iterator[Page]:
        if params:
            self.asked.append(dict(params))
            found = [r for r in self.rows if isinstance(r, dict) and r.get("call") == params["call_id"]]
            if params["call_id"] == "unknown":
                raise Refused
            yield found
            return
        if self.refused:
            self.asked.append("refused")
            raise Refused
        for start in range(0, max(1, len(self.rows)), 3):
            if start // 3 == self.broken_at:
                raise PassingError("broken")
            self.asked.append(start // 3)
            yield list(self.rows[start : start + 3])

    @contextmanager
    def lookup(self, since: datetime | None = None, *, whole: bool = True, match: Match = MATCH) -> Iterator[Lookup]:
        lookup = Lookup(self.walk, match, since, whole=whole)
        with closing(lookup):
            yield lookup


def test_the_list_is_walked_once_and_the_newest_row_counts() -> None:
    account = Account(row("a", 1), row("b", 2), row("a", 3), row("c", 4))
    with account.lookup() as lookup:
        assert account.asked == [], "nothing is asked before something is wanted"
        found = [lookup.row_of(call) for call in ("a", "b", "c", "d", "a")]

    assert [r and r["number"] for r in found] == [1, 2, 4, None, 1]
    assert account.asked == [0, 1]


def test_many_threads_walk_it_once() -> None:
    account = Account(*(row(str(number), number) for number in range(20)))
    barrier = threading.Barrier(8)

    with account.lookup() as lookup, ThreadPoolExecutor(8) as threads:

        def found(number: int) -> object:
            barrier.wait(10)
            return lookup.row_of(str(number))

        assert [r["number"] for r in threads.map(found, range(8)) if isinstance(r, dict)] == list(range(8))
    assert account.asked == list(range(7))


def test_the_walk_ends_where_a_page_ends_in_rows_that_are_too_old() -> None:
    """One odd row among newer ones is no end; the first page of old ones is."""
    account = Account(row("a", 1), row("b", 2, age=9), row("c", 3), *(row("d", n, age=9) for n in range(9)))
    with account.lookup(NOW - timedelta(days=3)) as lookup:
        assert lookup.row_of("c") is not None
        assert lookup.row_of("e") is None
    assert account.asked == [0, 1]


@pytest.mark.parametrize("at", [None, "yesterday"])
def test_a_row_without_a_time_is_no_end(at: object) -> None:
    account = Account(*({"call": str(n), "at": at} for n in range(6)))
    with account.lookup(NOW) as lookup:
        assert lookup.row_of("5") is not None


def test_a_list_in_no_known_order_is_walked_to_its_end() -> None:
    account = Account(*(row(str(number), number, age=9) for number in range(6)))
    with account.lookup(NOW, match=Match("call", "call_id", Pages("limit", 3))) as lookup:
        assert lookup.row_of("5") is not None
    assert account.asked == [0, 1]


def test_where_the_list_is_refused_each_unit_is_asked_for() -> None:
    account = Account(row("a", 1), row("a", 2), row("b", 3), refused=True)
    with account.lookup() as lookup:
        found = [lookup.row_of(call) for call in ("a", "b", "c", "unknown")]

    assert [r and r["number"] for r in found] == [1, 3, None, None]
    assert account.asked == ["refused", *({"call_id": call} for call in ("a", "b", "c", "unknown"))]


def test_listed_ids_are_asked_for_one_by_one() -> None:
    account = Account(row("a", 1))
    with account.lookup(whole=False) as lookup:
        assert lookup.row_of("a") == row("a", 1)
    assert account.asked == [{"call_id": "a"}]


def test_a_filter_that_is_ignored_gives_no_row_of_another_unit() -> None:
    lookup = Lookup(lambda _: iter([[row("a", 1), "no row", row("b", 2)]]), MATCH, None, whole=False)
    assert lookup.row_of("b") == row("b", 2)
    assert lookup.row_of("c") is None


def test_odd_rows_harm_nothing() -> None:
    account = Account("text", None, {"number": 1}, {"call": 7}, {"call": None}, row("a", 1))
    with account.lookup(NOW) as lookup:
        assert lookup.row_of("a") == row("a", 1)


def test_a_walk_that_fails_is_the_error_of_every_unit_and_is_not_repeated() -> None:
    account = Account(*(row(str(number), number) for number in range(6)), broken_at=1)
    with account.lookup() as lookup:
        for call in ("0", "5"):
            with pytest.raises(PassingError, match="broken"):
                lookup.row_of(call)
    assert account.asked == [0]
