"""Answers that are none, cursors that look like something else, and totals that are wrong: nothing is lost in silence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests_mock

from unit_tests.examples import CASES, Case, config
from unit_tests.harness import Connector, Row
from unit_tests.hostile import ALL_LISTS, List, assert_orderly, field_of, last_states, other_than

pytestmark = pytest.mark.usefixtures("quick_start")

TRIES = 6
MISSING = object()
CURSORS = {"bird": ("nextPageToken", "pageToken"), "quo": ("nextCursor", "after"), "bota": ("next_cursor", "cursor")}

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_list = pytest.mark.parametrize("a_list", ALL_LISTS, ids=str)
cursor_lists = pytest.mark.parametrize("a_list", [a for a in ALL_LISTS if a.case.provider in CURSORS], ids=str)


def bodies_of_other_content(case: Case) -> dict[str, bytes]:
    """JSON that is not what the document promises."""
    field, is_list = field_of(case)
    other = {"id": "x"} if is_list or not field else [{"id": "x"}]
    whole: dict[str, Any] = {
        "null": None,
        "a list": [other],
        "text": "text",
        "a number": 7,
        "true": True,
        "nothing": {},
    }
    if field:
        found = {f"{field} is {name}": {**case.answer, field: value} for name, value in whole.items()}
        found[f"{field} is a list" if is_list else f"{field} is nothing"] = {**case.answer, field: other}
        without = dict(case.answer)
        del without[field]
        whole |= {**found, f"{field} is missing": without}
        if not is_list:
            del whole[f"{field} is nothing"]
    return {name: json.dumps(value).encode() for name, value in whole.items()}


BODIES: dict[str, Callable[[bytes], bytes]] = {
    "a byte that is no UTF-8": lambda good: good[:-1] + b', "note": "J\xfcrgen"}',
    "half a character": lambda good: good[:-1] + b', "note": "\xe2\x82"}',
    "cut": lambda good: good[: len(good) * 2 // 3],
    "its last byte is missing": lambda good: good[:-1],
    "HTML": lambda _: b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "empty": lambda _: b"",
    "blank": lambda _: b" \n",
    "two values": lambda good: good + b"\n" + good,
    "a BOM": lambda good: b"\xef\xbb\xbf" + good,
    "UTF-16": lambda good: good.decode().encode("utf-16"),
    "a byte of zero": lambda good: good + b"\0",
    "gzip, and not said so": gzip.compress,
    "single quotes": lambda good: good.replace(b'"', b"'"),
    "a comma too many": lambda good: good[:-1] + b",}",
    "a line break in a text": lambda good: good[:-1] + b', "note": "a\nb"}',
}


def all_bodies(case: Case) -> dict[str, bytes]:
    good = json.dumps(case.answer).encode()
    return {name: broken(good) for name, broken in BODIES.items()} | bodies_of_other_content(case)


@every_case
def test_a_broken_answer_is_asked_for_again(case: Case, connector: Connector, api: requests_mock.Mocker) -> None:
    """Five broken ones and then a good one -> nothing is missing, and nobody is told."""
    bodies = list(all_bodies(case).values())
    for first in range(0, len(bodies), TRIES - 1):
        broken = bodies[first : first + TRIES - 1]
        api.reset_mock()
        api.get(case.url, [*({"content": body} for body in broken), {"json": case.answer}])

        output = connector.read(case.config, case.stream)

        assert_orderly(output)
        assert (output.exit_code, output.errors) == (0, [])
        assert len(output.records(case.stream)) == 1
        assert api.call_count == len(broken) + 1


@pytest.mark.parametrize(("case", "name"), [(case, name) for case in CASES for name in all_bodies(case)], ids=str)
def test_one_that_stays_broken_ends_its_stream_incomplete(
    case: Case, name: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    """No state, no record; the other provider's stream is complete; the next clean sync has everything."""
    other = other_than(case)
    settings = {**case.config, other.provider: config(other.provider)[other.provider]}
    api.get(other.url, json=other.answer)
    api.get(case.url, content=all_bodies(case)[name])

    output = connector.read(settings, case.stream, other.stream, sync_mode="incremental")

    assert_orderly(output)
    assert output.exit_code == 1
    assert (output.ended(case.stream), output.ended(other.stream)) == ("INCOMPLETE", "COMPLETE")
    assert (len(output.records(case.stream)), len(output.records(other.stream))) == (0, 1)
    assert output.errors[0]["failure_type"] != "config_error"
    assert case.provider.title() in output.errors[0]["message"]
    api.get(case.url, json=case.answer)

    clean = connector.read(settings, case.stream, sync_mode="incremental", state=last_states(output))

    assert clean.exit_code == 0
    assert len(clean.records(case.stream)) == 1


