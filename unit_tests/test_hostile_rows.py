"""One row that is none, has no key, or fails, takes no other one with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests_mock

from source_recordings.reading.jobs import Jobs
from unit_tests.examples import DETAILS, Case, config
from unit_tests.harness import Connector, Row, without_nulls
from unit_tests.hostile import (
    ALL_DETAILS,
    ALL_LISTS,
    ANSWERS,
    PROVIDERS,
    Detail,
    List,
    asked,
    assert_orderly,
    field_of,
    last_states,
    other_than,
    summary_of,
)

pytestmark = pytest.mark.usefixtures("quick_start")

NO_OBJECTS: list[Any] = [[], [{}], None, 7, 0, 1.5, "row", "", True, False]
NO_KEYS: list[Any] = [None, "", {}, {"id": "x"}, [], ["x"], True, False]

every_list = pytest.mark.parametrize("a_list", ALL_LISTS, ids=str)
every_detail = pytest.mark.parametrize("detail", ALL_DETAILS, ids=str)


def test_every_stream_of_details_is_here() -> None:
    assert set(ANSWERS) == {detail.name for detail in ALL_DETAILS if not detail.stream.operation.text}


def rows_without_key(a_list: List) -> list[Row]:
    missing = a_list.row(0)
    del missing[a_list.key]
    return [{}, missing, *({**missing, a_list.key: key} for key in NO_KEYS)]


@every_list
def test_rows_that_are_none_are_skipped_and_counted(
    a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    """Junk before, between and after good rows -> these all come out, in order, and the other provider's too."""
    junk = [*NO_OBJECTS, *rows_without_key(a_list)]
    good = [a_list.row(number) for number in range(len(junk) + 1)]
    mixed = [junk[0], *(row for pair in zip(good, junk, strict=False) for row in pair), good[-1], junk[-1]]
    other = other_than(a_list.case)
    api.get(a_list.case.url, json=a_list.page(mixed))
    api.get(other.url, json=other.answer)

    output = connector.read(config(a_list.case.provider, other.provider), a_list.name, other.stream)

    assert_orderly(output)
    assert (output.exit_code, output.errors) == (0, [])
    assert output.records(a_list.name) == [without_nulls(row) for row in good]
    assert len(output.records(other.stream)) == 1
    assert output.ended(a_list.name) == "COMPLETE"
    line = summary_of(output, a_list.name)
    assert f"skipped {len(junk) + 2} " in line
    assert f"{len(NO_OBJECTS) + 1} x a row that is no object" in line
    assert f"x a row without {a_list.key}" in line


@pytest.mark.parametrize("number", range(len(NO_OBJECTS) + len(NO_KEYS) + 2))
def test_each_of_them_alone(number: int, connector: Connector, api: requests_mock.Mocker) -> None:
    """Alone among good rows, of each provider in turn."""
    a_list = ALL_LISTS[number % len(ALL_LISTS)]
    junk = [*NO_OBJECTS, *rows_without_key(a_list)][number]
    api.get(a_list.case.url, json=a_list.page([a_list.row(1), junk, a_list.row(2)]))

    output = connector.read(a_list.case.config, a_list.name)

    assert output.exit_code == 0
    assert output.records(a_list.name) == [a_list.row(1), a_list.row(2)]
    assert "skipped 1 " in summary_of(output, a_list.name)


@every_detail
def test_details_are_asked_for_the_good_rows_of_a_list(
    detail: Detail, connector: Connector, api: requests_mock.Mocker
) -> None:
    keys = ["AC1", "AC2", "AC3"]
    detail.serve(api, keys)
    good = [detail.list_row(key, number) for number, key in enumerate(keys)]
    junk = [*NO_OBJECTS, *rows_without_key(detail.parent)]
    mixed = [*junk[:9], good[0], *junk[9:], good[1], None, good[2], {}]
    api.get(detail.parent.case.url, json=detail.parent.page(mixed))

    output = connector.read(detail.config, detail.name)

    assert_orderly(output)
    assert output.exit_code == 0
    assert output.records(detail.name) == [detail.expected(key, number) for number, key in enumerate(keys)]
    assert f"skipped {len(junk) + 2} " in summary_of(output, detail.name)


@pytest.mark.parametrize("case", [case for case in DETAILS if field_of(case)[1]], ids=str)
def test_the_rows_of_an_answer_about_one_call_too(case: Case, connector: Connector, api: requests_mock.Mocker) -> None:
    """Also where the rows stand in a detail's answer."""
    field, _ = field_of(case)
    (good,) = case.answer[field]
    junk = [*NO_OBJECTS, {}, *({**good, "id": key} for key in NO_KEYS)]
    api.get(case.url, json={**case.answer, field: [*junk, good, *junk]})

    output = connector.read(case.config, case.stream)

    assert_orderly(output)
    assert output.exit_code == 0
    assert [row["id"] for row in output.records(case.stream)] == [good["id"]]
    assert f"skipped {2 * len(junk)} " in summary_of(output, case.stream)


