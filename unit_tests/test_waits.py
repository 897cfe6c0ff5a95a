"""Headers about limits and waits, in any form: no error on a good answer, no wait over 15 minutes, the right name for it."""

from __future__ import annotations

import pytest
import requests
import requests_mock

from source_recordings.files.source import _retry_after
from source_recordings.http import waits
from source_recordings.http.asking import ask
from unit_tests.examples import LISTS, Case, a_list
from unit_tests.harness import Connector
from unit_tests.parts import URL, an_asking

QUO = a_list("quo_calls")

NUMBERS = [
    "0",
    "99",
    "99.0",
    "98, 998",
    "-5",
    "+5",
    "1e300",
    "NaN",
    "inf",
    "-inf",
    "0x10",
    "9" * 400,
    "\u0663",
    "1_000",
]
WORDS = ["", " ", "unlimited", "soon", "None", "null", "{}", "60;w=1", '"default";r=50;t=30', "\x7f"]
TIMES = [
    "1764057600",
    "1764057600000",
    "1764057600.5",
    "1764057600000000000",
    "2025-11-25T08:00:00Z",
    "2099-11-25T08:00:00+24:00",
    "9999-12-31T23:59:59Z",
    "0000-00-00 00:00:00",
    "Wed, 25 Nov 2099 08:00:00 GMT",
    "Wed, 25 Nov 2099 08:00:00 -0000",
    "Wed, 25 Nov 0001 08:00:00 +2359",
    "Thu, 99 Nov 2026 25:00:00",
    "99999999",
]
VALUES = [*NUMBERS, *WORDS, *TIMES]
HEADERS = [
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-RateLimit-Limit",
    "RateLimit",
    "RateLimit-Reset",
    "Retry-After",
]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_no_header_of_a_good_answer_is_an_error(value: str, api: requests_mock.Mocker, naps: list[float]) -> None:
    api.get(URL, json={"id": "a"}, headers=dict.fromkeys(HEADERS, value))

    assert ask(an_asking()).value == {"id": "a"}
    assert naps == []


@pytest.mark.parametrize("case", LISTS, ids=str)
@pytest.mark.parametrize("value", ["98, 998", "unlimited", "1764057600000", "2025-11-25T08:00:00Z"])
def test_rows_arrive_whatever_the_headers_say(
    value: str, case: Case, connector: Connector, api: requests_mock.Mocker
) -> None:
    api.get(case.url, json=case.answer, headers=dict.fromkeys(HEADERS, value))

    output = connector.read(case.config, case.stream)

    assert (output.exit_code, output.errors) == (0, [])
    assert len(output.records(case.stream)) == 1


@pytest.mark.parametrize("header", ["Retry-After", "X-RateLimit-Reset"])
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_no_wait_is_longer_than_15_minutes(
    value: str, status: int, header: str, api: requests_mock.Mocker, naps: list[float]
) -> None:
    api.get(URL, [{"status_code": status, "headers": {header: value}}, {"json": {"id": "a"}}])

    assert ask(an_asking()).value == {"id": "a"}
    assert len(naps) == 1 and 0 <= naps[0] <= waits.LONGEST + 1


def test_no_wait_for_a_file_s_host_is_longer_than_15_minutes() -> None:
    for value in [*VALUES, "9999", "899"]:
        response = requests.Response()
        response.headers["Retry-After"] = value
        wait = _retry_after(response)
        assert wait is None or 0 <= wait <= waits.LONGEST + 1, value
    assert 899 <= (wait or 0) <= 900


@pytest.mark.parametrize(
    ("status", "said"), [(429, "asks to slow down (HTTP 429)"), (503, "is not available (HTTP 503)")]
)
def test_a_long_wait_is_told_by_its_right_name(
    status: int, said: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    refusal = {"status_code": status, "headers": {"Retry-After": "600"}}
    api.get(QUO.url, [refusal, refusal, refusal, {"json": QUO.answer}])

    output = connector.read(QUO.config, QUO.stream)

    told = [line for line in output.logs() if "asked again in" in line]
    assert len(told) == 1
    assert told[0].startswith(f"Quo {said}: it is asked again in 60")
    if status == 503:
        assert "rate limit" not in output.said.lower() and "slow down" not in output.said


def test_a_short_wait_is_not_told(connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(QUO.url, [{"status_code": 429, "headers": {"Retry-After": "2"}}, {"json": QUO.answer}])

    assert not [line for line in connector.read(QUO.config, QUO.stream).logs() if "asked again" in line]
