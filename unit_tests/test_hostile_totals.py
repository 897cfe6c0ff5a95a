"""Lists that contradict themselves: every row, or an error that says what is missing."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests_mock

from unit_tests.examples import config
from unit_tests.harness import Connector, Output, Row
from unit_tests.hostile import ALL_DETAILS, ALL_LISTS, DATED_LISTS, List, assert_orderly, last_states, summary_of

TRIES = 6
pytestmark = pytest.mark.usefixtures("quick_start")

BY_NAME = {a_list.name: a_list for a_list in ALL_LISTS}
AMIGO, BOTA, TETHER = BY_NAME["amigo_calls"], BY_NAME["bota_recordings"], BY_NAME["tether_calls"]
every_list = pytest.mark.parametrize("a_list", ALL_LISTS, ids=str)
dated_lists = pytest.mark.parametrize("a_list", DATED_LISTS, ids=str)

Order = Callable[[int], Sequence[Row]]
"""The rows as the n-th request finds them."""


def serve(
    api: requests_mock.Mocker, a_list: List, order: Order, *, ignores_offset: bool = False, **answer: Any
) -> None:
    """Pages by offset, with a true `total` and `has_more` unless `answer` says otherwise."""
    count = iter(range(10**6))

    def page(request: Any, _: object) -> Row:
        query = parse_qs(urlsplit(request.url).query)
        rows = list(order(next(count)))
        limit = int(query["limit"][0])
        offset = 0 if ignores_offset else int(query.get("offset", ["0"])[0])
        end = offset + limit
        return a_list.page(rows[offset:end], **{"total": len(rows), "has_more": end < len(rows), **answer})

    api.get(a_list.case.url, json=page)


def keys(a_list: List, output: Output) -> list[str]:
    return [row[a_list.key] for row in output.records(a_list.name)]


def assert_all_or_told(a_list: List, rows: Sequence[Row], output: Output) -> None:
    """No row twice; and all of them, or an error that has the total and how many came."""
    assert_orderly(output)
    found = keys(a_list, output)
    assert len(found) == len(set(found))
    if output.exit_code == 0:
        assert set(found) == {row[a_list.key] for row in rows if a_list.key in row}
    else:
        assert output.ended(a_list.name) == "INCOMPLETE"
        assert f"has {len(rows):,} rows" in output.errors[0]["message"]
        assert "came" in output.errors[0]["message"]


# --- Amigo: has_more and the token decide ---------------------------------------------------


@pytest.mark.parametrize("total", [200, 100, 1, 0, -1, 349, 350, None, "350", "many", True, 350.0, [], {}])
def test_a_total_that_is_too_small_or_none_ends_nothing(
    total: Any, connector: Connector, api: requests_mock.Mocker
) -> None:
    rows = [AMIGO.row(number) for number in range(350)]
    serve(api, AMIGO, lambda _: rows, total=total)

    output = connector.read(config("amigo"), AMIGO.name)

    assert (output.exit_code, output.errors) == (0, [])
    assert keys(AMIGO, output) == [row[AMIGO.key] for row in rows]
    assert api.call_count <= 5


@pytest.mark.parametrize("has_more", [False, None, "no"])
def test_a_token_alone_means_more(has_more: Any, connector: Connector, api: requests_mock.Mocker) -> None:
    rows = [AMIGO.row(number) for number in range(150)]

    def page(request: Any, _: object) -> Row:
        offset = int(parse_qs(urlsplit(request.url).query).get("offset", ["0"])[0])
        token = offset + 100 if offset + 100 < len(rows) else None
        return AMIGO.page(rows[offset : offset + 100], total=0, has_more=has_more if token else False) | {
            "continuation_token": token
        }

    api.get(AMIGO.case.url, json=page)

    output = connector.read(config("amigo"), AMIGO.name)

    assert output.exit_code == 0
    assert len(set(keys(AMIGO, output))) == len(keys(AMIGO, output)) == 150


@pytest.mark.parametrize(("a_list", "total"), [(AMIGO, 400), (AMIGO, 351), (TETHER, 351), (TETHER, 100_000)], ids=str)
def test_a_total_that_is_never_reached_is_an_error_after_a_few_requests(
    a_list: List, total: int, connector: Connector, api: requests_mock.Mocker
) -> None:
    """All that there is arrives, and the message compares; the next sync begins again."""
    rows = [a_list.row(number) for number in range(350)]
    serve(api, a_list, lambda _: rows, total=total, has_more=False)

    output = connector.read(a_list.case.config, a_list.name, sync_mode="incremental")

    assert_orderly(output)
    assert output.ended(a_list.name) == "INCOMPLETE"
    assert keys(a_list, output) == [row[a_list.key] for row in rows]
    assert f"has {total:,} rows, and 350 came" in output.errors[0]["message"]
    assert api.call_count < 100
    serve(api, a_list, lambda _: rows)
    clean = connector.read(a_list.case.config, a_list.name, sync_mode="incremental", state=last_states(output))
    assert len(clean.records(a_list.name)) == 350


# --- Tether, and Amigo: a list by offset that does not hold still -----------------------------

offset_lists = pytest.mark.parametrize("a_list", [AMIGO, TETHER], ids=str)


@offset_lists
@pytest.mark.parametrize("seed", range(4))
def test_rows_in_another_order_with_each_request(
    seed: int, a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    chance = random.Random(seed)
    rows = [a_list.row(number) for number in range((60, 120, 330, 500)[seed])]
    serve(api, a_list, lambda _: chance.sample(rows, len(rows)))

    output = connector.read(a_list.case.config, a_list.name)

    assert_all_or_told(a_list, rows, output)
    assert api.call_count < 300


@offset_lists
@pytest.mark.parametrize("ties", [2, 10, 70])
def test_rows_of_one_time_come_in_another_order_with_each_request(
    ties: int, a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    """So databases do without a second sort key."""
    chance = random.Random(ties)
    rows = [a_list.row(number) for number in range(310)]

    def order(_: int) -> list[Row]:
        groups = (rows[first : first + ties] for first in range(0, len(rows), ties))
        return [row for group in groups for row in chance.sample(group, len(group))]

    serve(api, a_list, order)

    assert_all_or_told(a_list, rows, connector.read(a_list.case.config, a_list.name))


@offset_lists
@pytest.mark.parametrize("moved", [49, 50, 99, 100, 149, 150, 309])
def test_a_row_that_moves_to_the_front_between_two_requests(
    moved: int, a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    rows = [a_list.row(number) for number in range(310)]
    changed = [rows[moved], *rows[:moved], *rows[moved + 1 :]]
    for when in (1, 2, 3):
        serve(api, a_list, lambda n, when=when: changed if n >= when else rows)  # type: ignore[misc]

        output = connector.read(a_list.case.config, a_list.name)

        assert_all_or_told(a_list, rows, output)


@offset_lists
@pytest.mark.parametrize("size", [150, 100_000])
def test_an_offset_that_is_ignored_is_an_error(
    size: int, a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    """The same page again and again: after a few requests it is told."""
    rows = [a_list.row(number) for number in range(150)]
    serve(api, a_list, lambda _: rows, ignores_offset=True, total=size, has_more=True)

    output = connector.read(a_list.case.config, a_list.name)

    assert_orderly(output)
    assert output.ended(a_list.name) == "INCOMPLETE"
    assert f"has {size:,} rows" in output.errors[0]["message"]
    assert api.call_count < 100


@offset_lists
@pytest.mark.parametrize("junk", [{}, None, {"note": "no key"}], ids=str)
@pytest.mark.parametrize("size", [30, 140, 260])
def test_rows_without_a_key_among_the_others_are_counted_once(
    size: int, junk: Any, a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    """Each third row, so some stand where two pages meet; the provider counts them in its total."""
    rows: list[Any] = [junk if number % 3 == 2 else a_list.row(number) for number in range(size)]
    serve(api, a_list, lambda _: rows)

    output = connector.read(a_list.case.config, a_list.name)

    assert_orderly(output)
    assert (output.exit_code, output.errors) == (0, [])
    assert keys(a_list, output) == [row[a_list.key] for row in rows if row is not junk]
    assert f"skipped {size // 3} " in summary_of(output, a_list.name)
    assert api.call_count <= 12


@offset_lists
def test_a_page_of_rows_without_a_key_ends_nothing(
    a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    rows: list[Any] = [{} if 30 <= number < 230 else a_list.row(number) for number in range(300)]
    serve(api, a_list, lambda _: rows)

    output = connector.read(a_list.case.config, a_list.name)

    assert output.exit_code == 0
    assert keys(a_list, output) == [row[a_list.key] for row in rows if row]
    assert "skipped 200 " in summary_of(output, a_list.name)


@offset_lists
def test_rows_without_a_key_do_not_hide_that_others_are_missing(
    a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    rows: list[Any] = [{} if number % 5 == 0 else a_list.row(number) for number in range(200)]
    serve(api, a_list, lambda _: rows, ignores_offset=True)

    output = connector.read(a_list.case.config, a_list.name)

    assert output.ended(a_list.name) == "INCOMPLETE"
    assert "has 200 rows" in output.errors[0]["message"]


@offset_lists
def test_keys_that_python_takes_for_one(a_list: List, connector: Connector, api: requests_mock.Mocker) -> None:
    """-1 and -2 have the same hash in Python, and 1 is equal to 1.0 and true."""
    values = [-1, -2, 0, 1, "1", 2**61 - 1, 2**61, 10**30]
    rows = [{**a_list.row(0), a_list.key: value} for value in values]
    serve(api, a_list, lambda _: rows)

    output = connector.read(a_list.case.config, a_list.name)

    assert output.exit_code == 0
    assert keys(a_list, output) == values


# --- Bota: by cursor or by offset, newest first ----------------------------------------------


def test_more_without_a_cursor_and_an_offset_that_is_ignored(connector: Connector, api: requests_mock.Mocker) -> None:
    rows = [BOTA.row(number) for number in range(100)]
    api.get(BOTA.case.url, json=BOTA.page(rows, has_more=True))

    output = connector.read(config("bota"), BOTA.name)

    assert_orderly(output)
    assert output.ended(BOTA.name) == "INCOMPLETE"
    assert "there is more, and does not give it" in output.errors[0]["message"]
    assert set(keys(BOTA, output)) == {row["id"] for row in rows}
    assert api.call_count <= 1 + TRIES


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("year", ["2009", "1970", "0001"])
def test_one_old_row_at_the_end_of_any_page_ends_nothing(
    year: str, size: int, connector: Connector, api: requests_mock.Mocker
) -> None:
    """Also where a page has hardly any other row, or none."""
    odd = {"id": "odd", "created_at": f"{year}-01-01T00:00:00Z"}
    pages = [[*(BOTA.row(f"{page}-{n}") for n in range(size - 1)), {**odd, "id": f"odd-{page}"}] for page in range(3)]
    answers = [BOTA.page(rows, has_more=True, next_cursor=f"c{n}") for n, rows in enumerate(pages)]
    api.get(BOTA.case.url, [*({"json": answer} for answer in answers), {"json": BOTA.page([BOTA.row("last")])}])

    output = connector.read(config("bota"), BOTA.name)

    assert output.exit_code == 0
    assert keys(BOTA, output) == [*(row["id"] for page in pages for row in page[:-1]), "AClast"]


# --- Windows --------------------------------------------------------------------------------


@dated_lists
def test_rows_from_before_2010_come_without_a_start_date(
    a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    times = ["2009-12-31T23:59:59Z", "1999-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"]
    rows = [a_list.row(number, **{a_list.time: time}) for number, time in enumerate(times)]
    window = a_list.stream.window
    assert window

    def page(request: Any, _: object) -> Row:
        is_open = not window.since or window.since not in parse_qs(urlsplit(request.url).query)
        return a_list.page(rows if is_open else [])

    api.get(a_list.case.url, json=page)
    settings = config(a_list.case.provider)
    del settings["start_date"], settings["end_date"]

    output = connector.read(settings, a_list.name, sync_mode="incremental")

    assert output.exit_code == 0
    assert keys(a_list, output) == [row[a_list.key] for row in rows]


EXACT = [a_list for a_list in ALL_LISTS if a_list.stream.window and a_list.stream.window.is_exact]


@pytest.mark.parametrize("a_list", EXACT, ids=str)
@pytest.mark.parametrize("time", ["2009-01-01T00:00:00Z", "2024-03-02T10:00:00Z", "9999-12-31T23:59:59Z", "soon"])
def test_what_a_provider_returns_for_a_window_is_of_that_window(
    time: str, a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    """It may compare another time than the row's own -> the row comes out once, whichever window it is returned for."""
    settings = config(a_list.case.provider)
    del settings["start_date"], settings["end_date"]
    details = [detail for detail in ALL_DETAILS if detail.parent is a_list]
    window = a_list.stream.window
    assert window and window.until
    api.get(a_list.case.url, json=a_list.page([]))
    connector.read(settings, a_list.name)
    bounds = sorted(
        parse_qs(urlsplit(r.url).query)[window.until][0] for r in api.request_history if window.until in r.url
    )
    for position in range(len(bounds)):

        def page(request: Any, _: object, position: int = position) -> Row:
            until = parse_qs(urlsplit(request.url).query)[window.until][0]
            return a_list.page([a_list.row(1, **{a_list.time: time})] if until[:10] == bounds[position][:10] else [])

        api.get(a_list.case.url, json=page)
        for detail in details:
            api.get(detail.url("AC1"), json=detail.answer("AC1"))

        output = connector.read(
            settings, a_list.name, *(detail.name for detail in details), sync_mode="incremental", state=[]
        )

        assert_orderly(output)
        assert (output.exit_code, output.errors) == (0, [])
        assert keys(a_list, output) == ["AC1"]
        for detail in details:
            assert len(output.records(detail.name)) == 1
