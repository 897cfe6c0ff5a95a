"""Values that JSON can hardly hold, and times that are none: each row arrives, and each line is strict JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests_mock

from unit_tests.examples import CASES, Case, config
from unit_tests.harness import Connector, Row
from unit_tests.hostile import ALL_DETAILS, ALL_LISTS, DATED_LISTS, Detail, List, assert_orderly, strict

pytestmark = pytest.mark.usefixtures("quick_start")

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_list = pytest.mark.parametrize("a_list", ALL_LISTS, ids=str)
dated_lists = pytest.mark.parametrize("a_list", DATED_LISTS, ids=str)
every_detail = pytest.mark.parametrize("detail", ALL_DETAILS, ids=str)


@dataclass(frozen=True)
class Odd:
    """A value as an answer has it, and as the record has it."""

    raw: str
    value: Any


DEEP = "[" * 1_200 + "]" * 1_200
ODD: dict[str, Odd] = {
    "NaN": Odd("NaN", None),
    "Infinity": Odd("Infinity", None),
    "-Infinity": Odd("-Infinity", None),
    "NaN in a list": Odd('[1, NaN, {"a": NaN}]', [1, None, {"a": None}]),
    "1e999": Odd("1e999", None),
    "-1e999": Odd("-1e999", None),
    "1e-999": Odd("1e-999", 0.0),
    "1e308": Odd("1e308", 1e308),
    "2**63": Odd("9223372036854775808", 9223372036854775808),
    "-2**63 - 1": Odd("-9223372036854775809", -9223372036854775809),
    "20 digits": Odd("18446744073709551616", 18446744073709551616),
    "30 digits": Odd("123456789012345678901234567890", 123456789012345678901234567890),
    "-30 digits": Odd("-123456789012345678901234567890", -123456789012345678901234567890),
    "4,300 digits": Odd("9" * 4_300, int("9" * 4_300)),
    "5,000 digits": Odd("9" * 5_000, "9" * 5_000),
    "half a pair": Odd(r'"a\ud83d"', "a\ud83d"),
    "the other half": Odd(r'"\ude00b"', "\ude00b"),
    "half a pair in a key": Odd(r'{"\ud83d": 1}', {"\ud83d": 1}),
    "a pair": Odd(r'"\ud83d\ude00"', "😀"),
    "NUL": Odd(r'"a\u0000b"', "a\0b"),
    "NUL in a key": Odd(r'{"\u0000": 1}', {"\0": 1}),
    "a key twice": Odd('{"a": 1, "a": 2}', {"a": 2}),
    "no key": Odd('{"": {"": []}}', {"": {"": []}}),
    "100 levels": Odd('{"a": ' * 100 + "1" + "}" * 100, json.loads('{"a": ' * 100 + "1" + "}" * 100)),
    "many rows": Odd(json.dumps([{"a": [n]} for n in range(500)]), [{"a": [n]} for n in range(500)]),
    "a long text": Odd(json.dumps("ü" * 300_000), "ü" * 300_000),
    "a message in a text": Odd(json.dumps('{"type": "STATE"}\n'), '{"type": "STATE"}\n'),
}


def with_odd(case: Case, odd: Mapping[str, str]) -> bytes:
    """The answer with these JSON texts as fields of its one record."""
    text = json.dumps(case.answer)
    names = ('"id": ', '"call_sid": ', '"callId": ', '"entity_id": ', '"recordingId": ')
    place = min((text.rfind(name) for name in names if name in text), default=-1)
    assert place > 0
    fields = "".join(f'"odd {name}": {raw}, ' for name, raw in odd.items())
    return (text[:place] + fields + text[place:]).encode("utf-8", "surrogatepass")


def odd_fields(row: Row) -> Row:
    return {name.removeprefix("odd "): value for name, value in row.items() if name.startswith("odd ")}


@every_case
def test_each_value_is_kept_exactly_or_is_null(case: Case, connector: Connector, api: requests_mock.Mocker) -> None:
    """All in one row."""
    api.get(case.url, content=with_odd(case, {name: odd.raw for name, odd in ODD.items()}))

    output = connector.read(case.config, case.stream)

    assert_orderly(output)
    assert (output.exit_code, output.errors) == (0, [])
    (row,) = output.records(case.stream)
    found = odd_fields(row)
    for name, odd in ODD.items():
        assert found.get(name) == odd.value, name


@pytest.mark.parametrize("number", range(len(ODD)))
def test_each_value_alone(number: int, connector: Connector, api: requests_mock.Mocker) -> None:
    """Of each kind of request in turn: what one value does to the parser must not help another one."""
    name, odd = list(ODD.items())[number]
    case = CASES[number % len(CASES)]
    api.get(case.url, content=with_odd(case, {name: odd.raw}))

    output = connector.read(case.config, case.stream)

    assert_orderly(output)
    (row,) = output.records(case.stream)
    assert odd_fields(row).get(name) == odd.value


@every_case
@pytest.mark.parametrize("levels", [205, 260, 600, 1_200, 50_000])
def test_what_is_nested_too_deep_is_text_from_some_level_on(
    levels: int, case: Case, connector: Connector, api: requests_mock.Mocker
) -> None:
    """Nobody could read such a line; the text has all of it."""
    api.get(case.url, content=with_odd(case, {"deep": "[" * levels + "1" + "]" * levels}))

    output = connector.read(case.config, case.stream)

    assert_orderly(output)
    assert (output.exit_code, output.errors) == (0, [])
    (row,) = output.records(case.stream)
    found, depth = odd_fields(row)["deep"], 0
    while isinstance(found, list):
        found, depth = found[0], depth + 1
    assert depth <= 255
    assert found == (1 if depth == levels else "[" * (levels - depth) + "1" + "]" * (levels - depth))


@every_list
def test_one_row_with_all_of_them_takes_no_other_one_with_it(
    a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    """Also the rows beside it that hold numbers beyond 64 bits, or the same key twice, keep their values."""
    odd = {**{name: odd.raw for name, odd in ODD.items()}, "deep": DEEP}
    row = json.dumps(a_list.row("odd"))[:-1] + "".join(f', "odd {name}": {raw}' for name, raw in odd.items()) + "}"
    twice = json.dumps(a_list.row("-twice")).replace("{", f'{{"{a_list.key}": "x", ', 1)
    good = [json.dumps(a_list.row(number, big=10**30)) for number in range(20)]
    api.get(a_list.case.url, content=a_list.body(*good[:10], row, twice, *good[10:]))

    output = connector.read(a_list.case.config, a_list.name)

    assert_orderly(output)
    assert output.exit_code == 0
    records = output.records(a_list.name)
    expected = [*(f"AC{n}" for n in range(10)), "ACodd", "AC-twice", *(f"AC{n}" for n in range(10, 20))]
    assert [record[a_list.key] for record in records] == expected
    assert [record["big"] for record in records if "big" in record] == [10**30] * 20


@every_detail
def test_odd_values_in_a_list_and_in_its_details(
    detail: Detail, connector: Connector, api: requests_mock.Mocker
) -> None:
    """What waits for its turn is kept on disk, and what is kept of it for good is a hash: both take any value."""
    detail.serve(api, ["AC0", "AC1", "AC2"])
    fields = "".join(f', "odd {name}": {odd.raw}' for name, odd in ODD.items()) + f', "odd deep": {DEEP}'
    others = {"updatedAt": DEEP, "updated_at": "1e999", "completedAt": '"\\ud83d"'}
    fields += "".join(f', "{name}": {raw}' for name, raw in others.items() if name != detail.parent.time)
    rows = [json.dumps(detail.list_row(f"AC{number}", number))[:-1] + fields + "}" for number in range(3)]
    api.get(detail.parent.case.url, content=detail.parent.body(*rows))

    output = connector.read(detail.config, detail.name, sync_mode="incremental")

    assert_orderly(output)
    assert (output.exit_code, output.errors) == (0, [])
    assert output.records(detail.name) == [detail.expected(f"AC{number}", number) for number in range(3)]


@every_case
def test_an_odd_reason_for_a_refusal_is_told(case: Case, connector: Connector, api: requests_mock.Mocker) -> None:
    """What a provider says is quoted: whatever it is, each line stays strict JSON, and the stream's end is told."""
    for reason in (r'"a\ud83d\u0000"', "NaN", '{"a": [1e999]}', DEEP, "9" * 5_000):
        api.get(case.url, status_code=410, text=f'{{"message": {reason}}}')

        output = connector.read(case.config, case.stream)

        assert_orderly(output)
        assert output.exit_code == 1
        assert "HTTP 410" in output.errors[0]["message"]


