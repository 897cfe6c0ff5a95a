"""The mapping of each provider's rows to those that are the same for all: every status, any value, and states."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests_mock
from hypothesis import given
from hypothesis import strategies as st

from source_recordings.http.answers import parsed
from source_recordings.http.client import Client, Gate
from source_recordings.http.pace import Pace
from source_recordings.http.shared import Answers
from source_recordings.provider import Provider, Stream
from source_recordings.provider_yaml import BadProvider, load_provider, load_providers
from source_recordings.reading.jobs import Connection, Jobs
from source_recordings.tally import Tally
from source_recordings.unified import UNIFIED, only, seconds
from unit_tests.examples import LISTS, config, section
from unit_tests.fuzzing import HOSTILE, of_schema
from unit_tests.harness import Connector, Row
from unit_tests.hostile import VTT, strict
from unit_tests.parts import some_pools

REPOSITORY = Path(__file__).parent.parent
PROVIDERS = load_providers()
PARTS = [part for provider in PROVIDERS.values() for part in provider.unified.values()]
every_part = pytest.mark.parametrize(
    ("provider", "part"),
    [(provider, part) for provider in PROVIDERS.values() for part in provider.unified.values()],
    ids=lambda value: value.name,
)
ODD = [value for raw in HOSTILE if len(raw) < 1000 for value in [parsed(raw.encode())]]
STATUSES = {"pending", "available", "unavailable"}
WORDS = {
    "status": STATUSES,
    "direction": {"inbound", "outbound"},
    "speaker_role": {"agent", "customer"},
    "speaker_basis": {"phone", "user", "diarization", "channel"},
    "offset_basis": {"recording_start", "call_start", "media_start", "synthetic"},
}
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def shaped(provider: Provider, part: Stream, row: Mapping[str, Any], parent: Mapping[str, Any]) -> list[Row]:
    """What the row becomes."""
    names = {"config": section(provider.name), "quirks": provider.quirks, "row": row, "parent": parent, "id": "x"}
    with some_pools(1) as pools:
        client = Client(
            provider, {**section(provider.name), "base_url": "https://api.example.com"}, Gate(1), 1, Pace(None)
        )
        connection = Connection(provider, client.names["config"], client, Answers(), pools)
        return list(Jobs(connection, part, Tally(part.name), None).records(names))


def test_every_provider_has_its_part_in_each() -> None:
    assert all(provider.unified.keys() == UNIFIED.keys() for provider in PROVIDERS.values())


@every_part
@given(data=st.data())
def test_any_row_becomes_rows_of_the_schema(provider: Provider, part: Stream, data: st.DataObject) -> None:
    """Nulls, other types, unknown values, hostile ones -> a row of documented fields and types, or none; never an error."""
    base = provider.streams[str(part.base)]
    root = provider.root_of(base)
    chance = Random(data.draw(st.integers(0, 2**32)))
    row, parent = of_schema(base.schema, chance), of_schema(root.schema, chance)
    for found in (row, parent):
        for name in chance.sample(sorted(found), min(len(found), chance.randint(0, 3))):
            found[name] = chance.choice(ODD)
    row[base.primary_key[0]] = "key"
    if base.operation.text:
        row[base.operation.text] = chance.choice([VTT, "", "no WebVTT"])

    for unified in shaped(provider, part, row, parent):
        assert_of_the_schema(part, unified)
        assert unified["provider"] == provider.name


def assert_of_the_schema(part: Stream, row: Row) -> None:
    types: dict[str, tuple[type, ...]] = {"string": (str,), "number": (int, float), "integer": (int,)}
    for name, value in row.items():
        form = part.schema["properties"][name]
        (kind,) = (kind for kind in form["type"] if kind != "null")
        assert isinstance(value, types[kind]) and not isinstance(value, bool), (name, value)
        if form.get("format") == "date-time":
            assert UTC.fullmatch(str(value)), (name, value)
        if name in WORDS:
            assert value in WORDS[name], (name, value)
    assert all(row[key] not in (None, "") for key in part.primary_key)


def documented_statuses(provider: str) -> set[str]:
    """Of the recordings, as the provider's document lists them: the list that has the status which nothing else has."""
    file = REPOSITORY / "sandbox" / "documents" / f"{provider}.json"
    found = list(enums(json.loads(file.read_text(encoding="utf-8"))))
    return next(set(values) for values in found if OF_RECORDINGS[provider] in values)


