"""What every provider's requests have in common when something goes wrong: who is told what, and what is tried again."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import requests_mock

from unit_tests.examples import CASES, DETAILS, LISTS, Case, a_detail, a_list, config, first_of_each
from unit_tests.harness import Connector

TRIES = 6
every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_list = pytest.mark.parametrize("case", LISTS, ids=str)
# A listing and a detail of each provider: what is asked of them is defined per provider, not per stream.
SAMPLE = first_of_each(LISTS) + first_of_each(DETAILS)
every_kind = pytest.mark.parametrize("case", SAMPLE, ids=str)


@every_case
def test_a_good_answer_is_one_request_and_one_record(
    case: Case, connector: Connector, api: requests_mock.Mocker
) -> None:
    """The ground that the other tests stand on: their answers are wrong in one respect only."""
    api.get(case.url, json=case.answer)

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 0
    assert len(output.records(case.stream)) == 1
    assert output.ended(case.stream) == "COMPLETE"
    assert api.call_count == 1


@pytest.mark.parametrize(
    ("case", "status"), [(case, 401) for case in CASES] + [(case, 403) for case in SAMPLE], ids=str
)
def test_a_rejected_credential_is_a_config_error_at_once(
    case: Case, status: int, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """401 and 403 do not mend themselves -> one request, no wait -> the message names provider and key."""
    api.get(case.url, status_code=status, json={"message": "no"})

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 1
    assert output.ended(case.stream) == "INCOMPLETE"
    error = output.errors[0]
    assert error["failure_type"] == "config_error"
    assert case.owner.title in error["message"]
    assert f"`{case.key}`" in error["message"]
    assert "{{" not in error["message"]
    assert not error.get("stack_trace")
    assert "Traceback" not in " ".join(output.logs())
    assert api.call_count == 1
    assert naps == []


Answers = list[dict[str, Any]]
PASSING_FAULTS: dict[str, dict[str, Any]] = {
    "408": {"status_code": 408},
    "500": {"status_code": 500, "json": {"message": "oops"}},
    "502": {"status_code": 502, "text": "<html>Bad gateway</html>"},
    "503": {"status_code": 503, "text": ""},
    "504": {"status_code": 504},
    "520": {"status_code": 520},
    "no connection": {"exc": requests.exceptions.ConnectionError("refused")},
    "broken connection": {"exc": requests.exceptions.ChunkedEncodingError("IncompleteRead")},
    "connect time-out": {"exc": requests.exceptions.ConnectTimeout("slow")},
    "read time-out": {"exc": requests.exceptions.ReadTimeout("slow")},
    "cut JSON": {"text": '{"data": [{"id": "1", '},
    "no JSON": {"text": "<html>Welcome to the hotel WLAN</html>"},
    "empty body": {"text": ""},
    "other JSON": {"text": '{"unexpected": true}'},
    "JSON null": {"text": "null"},
    "JSON list": {"text": "[]"},
    "JSON text": {"text": '"maintenance"'},
}
every_fault = pytest.mark.parametrize("fault", PASSING_FAULTS)


@pytest.mark.parametrize("first", range(0, len(PASSING_FAULTS), 5))
@pytest.mark.parametrize("case", [a_list("quo_calls"), a_detail("bota_recordings")], ids=str)
def test_passing_faults_cost_waits_and_nothing_else(
    case: Case, first: int, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """Server errors, broken connections and cut answers pass -> asked again after a wait -> nothing is missing."""
    faults = list(PASSING_FAULTS.values())[first : first + 5]
    api.get(case.url, [*faults, {"json": case.answer}])

    output = connector.read(case.config, case.stream)

    assert (output.exit_code, output.errors) == (0, [])
    assert len(output.records(case.stream)) == 1
    assert api.call_count == len(faults) + 1
    assert len(naps) == len(faults)
    assert naps[0] >= 1 and naps == sorted(naps) and sum(naps) < 120


LASTING = ["500", "no connection", "read time-out", "cut JSON"]


@pytest.mark.parametrize(
    ("case", "last"), [(case, LASTING[number % len(LASTING)]) for number, case in enumerate(CASES)], ids=str
)
def test_a_lasting_fault_ends_the_stream_incomplete_and_says_so(
    case: Case, last: str, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """A request that fails for good -> INCOMPLETE, never silently complete -> the message says who did not answer."""
    api.get(case.url, [PASSING_FAULTS[fault] for fault in (*LASTING, last)])

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 1
    assert output.records(case.stream) == []
    assert output.ended(case.stream) == "INCOMPLETE"
    assert "config_error" not in {error["failure_type"] for error in output.errors}
    error = output.errors[0]
    assert case.owner.title in error["message"]
    assert case.stream in error["message"]
    assert api.call_count == TRIES
    assert len(naps) == TRIES - 1
    assert sum(naps) < 120


@every_fault
def test_every_lasting_fault_fails(fault: str, connector: Connector, api: requests_mock.Mocker) -> None:
    case = a_list("amigo_calls")
    api.get(case.url, [PASSING_FAULTS[fault]])

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 1
    assert output.ended(case.stream) == "INCOMPLETE"
    assert api.call_count == TRIES


@every_kind
def test_429_waits_as_long_as_retry_after_says(
    case: Case, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """Retry-After is in seconds -> that long (and up to a second of safety), then on with the sync."""
    refusal = {"status_code": 429, "headers": {"Retry-After": "17"}, "json": {"message": "slow"}}
    api.get(case.url, [refusal, {"json": case.answer}])

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 0
    assert len(output.records(case.stream)) == 1
    assert [17 <= nap <= 18.5 for nap in naps] == [True]


@every_kind
def test_429_without_a_header_backs_off_exponentially(
    case: Case, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """Bird, Quo and Tether document no Retry-After -> each wait is longer, with jitter -> the sync goes on."""
    refusals = [{"status_code": 429, "json": {"message": "slow"}}] * 4
    api.get(case.url, [*refusals, {"json": case.answer}])

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 0
    assert len(output.records(case.stream)) == 1
    assert len(naps) == 4
    assert naps[3] > 4 * naps[0] - 10 and naps[3] > naps[2] > naps[0]
    assert all(nap != int(nap) for nap in naps), "without jitter all workers come back at once"


@pytest.mark.parametrize("header", ["Retry-After", None])
@pytest.mark.parametrize("case", [a_list("quo_calls"), a_detail("quo_call_recordings")], ids=str)
def test_many_429_in_a_row_do_not_fail_the_sync(
    case: Case, header: str | None, connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """Other programs may use up the same key's limit for minutes -> a 429 is no failure -> the sync goes on."""
    refusal: dict[str, Any] = {"status_code": 429, "headers": {header: "2"} if header else {}}
    api.get(case.url, [*([refusal] * 9), {"json": case.answer}])

    output = connector.read(case.config, case.stream)

    assert (output.exit_code, output.errors) == (0, [])
    assert len(output.records(case.stream)) == 1
    assert len(naps) == 9


