"""Details of a call at Amigo: by which ID they are found, and how they hang together with the list and the timeline."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integration_tests.documents.client import Client, Row


def asked_by(client: Client, field: str) -> list[tuple[Row, int, Row]]:
    """Every call that the list names by this field, and what its details answer."""
    path = client.path("amigo_calls")[1]
    calls = [row for row in client.list("amigo_calls", {"limit": 100}) if row.get(field)]
    answers = [(row, client.ask("amigo", f"{path}/{row[field]}")) for row in calls]
    return [(row, answer.status_code, answer.json()) for row, answer in answers]


@pytest.mark.parametrize("known_by", ["call_sid", "entity_id", "both"])
def test_which_id_the_path_takes_is_a_knob(make: Callable[..., Client], known_by: str) -> None:
    client = make(size=200, amigo_call_id=known_by)
    for field in ("call_sid", "entity_id"):
        found = asked_by(client, field)
        good = known_by in (field, "both")
        assert {status for _, status, _ in found} == ({200} if good else {404})
        for row, _, detail in found:
            assert detail == {"detail": "Call not found"} or detail["id"] == row["entity_id"]
    sidless = {row["entity_id"] for row in client.list("amigo_calls") if not row.get("call_sid")}
    truth = {key for (key,) in client.sandbox.truth("amigo_call_details")}
    assert sidless
    assert bool(truth & sidless) == (known_by != "call_sid")


def test_details_say_what_the_list_says(make: Callable[..., Client]) -> None:
    client = make(size=200)
    shared = {
        "call_sid", "direction", "phone_number", "caller_id", "status", "quality_score", "final_state",
        "completion_reason", "service_id", "source", "run_id", "parent_session_id", "fork_turn_index",
    }  # fmt: skip
    for row, _, detail in asked_by(client, "call_sid"):
        assert {name: detail.get(name) for name in shared} == {name: row.get(name) for name in shared}
        assert detail["has_recording"] == bool(row.get("has_recording"))
        assert detail.get("call_start_time") == row.get("started_at")
        turns = detail.get("turns", [])
        if row["status"] in ("completed", "unknown"):
            assert len(turns) == row["turns"]
        elif row["status"] != "in-progress":
            assert turns == [] and not detail.get("human_segments")
        if detail.get("human_segments"):
            assert row["escalation_status"] in ("connected", "handback")
        assert (detail.get("call_end_time") is None) == (row["status"] in ("initiated", "ringing", "in-progress"))


def test_a_timeline_is_about_the_turns(make: Callable[..., Client]) -> None:
    timelines = 0
    for _, _, detail in asked_by(make(size=200), "call_sid"):
        timeline = detail.get("timeline")
        if not timeline:
            continue
        timelines += 1
        turns = detail.get("turns", [])
        assert [place["turn_index"] for place in timeline["turns"]] == list(range(len(turns)))
        spoken = {"agent_speech", "greeting", "interrupted_speech"}
        for segment in timeline["segments"]:
            turn = turns[segment["turn_index"]]
            assert 0 <= segment["start"] < segment["end"] <= timeline["duration_seconds"] + 1e-6
            assert (segment["type"] == "caller_speech") <= (turn["user_transcript"] is not None)
            assert (segment["type"] in spoken) <= (turn["agent_transcript"] is not None)
    assert timelines > 50