# --- Times ----------------------------------------------------------------------------------

TIMES: list[Any] = [
    "2026-11-25T08:00:00+24:00",
    "2024-03-02T10:00:00+99:99",
    "2024-03-02T10:00:00-24:00",
    "0000-00-00 00:00:00",
    "0000-01-01T00:00:00Z",
    None,
    "",
    " ",
    "tomorrow",
    "now",
    "10000-01-01T00:00:00Z",
    "+12024-03-02T10:00:00Z",
    "2016-12-31T23:59:60Z",
    "2024-03-02T24:00:01Z",
    "2024-02-30T00:00:00Z",
    "2024-13-01",
    "1e5",
    1e300,
    -1e300,
    10**30,
    True,
    {"seconds": 1},
    [],
    ["2024-03-02"],
    "\ud83d",
    "x" * 10_000,
    "9" * 400,
]
"""None of these is a moment: such a row belongs to any window."""

MOMENTS: list[Any] = [
    "2024-03-02T10:00:00-00:00",
    "2024-03-02T10:00:00+0000",
    "2024-03-02T10:00:00",
    "2024-03-02 10:00:00+00",
    "2024-03-02T10:00:00.123456789Z",
    "2024-03-02T23:59:59.999+14:00",
    "2024-03-02",
    1709373600,
    1709373600.5,
    1709373600000,
    "1709373600",
]