@pytest.mark.parametrize(
    "case",
    # Tether's answers have no key: it is the ID that was asked for.
    [case for case in DETAILS if not field_of(case)[1] and case.provider != "tether"],
    ids=str,
)
def test_an_answer_whose_key_is_none_is_no_record(case: Case, connector: Connector, api: requests_mock.Mocker) -> None:
    """An object or a list where the key should be -> no destination could store the row by it."""
    (key,) = PROVIDERS[case.provider].streams[case.stream].primary_key
    for odd in ({"a": 1}, ["x"]):
        answer = json.loads(json.dumps(case.answer))
        (answer.get("data") or answer)[key] = odd
        api.get(case.url, json=answer)

        output = connector.read(case.config, case.stream)

        assert_orderly(output)
        assert (output.exit_code, output.records(case.stream)) == (0, [])
        assert f"1 x a row without {key}" in summary_of(output, case.stream)


@pytest.mark.parametrize("what", ["seeds", "records"])
def test_a_row_that_an_expression_fails_on_takes_no_other_one_with_it(
    what: str, connector: Connector, api: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the error is: the others arrive, the stream is INCOMPLETE, and the next sync reads what was missed."""
    detail = next(detail for detail in ALL_DETAILS if detail.name == "tether_call_recordings")
    stream = detail.name if what == "seeds" else detail.parent.name
    detail.serve(api, ["AC1", "AC2", "AC3"])
    original = getattr(Jobs, what)

    def failing(self: Jobs, names: Any, *more: Any) -> Any:
        row = names if what == "seeds" else names["row"]
        if row["callId"] == "AC2":
            raise ZeroDivisionError
        return original(self, names, *more)

    with monkeypatch.context() as patched:
        patched.setattr(Jobs, what, failing)
        output = connector.read(detail.config, stream, sync_mode="incremental")

    assert_orderly(output)
    assert output.ended(stream) == "INCOMPLETE"
    assert [row["callId"] for row in output.records(stream)] == ["AC1", "AC3"]
    assert "ZeroDivisionError" in output.errors[0]["message"]
    clean = connector.read(detail.config, stream, sync_mode="incremental", state=last_states(output))
    assert "AC2" in [row["callId"] for row in clean.records(stream)]


# --- 403, and one that fails for ever -------------------------------------------------------

KEYS = [f"AC{number}" for number in range(30)]
REFUSED = {"status_code": 403, "json": {"message": "no"}}


@every_detail
def test_403_about_the_seventh_of_thirty_is_a_skip(
    detail: Detail, connector: Connector, api: requests_mock.Mocker
) -> None:
    detail.serve(api, KEYS, AC6=REFUSED)

    output = connector.read(detail.config, detail.name, sync_mode="incremental")

    assert_orderly(output)
    assert (output.exit_code, output.errors) == (0, [])
    expected = [detail.expected(key, number) for number, key in enumerate(KEYS) if key != "AC6"]
    assert output.records(detail.name) == expected
    assert "skipped 1 " in summary_of(output, detail.name)
    assert [line for line in output.logs("WARN") if "403" in line and detail.name in line]


@every_detail
def test_403_about_the_first_is_the_credentials(
    detail: Detail, connector: Connector, api: requests_mock.Mocker
) -> None:
    """Before any answer nothing tells one recording's 403 from a key's -> one request, a config error."""
    detail.serve(api, KEYS, **dict.fromkeys(KEYS, REFUSED))

    output = connector.read(detail.config, detail.name, sync_mode="incremental")

    assert output.ended(detail.name) == "INCOMPLETE"
    assert {error["failure_type"] for error in output.errors} == {"config_error"}
    assert len(asked(api, detail)) == 1


FAILURES: dict[str, Row] = {
    "500": {"status_code": 500},
    "410": {"status_code": 410},
    "no JSON": {"text": "<html>"},
    "a byte that is no UTF-8": {"content": b'{"id": "\xff"}'},
    "other content": {"json": {}},
    "no object": {"json": []},
}


@pytest.mark.parametrize(
    ("detail", "failure"),
    [
        (detail, failure)
        for detail in ALL_DETAILS
        for failure in FAILURES
        # Any text is an answer where text is asked for.
        if not detail.stream.operation.text or failure in ("500", "410", "a byte that is no UTF-8")
    ],
    ids=str,
)
def test_one_that_fails_for_good_costs_the_next_sync_one_request(
    failure: str, detail: Detail, connector: Connector, api: requests_mock.Mocker
) -> None:
    """All others arrive, the stream is INCOMPLETE; the next sync asks for that one alone, as all are older than the
    look-back.
    """
    detail.serve(api, KEYS[:9], AC4=FAILURES[failure])
    first = connector.read(detail.config, detail.name, sync_mode="incremental")

    assert_orderly(first)
    assert (first.exit_code, first.ended(detail.name)) == (1, "INCOMPLETE")
    keys = {number: key for number, key in enumerate(KEYS[:9]) if key != "AC4"}
    assert first.records(detail.name) == [detail.expected(key, number) for number, key in keys.items()]

    for _ in range(2):
        api.reset_mock()
        again = connector.read(detail.config, detail.name, sync_mode="incremental", state=last_states(first))
        assert again.ended(detail.name) == "INCOMPLETE"
        assert set(asked(api, detail)) == {detail.url("AC4")}
        first = again

    api.reset_mock()
    detail.serve(api, KEYS[:9])
    clean = connector.read(detail.config, detail.name, sync_mode="incremental", state=last_states(first))

    assert clean.exit_code == 0
    assert clean.records(detail.name) == [detail.expected("AC4", 4)]
    assert asked(api, detail) == [detail.url("AC4")]