@every_list
@pytest.mark.parametrize("name", ["null", "a byte that is no UTF-8", "cut", "empty"])
def test_a_second_page_that_stays_broken(
    name: str, a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    """What the first page had arrives; the next clean sync has everything."""
    first, second = [a_list.row(1), a_list.row(2)], [a_list.row(3)]
    more: Row = {"total": 3, "has_more": True}
    if a_list.case.provider in CURSORS:
        more = {CURSORS[a_list.case.provider][0]: "page-2", "has_more": True}
    else:
        second = [a_list.row(2), a_list.row(3)]
    pages = [{"json": a_list.page(first, **more)}, {"json": a_list.page(second, total=3)}]
    api.get(a_list.case.url, [pages[0], {"content": all_bodies(a_list.case)[name]}])

    output = connector.read(a_list.case.config, a_list.name, sync_mode="incremental")

    assert_orderly(output)
    assert (output.exit_code, output.ended(a_list.name)) == (1, "INCOMPLETE")
    assert output.records(a_list.name) == first
    api.get(a_list.case.url, pages)

    clean = connector.read(a_list.case.config, a_list.name, sync_mode="incremental", state=last_states(output))

    assert clean.exit_code == 0
    assert clean.records(a_list.name) == [a_list.row(n) for n in (1, 2, 3)]


# --- Cursors --------------------------------------------------------------------------------

TOKENS = [
    "1764057600_12",
    "123e4567",
    "0x1f",
    "1e5",
    "1764057600.50",
    "-0",
    "'a'",
    '"a"',
    "'quoted'",
    "[1,2]",
    '[1764057600,"rec_1"]',
    '{"a": 1}',
    "(1,)",
    "00123",
    "None",
    "null",
    "true",
    "False",
    "NaN",
    "{{ 1 }}",
    "{% raw %}",
    "%7B",
    "a&b=c#d%e+f/g?h",
    "  a b  ",
    "Jürgen 日本 😀",
    "a\nb\tc\x00",
    "\\u0041",
    "=",
    "0",
    "eyJpZCI6MX0=",
    "x" * 4_000,
]


@cursor_lists
def test_a_cursor_goes_back_character_by_character(
    a_list: List, connector: Connector, api: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor is text, whatever it looks like."""
    given, sent = CURSORS[a_list.case.provider]
    pages = [a_list.page([a_list.row(n)], **{given: token}, has_more=True) for n, token in enumerate(TOKENS)]
    api.get(a_list.case.url, [*({"json": page} for page in pages), {"json": a_list.page([a_list.row("last")])}])

    output = connector.read(a_list.case.config, a_list.name)

    queries = [urlsplit(request.url).query for request in api.request_history]
    api.reset_mock()  # there are double braces in one of them
    assert (output.exit_code, output.errors) == (0, [])
    assert len(output.records(a_list.name)) == len(TOKENS) + 1
    assert [parse_qs(query, keep_blank_values=True).get(sent) for query in queries] == [None, *([t] for t in TOKENS)]


@cursor_lists
def test_a_number_of_any_length_goes_back_as_it_came(
    a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    given, sent = CURSORS[a_list.case.provider]
    numbers = ["7", "0", "-3", "9" * 30, "1" + "0" * 5_000]
    texts = [json.dumps(a_list.page([a_list.row(n)], **{given: "@"})).replace('"@"', n) for n in numbers]
    api.get(a_list.case.url, [*({"text": text} for text in texts), {"json": a_list.page([])}])

    output = connector.read(a_list.case.config, a_list.name)

    assert (output.exit_code, output.errors) == (0, [])
    queries = [parse_qs(urlsplit(request.url).query) for request in api.request_history]
    assert [query.get(sent) for query in queries] == [None, *([n] for n in numbers)]


@cursor_lists
@pytest.mark.parametrize("token", ["\ud83d", 1.5, True, ["a"], {"a": 1}])
def test_a_cursor_that_can_not_go_back_is_an_error(
    token: Any, a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    given, _ = CURSORS[a_list.case.provider]
    api.get(a_list.case.url, json=a_list.page([a_list.row(1)], **{given: token}))

    output = connector.read(a_list.case.config, a_list.name)

    assert_orderly(output)
    assert output.ended(a_list.name) == "INCOMPLETE"
    assert output.records(a_list.name) == [a_list.row(1)]
    assert "page cursor" in output.errors[0]["message"]
    assert api.call_count == TRIES