FAR: list[Any] = [
    "1970-01-01T00:00:00Z",
    0,
    -1,
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1900-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-14:00",
    253402300799,
    "2101-01-01T00:00:00Z",
    "\u0662\u0660\u0662\u0664",  # the digits of 2024, and so some minutes of 1970
]
"""Long before and after."""


@dated_lists
def test_a_row_arrives_whatever_its_time_looks_like(
    a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    odd = [*TIMES, *MOMENTS]
    rows = [a_list.row(number, **{a_list.time: time}) for number, time in enumerate(odd)]
    missing = a_list.row("missing")
    del missing[a_list.time]
    api.get(a_list.case.url, json=a_list.page([*rows, missing, a_list.row("good")]))

    output = connector.read(a_list.case.config, a_list.name, sync_mode="incremental")

    assert_orderly(output)
    assert (output.exit_code, output.errors) == (0, [])
    arrived = [row[a_list.key] for row in output.records(a_list.name)]
    assert arrived == [*(row[a_list.key] for row in rows), "ACmissing", "ACgood"]


@dated_lists
def test_a_row_from_long_ago_or_far_ahead_arrives_without_dates(
    a_list: List, connector: Connector, api: requests_mock.Mocker
) -> None:
    """A provider's clock may be wrong: where nobody has set a date, no row is left out for its time."""
    rows = [a_list.row(number, **{a_list.time: time}) for number, time in enumerate(FAR)]
    api.get(a_list.case.url, json=a_list.page([*rows, a_list.row("good")]))
    settings = config(a_list.case.provider)
    del settings["start_date"], settings["end_date"]

    output = connector.read(settings, a_list.name, sync_mode="incremental")

    assert_orderly(output)
    assert (output.exit_code, output.errors) == (0, [])
    assert {row[a_list.key] for row in output.records(a_list.name)} == {*(row[a_list.key] for row in rows), "ACgood"}


@every_detail
def test_details_arrive_whatever_the_time_of_their_row_looks_like(
    detail: Detail, connector: Connector, api: requests_mock.Mocker
) -> None:
    odd = [*TIMES, *MOMENTS, *FAR]
    keys = [f"AC{number}" for number in range(len(odd))]
    rows = [detail.list_row(key, **{detail.parent.time: time}) for key, time in zip(keys, odd, strict=True)]
    missing = detail.list_row("ACmissing")
    del missing[detail.parent.time]
    for key in (*keys, "ACmissing"):
        api.get(detail.url(key), json=detail.answer(key))
    api.get(detail.parent.case.url, json=detail.parent.page([*rows, missing]))
    settings = config(detail.parent.case.provider)
    del settings["start_date"], settings["end_date"]

    output = connector.read(settings, detail.name, sync_mode="incremental")

    assert_orderly(output)
    assert (output.exit_code, output.errors) == (0, [])
    (key,) = detail.stream.primary_key
    expected = {detail.expected(name)[key] for name in (*keys, "ACmissing")}
    assert {row[key] for row in output.records(detail.name)} == expected


# --- Headers of a good answer ----------------------------------------------------------------

VALUES = [
    "98, 998",
    "99.0",
    "unlimited",
    "1764057600000",
    "1764057600.5",
    "2025-11-25T08:00:00Z",
    "Tue, 25 Nov 2025 08:00:00 GMT",
    "",
    " ",
    "-1",
    "NaN",
    "inf",
    "1e300",
    "9" * 400,
    "\xb2",
    "0x10",
    "null",
    "60;w=60",
]
NAMES = [
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-RateLimit-Limit",
    "RateLimit",
    "RateLimit-Reset",
    "Retry-After",
]


@every_case
def test_headers_of_a_good_answer_are_never_an_error(
    case: Case, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """Nor do they make the sync wait."""
    for value in VALUES:
        api.get(case.url, json=case.answer, headers=dict.fromkeys([*NAMES, "Date", "Content-Type"], value))

        output = connector.read(case.config, case.stream)

        assert (output.exit_code, output.errors) == (0, [])
        assert len(output.records(case.stream)) == 1
    assert naps == []


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("header", NAMES)
def test_headers_of_a_refusal_make_no_wait_longer_than_15_minutes(
    status: int, header: str, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    for number, value in enumerate([*VALUES, "99999999", "Wed, 25 Nov 2099 08:00:00 GMT"]):
        case = CASES[number % len(CASES)]
        if case.stream.startswith("amigo_recording") and status == 503:
            case = CASES[0]
        api.get(case.url, [{"status_code": status, "headers": {header: value}}, {"json": case.answer}])

        output = connector.read(case.config, case.stream)

        assert (output.exit_code, output.errors) == (0, [])
        assert len(output.records(case.stream)) == 1
    assert len(naps) == len(VALUES) + 2
    assert all(0 <= nap <= 901 for nap in naps)


def test_strict_refuses_what_is_no_json(connector: Connector) -> None:
    """The measure that the tests above use."""
    output = connector.command("spec")
    strict(output)
    output.text = '{"a": NaN}\n'
    with pytest.raises(AssertionError, match="NaN"):
        strict(output)
