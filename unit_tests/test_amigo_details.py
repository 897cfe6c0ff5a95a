"""Details of Amigo's calls: of which calls, by which ID, and when again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests_mock

from unit_tests.examples import config
from unit_tests.harness import CREATED, Connector, Row
from unit_tests.test_amigo import CALLS, call, page

STREAM = "amigo_call_details"
LATE: Row = {
    "call_end_time": "2024-03-02T10:05:00Z",
    "verified_transcript": "hello",
    "quality_score": 0,
    "call_analysis": {},
    "conversation_summary": {},
    "safety_summary": {},
}


def lists(api: requests_mock.Mocker, *calls: Row) -> None:
    """The list; what is not given an answer is not found."""
    api.get(requests_mock.ANY, status_code=404, json={"detail": "Call not found"})
    api.get(CALLS, json=page(list(calls), len(calls)))


def asked(api: requests_mock.Mocker) -> list[str]:
    """The IDs of the details that were asked for."""
    return [r.path.rpartition("/")[2] for r in api.request_history if not r.path.endswith("/calls")]


@pytest.mark.parametrize("status", ["initiated", "ringing", "busy", "no-answer", "canceled", "failed"])
def test_a_call_that_has_not_come_about_costs_no_request(
    status: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    lists(api, call(1, status=status, turns=None), call(2, status=status, turns=9), call(3, turns=0))
    assert connector.read(config("amigo"), STREAM).records(STREAM) == []
    assert asked(api) == []


@pytest.mark.parametrize(
    "fields",
    [{}, {"status": None, "turns": None}, {"status": "in-progress"}, {"status": "unknown", "turns": 1}, {"turns": 7}],
)
def test_a_call_with_a_conversation_is_asked_for_recorded_or_not(
    fields: Row, connector: Connector, api: requests_mock.Mocker
) -> None:
    lists(api, call(1, has_recording=False, **fields))
    detail = {"id": "e1", "call_sid": "CA1", "turns": [{"user_transcript": "音声", "agent_transcript": None}]}
    api.get(f"{CALLS}/CA1", json=detail)

    output = connector.read(config("amigo"), STREAM)

    assert output.records(STREAM) == [{**detail, "call_started_at": CREATED}]
    assert asked(api) == ["CA1"]


def test_by_the_entity_id_where_amigo_wants_that(connector: Connector, api: requests_mock.Mocker) -> None:
    """No document says which ID the path takes -> one request finds out, none goes to waste for the other calls."""
    lists(api, *(call(number) for number in range(40)))
    for number in range(40):
        api.get(f"{CALLS}/e{number}", json={"id": f"e{number}", "call_sid": f"CA{number}"})

    output = connector.read(config("amigo"), STREAM)

    assert sorted(row["id"] for row in output.records(STREAM)) == sorted(f"e{number}" for number in range(40))
    assert sorted(asked(api)) == sorted(["CA0", *(f"e{number}" for number in range(40))])
    assert not [line for line in output.logs() if "skipped" in line]


def test_without_a_sid_by_the_entity_id(connector: Connector, api: requests_mock.Mocker) -> None:
    """call_sid is nullable -> such a call is asked for by what it has, and says nothing about the others."""
    sidless = call(1, call_sid=None)
    del sidless["call_sid"]
    lists(api, call(0, call_sid=None), sidless, call(2), call(3))
    for known in ("e0", "CA2", "CA3"):
        api.get(f"{CALLS}/{known}", json={"id": known})

    output = connector.read(config("amigo"), STREAM)

    assert sorted(row["id"] for row in output.records(STREAM)) == ["CA2", "CA3", "e0"]
    assert sorted(asked(api)) == ["CA2", "CA3", "e0", "e1"]


@pytest.mark.parametrize("status", [404, 422])
def test_not_found_by_either_is_one_skip(status: int, connector: Connector, api: requests_mock.Mocker) -> None:
    lists(api, call(1))
    for known in ("CA1", "e1"):
        api.get(f"{CALLS}/{known}", status_code=status, json={"detail": []})

    output = connector.read(config("amigo"), STREAM)

    assert (output.exit_code, output.errors, output.records(STREAM)) == (0, [], [])
    assert asked(api) == ["CA1", "e1"]
    (line,) = [line for line in output.logs() if "skipped" in line]
    assert "skipped 1 without a record: 1 x Amigo has no details of the call" in line


def test_a_body_without_an_id_is_no_answer(connector: Connector, api: requests_mock.Mocker, naps: list[float]) -> None:
    """Only `id` is required -> without it the answer is broken, and asked for again."""
    lists(api, call(1))
    api.get(f"{CALLS}/CA1", [{"json": {"call_sid": "CA1"}}, {"json": {"id": "e1"}}])
    assert connector.read(config("amigo"), STREAM).records(STREAM) == [{"id": "e1", "call_started_at": CREATED}]
    assert len(naps) == 1


@pytest.fixture
def twice(connector: Connector, api: requests_mock.Mocker) -> Callable[..., int]:
    """Reads the details of one call, and how often they are asked for by a sync after that."""

    def read(detail: Row, **changed: Any) -> int:
        lists(api, call(1, quality_score=0.5))
        api.get(f"{CALLS}/CA1", json={"id": "e1", **detail})
        settings = {**config("amigo"), "lookback_days": 30}
        first = connector.read(settings, STREAM, sync_mode="incremental")
        assert asked(api) == ["CA1"]
        api.get(CALLS, json=page([call(1, quality_score=0.5, **changed)], 1))
        state = first.of("STATE")[-1:]
        connector.read(settings, STREAM, sync_mode="incremental", state=json.loads(json.dumps(state)))
        return len(asked(api)) - 1

    return read


def test_an_answer_that_has_all_is_not_asked_for_again(twice: Callable[..., int]) -> None:
    assert twice(LATE) == 0


@pytest.mark.parametrize("missing", LATE)
def test_one_that_lacks_something_is(missing: str, twice: Callable[..., int]) -> None:
    assert twice({**LATE, missing: None}) == 1


@pytest.mark.parametrize(
    "changed", [{"has_recording": None}, {"turns": 4}, {"escalation_status": "handback"}, {"final_state": "b"}]
)
def test_one_whose_call_has_changed_is(changed: Row, twice: Callable[..., int]) -> None:
    assert twice(LATE, **changed) == 1