@pytest.mark.parametrize(
    ("case", "status"),
    [(case, 410) for case in CASES] + [(a_list("amigo_calls"), status) for status in (409, 418, 451)],
    ids=str,
)
def test_an_undocumented_refusal_is_an_error_not_a_gap(
    case: Case, status: int, connector: Connector, api: requests_mock.Mocker
) -> None:
    """The guard rail of the skips: a status that no document explains must not pass as "no recording"."""
    api.get(case.url, status_code=status, json={"message": "gone for no reason"})

    output = connector.read(case.config, case.stream)

    assert output.exit_code == 1
    assert output.ended(case.stream) == "INCOMPLETE"
    assert output.errors[0]["failure_type"] == "system_error"
    assert case.owner.title in output.errors[0]["message"]
    assert api.call_count == 1


def test_one_provider_failing_does_not_stop_the_others(connector: Connector, api: requests_mock.Mocker) -> None:
    """Contract: one provider failing does not stop the streams of another."""
    for case in LISTS:
        api.get(case.url, json=case.answer)
    api.get(a_list("bird_recordings").url, status_code=401)
    api.get(a_list("bota_recordings").url, status_code=500)
    cases = first_of_each(LISTS)

    output = connector.read(config(*(case.provider for case in cases)), *(case.stream for case in cases))

    assert output.exit_code == 1
    failing = {"bird_recordings", "bota_recordings"}
    for case in cases:
        assert output.ended(case.stream) == ("INCOMPLETE" if case.stream in failing else "COMPLETE")
        assert len(output.records(case.stream)) == (case.stream not in failing)
    said = " ".join(error["message"] for error in output.errors)
    assert "`bird.access_key`" in said and "bota_recordings" in said


def test_the_last_word_is_for_a_person_too(connector: Connector, api: requests_mock.Mocker) -> None:
    """The platform shows one of the errors -> none of them may be a dump of requests, headers and traces."""
    case = a_list("amigo_calls")
    api.get(case.url, status_code=401, json={"detail": "no"}, headers={"X-Internal": "dump"})

    output = connector.read(case.config, case.stream)

    for error in output.errors:
        assert "Amigo" in error["message"]
        assert "X-Internal" not in error["message"] and "AirbyteTracedException" not in str(error)
        assert not error.get("stack_trace")


WRONG_ROWS: list[Any] = [3, "text", []]


@pytest.mark.parametrize(
    ("case", "row"), [*((case, None) for case in LISTS), *((a_list("quo_calls"), row) for row in WRONG_ROWS)], ids=str
)
def test_a_row_that_is_no_object_never_kills_the_process(
    case: Case, row: Any, connector: Connector, api: requests_mock.Mocker
) -> None:
    """A list with a broken row in it -> the good ones come out, or the stream says that it is incomplete."""
    good = case.row
    api.get(case.url, json=case.with_rows(row, good))

    output = connector.read(case.config, case.stream)

    assert output.statuses(case.stream), "the stream's end was never reported"
    assert output.records(case.stream) == [good] or output.exit_code == 1
    for error in output.errors[:1]:
        assert case.owner.title in error["message"]