OF_RECORDINGS = {"bird": "ongoing", "quo": "stopping", "bota": "integrity_failure"}


def enums(document: Any) -> Iterator[list[str]]:
    if isinstance(document, dict):
        if isinstance(document.get("enum"), list):
            yield document["enum"]
        document = list(document.values())
    if isinstance(document, list):
        for inner in document:
            yield from enums(inner)


@pytest.mark.parametrize("name", OF_RECORDINGS)
def test_every_documented_status_has_a_word(name: str) -> None:
    part = PROVIDERS[name].unified["recordings"]
    assert part.shape
    words = part.shape.fields["status"].words
    assert words
    assert documented_statuses(name) - {None} <= words.keys()
    assert set(words.values()) == STATUSES
    for status in [*words, "brand-new", None, 7, ["available"]]:
        (row,) = shaped(PROVIDERS[name], part, {"id": "r1", "status": status}, {"createdAt": "2024-03-02T10:00:00Z"})
        assert row.get("status") == (words.get(status) if isinstance(status, str) else None)
        assert row.get("provider_status") == (
            status if isinstance(status, str) else {7: "7"}.get(status if status == 7 else 0)
        )


@pytest.mark.parametrize(
    ("direction", "calling", "called"),
    [("inbound", "+other", "+own"), ("outbound", "+own", "+other"), ("playground", None, None), (None, None, None)],
)
def test_who_called_whom_at_amigo(direction: str | None, calling: str | None, called: str | None) -> None:
    amigo = PROVIDERS["amigo"]
    call = {"direction": direction, "phone_number": "+own", "caller_id": "+other", "started_at": "2024-03-02T10:00:00Z"}
    (row,) = shaped(amigo, amigo.unified["recordings"], {"call_sid": "CA1"}, call)
    assert (row.get("from_number"), row.get("to_number")) == (calling, called)
    assert row.get("direction") == (direction if calling else None)
    assert row["channels"] == 2


def test_a_call_of_several_people_has_no_one_number_at_quo() -> None:
    quo = PROVIDERS["quo"]
    own, one, two = ({"phoneNumber": n, "actorId": a} for n, a in (("+own", "US1"), ("+1", None), ("+2", None)))
    for participants, numbers in (([own, one], ("+1", "+own")), ([own, one, two], (None, "+own")), ([], (None, None))):
        call = {"direction": "incoming", "participants": participants}
        (row,) = shaped(quo, quo.unified["recordings"], {"id": "CR1", "callId": "AC1"}, call)
        assert (row.get("from_number"), row.get("to_number")) == numbers


def test_what_is_said_at_amigo_has_the_seconds_of_the_timeline_only() -> None:
    amigo = PROVIDERS["amigo"]
    row = {
        "id": "d1",
        "call_sid": "CA1",
        "turns": [
            {"agent_transcript": "Hello.", "agent_speech_start_ms": 7},
            "no turn",
            {"user_transcript": "Hi.", "agent_transcript": "How can I help?", "stt_confidence": 0.5},
            {"user_transcript": ""},
        ],
        "human_segments": [
            {"speaker_role": "operator", "transcript": "I take over.", "timestamp": "2024-03-02T10:00:00Z"}
        ],
        "timeline": {
            "timebase": {"origin": "call_start"},
            "segments": [
                {"type": "greeting", "turn_index": 0, "start": 0.5, "end": 1.5},
                {"type": "agent_speech", "turn_index": 2, "start": 4.0, "end": 5.0},
                {"type": "agent_speech", "turn_index": 2, "start": 3.0, "end": 4.5},
                {"type": "silence", "turn_index": 2, "start": 0.0, "end": 9.0},
                {"type": "caller_speech", "turn_index": 2, "start": "soon", "end": 9.0},
            ],
        },
    }
    found = shaped(amigo, amigo.unified["utterances"], row, {"started_at": "2024-03-02T10:00:00Z"})
    short = [
        (
            u["position"],
            u["speaker"],
            u["speaker_role"],
            u["text"],
            u.get("start_seconds"),
            u.get("end_seconds"),
            u.get("offset_basis"),
        )
        for u in found
    ]
    assert short == [
        (0, "agent", "agent", "Hello.", 0.5, 1.5, "call_start"),
        (1, "user", "customer", "Hi.", None, None, None),
        (2, "agent", "agent", "How can I help?", 3.0, 5.0, "call_start"),
        (3, "operator", "agent", "I take over.", None, None, None),
    ]
    assert [u.get("confidence") for u in found] == [None, 0.5, None, None]


def test_a_form_of_transcript_that_no_document_shows_gives_no_rows() -> None:
    tether = PROVIDERS["tether"]
    pieces = [
        {"role": "agent", "message": "Hello.", "timestamp": 0.5},
        {"speaker": 1, "text": "another form"},
        "text",
        None,
        {"role": "user", "message": "Hi.", "timestamp": "0:02"},
    ]
    found = shaped(tether, tether.unified["utterances"], {"callId": "c1", "transcriptionData": pieces}, {})
    assert [(u["position"], u["speaker_role"], u["text"], u.get("start_seconds")) for u in found] == [
        (0, "agent", "Hello.", 0.5),
        (1, "customer", "Hi.", None),
    ]


def test_the_helpers() -> None:
    assert [only(v) for v in (["a", "a", None], ["a", "b"], [], None)] == ["a", None, None, None]
    assert [seconds(v) for v in (1500, 0, None, "7", True)] == [1.5, 0.0, None, None, None]


# --- States ---------------------------------------------------------------------------------


def quiet(api: requests_mock.Mocker) -> None:
    """Every provider has an empty list."""
    for case in LISTS:
        api.get(case.url, json=case.with_rows(**({"total": 0} if "total" in case.answer else {})))


def state_of(value: Any) -> list[Row]:
    return [{"type": "STREAM", "stream": {"stream_descriptor": {"name": "recordings"}, "stream_state": value}}]


def last_state(messages: list[Row]) -> Row:
    found: Row = [m for m in messages if m["type"] == "STATE"][-1]["state"]["stream"]["stream_state"]
    return found


def test_the_state_of_a_provider_that_is_not_connected_is_kept(connector: Connector, api: requests_mock.Mocker) -> None:
    quiet(api)
    theirs = {"state_type": "date-range", "slices": [{"start": "2024-01-01T00:00:00Z", "end": "2024-03-01T00:00:00Z"}]}

    output = connector.read(
        config("quo"),
        "recordings",
        sync_mode="incremental",
        state=state_of({"providers": {"bird": theirs, "former": {}}}),
    )

    found = last_state(strict(output))["providers"]
    assert (found["bird"], found["former"]) == (theirs, {})
    assert found.keys() == {"bird", "former", "quo"}


@pytest.mark.parametrize(
    "value",
    [{"providers": []}, {"providers": {"quo": 7}}, {"other": {}}, {"providers": {"quo": {"x": 1}}}],
    ids=json.dumps,
)
def test_a_state_that_is_none_is_told(value: Any, connector: Connector, api: requests_mock.Mocker) -> None:
    quiet(api)

    output = connector.read(config("quo"), "recordings", sync_mode="incremental", state=state_of(value))

    assert output.exit_code == 1
    assert any("The saved state of stream recordings can't be read" in error["message"] for error in output.errors)
    assert api.call_count == 0


def test_a_field_that_does_not_exist_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "quo"
    source = REPOSITORY / "source_recordings" / "providers" / "quo"
    folder.mkdir()
    text = (source / "provider.yaml").read_text(encoding="utf-8")
    (folder / "provider.yaml").write_text(
        text.replace("      recording_id: row.id", "      recording: row.id"), encoding="utf-8"
    )
    with pytest.raises(BadProvider, match=r"unified\.recordings\.fields: there is no field recording"):
        load_provider(folder)
