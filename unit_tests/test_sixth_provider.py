"""A provider that is not one of the five: a folder is all that it takes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import requests_mock

from source_recordings import provider_yaml
from source_recordings.provider_yaml import provider_folders
from unit_tests.examples import details_of, lists_of, load_examples
from unit_tests.harness import Connector, Row

PROVIDER = """
title: Example
base_url: https://other.example.com
limit: {requests: 60, per: minute, description: Example allows 60 requests a minute.}
auth: {type: basic, username: config.api_id, password: config.api_token}
credential: {key: api_token, help: it must be a current token.}
refuse: {404: Example has no such account.}
spec:
  required: [api_id, api_token]
  properties:
    api_id: {type: string, title: API ID}
    api_token: {type: string, title: API Token, airbyte_secret: true}
ids:
  key: call_ids
  of: example_calls
  field: id
  title: Only These Calls
  description: Sync only these calls.
  pattern: ^[0-9]+$
  example: "7"
streams:
  example_calls:
    primary_key: id
    get: /v1/calls
    rows: data.calls
    pages: {number: page, total: answer.data.total, size: {per_page: 2}}
    window: {field: started_at, from: from, until: to, format: epoch_seconds}
    set: {direction: quirks.direction(row.direction)}
    by_id: {get: "/v1/calls/{id}", valid_when: answer.id, skip: {404: Example does not know the call}}
  example_transcripts:
    primary_key: id
    cursor: call_started_at
    for_each: {row_of: example_calls, when: parent.answered, id: parent.id, version: [parent.started_at]}
    get: /v1/calls/{id}/transcription
    row: transcription
    skip: {404: Example has no transcript of the call}
    keep: {call_id: id, call_started_at: parent.started_at}
    settled_when: "true"
  example_files:
    primary_key: call_id
    cursor: call_started_at
    files_of: example_calls
    when: row.recording is string
    keep: {call_id: row.id, call_started_at: row.started_at}
    url: row.recording
    name: row.id
unified:
  recordings:
    of: example_calls
    fields:
      recording_id: row.id
      status: {of: row.state, words: {done: available}}
      direction: row.direction
      media_url: row.recording
      created_at: row.started_at
  utterances:
    of: example_transcripts
    each: "[row]"
    fields: {transcript_id: row.id, position: position, call_id: id, text: item.text, created_at: parent.started_at}
"""
QUIRKS = """
def direction(value):
    return {1: "inbound", 2: "outbound"}.get(value)
"""
EXAMPLE = """
config: {api_id: me, api_token: t0ken-SECRET}
header: Basic bWU6dDBrZW4tU0VDUkVU
answers:
  - stream: example_calls
    path: /v1/calls
    answer: {data: {calls: [{id: 7, started_at: 1709370000, answered: true}], total: 1}}
  - stream: example_calls
    id: "7"
    path: /v1/calls/7
    answer: {id: 7, started_at: 1709370000, answered: true}
  - stream: example_transcripts
    path: /v1/calls/7/transcription
    answer: {transcription: {id: t7}}
final: {example_transcripts: "true"}
documented:
  example_calls: {url: "https://docs.example.com/calls", properties: [id]}
  example_transcripts: {url: "https://docs.example.com/transcripts", properties: [id]}
"""
WITH_A_SIXTH = """
import pathlib, sys, pytest
from source_recordings import provider_yaml
provider_yaml.PROVIDERS = pathlib.Path(sys.argv[1])
sys.exit(pytest.main(sys.argv[2:]))
"""
PACKAGE = Path(provider_yaml.__file__).parent
STORAGE = "https://storage.example.org/7.mp3"
CREATED = 1709370000  # 2024-03-02T09:00:00Z
SECTION = {"api_id": "me", "api_token": "t0ken-SECRET"}
SETTINGS = {"start_date": "2024-03-01T00:00:00Z", "end_date": "2024-03-08T00:00:00Z", "example": SECTION}
CALLS: list[Row] = [
    {"id": 7, "started_at": CREATED, "direction": 1, "answered": True, "recording": STORAGE},
    {"id": 8, "started_at": CREATED + 60, "direction": 2, "answered": True, "recording": None},
    {"id": 9, "started_at": CREATED + 90, "direction": 2, "answered": False},
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The whole of the new provider."""
    folder = tmp_path / "providers" / "example"
    (folder / "schemas").mkdir(parents=True)
    (folder / "provider.yaml").write_text(PROVIDER)
    (folder / "quirks.py").write_text(QUIRKS)
    (folder / "example.yaml").write_text(EXAMPLE)
    for name in ("example_calls", "example_transcripts", "example_files"):
        properties: Row = {"id": {"type": ["null", "integer"]}, "call_id": {}, "call_started_at": {}}
        schema = {"type": "object", "properties": properties}
        (folder / "schemas" / f"{name}.json").write_text(json.dumps(schema))
    monkeypatch.setattr(provider_yaml, "PROVIDERS", tmp_path / "providers")
    monkeypatch.setenv("AIRBYTE_STAGING_DIRECTORY", str(tmp_path / "staging"))
    return folder


@pytest.fixture
def example(api: requests_mock.Mocker) -> requests_mock.Mocker:
    """Example's API, two calls a page."""

    def calls(request: Any, context: Any) -> Row:
        assert int(request.qs["from"][0]) >= 1709251200 and request.qs["to"] == ["1709856000"]
        start = 2 * (int(request.qs.get("page", ["1"])[0]) - 1)
        since, until = (int(request.qs[bound][0]) for bound in ("from", "to"))
        found = [call for call in CALLS if since <= call["started_at"] <= until]
        return {"data": {"calls": found[start : start + 2], "total": len(found)}}

    base = "https://other.example.com/v1/calls"
    api.get(base, json=calls)
    for call in CALLS:
        api.get(f"{base}/{call['id']}", json=call)
    api.get(f"{base}/7/transcription", json={"transcription": {"id": "t7", "text": "hello"}})
    api.get(f"{base}/8/transcription", status_code=404)
    api.get(STORAGE, content=b"ID3" + bytes(500), headers={"Content-Type": "audio/mpeg"})
    return api


def test_its_section_of_the_spec_comes_by_itself(connector: Connector) -> None:
    section = connector.spec()["connectionSpecification"]["properties"]["example"]

    keys = section["oneOf"][1]["properties"]
    assert list(keys) == [
        "connection", "api_id", "api_token", "call_ids", "base_url", "requests_per_minute",
    ]  # fmt: skip
    assert keys["requests_per_minute"]["default"] == 60


def test_check_and_discover(connector: Connector, example: requests_mock.Mocker) -> None:
    assert connector.check(SETTINGS).connection["status"] == "SUCCEEDED"
    streams = connector.discover(SETTINGS).streams
    assert list(streams) == ["example_calls", "example_transcripts", "example_files", "recordings", "utterances"]
    assert streams["example_files"]["is_file_based"]


def test_a_wrong_key_names_the_provider(connector: Connector, api: requests_mock.Mocker) -> None:
    api.get("https://other.example.com/v1/calls", status_code=401)
    message = connector.check(SETTINGS).connection["message"]
    assert message == "Example rejected the credential. Check `example.api_token`: it must be a current token."


def test_a_sync_and_another(connector: Connector, example: requests_mock.Mocker) -> None:
    streams = ("example_calls", "example_transcripts", "example_files")

    output = connector.read(SETTINGS, *streams, sync_mode="incremental")

    assert (output.exit_code, output.errors) == (0, [])
    rows = output.records("example_calls")
    assert [(row["id"], row["direction"]) for row in rows] == [
        (7, "inbound"), (8, "outbound"), (9, "outbound"),
    ]  # fmt: skip
    assert output.records("example_transcripts") == [
        {"id": "t7", "text": "hello", "call_id": 7, "call_started_at": CREATED}
    ]
    (file,) = output.records("example_files")
    assert (file["call_id"], file["media_status"]) == (7, "stored")
    assert file["media_path"] == "example/0000/00/7.mp3"
    basic = "Basic " + b64encode(b"me:t0ken-SECRET").decode()
    sent = {r.url.split("/")[2]: r.headers.get("Authorization") for r in example.request_history}
    assert sent == {"other.example.com": basic, "storage.example.org": None}
    # The list is asked for once, for all three streams.
    assert len([r for r in example.request_history if "page=1" in r.url]) == 1

    asked = example.call_count
    states = output.of("STATE")[-3:]
    again = connector.read(SETTINGS, *streams, sync_mode="incremental", state=states)
    assert again.exit_code == 0
    assert not again.records("example_transcripts") and not again.records("example_files")
    assert example.call_count - asked <= 3  # the look-back's list, and the transcript that is not there yet


def test_it_has_its_part_in_the_streams_of_all_providers(connector: Connector, example: requests_mock.Mocker) -> None:
    output = connector.read(SETTINGS, "recordings", "utterances", sync_mode="incremental")

    assert (output.exit_code, output.errors) == (0, [])
    rows = output.records("recordings")
    assert [(row["provider"], row["recording_id"], row["direction"]) for row in rows] == [
        ("example", "7", "inbound"), ("example", "8", "outbound"), ("example", "9", "outbound"),
    ]  # fmt: skip
    assert rows[0]["created_at"] == "2024-03-02T09:00:00.000000Z"
    assert rows[0]["media_url"] == STORAGE and "media_url" not in rows[1]
    assert output.records("utterances") == [
        {
            "provider": "example",
            "transcript_id": "t7",
            "position": 0,
            "call_id": "7",
            "text": "hello",
            "created_at": "2024-03-02T09:00:00.000000Z",
        }
    ]


def test_by_ids(connector: Connector, example: requests_mock.Mocker) -> None:
    settings = {**SETTINGS, "example": {**SECTION, "call_ids": ["7", "9"]}}

    output = connector.read(settings, "example_calls", "example_transcripts", "example_files")

    assert (output.exit_code, output.errors) == (0, [])
    assert [row["id"] for row in output.records("example_calls")] == [7, 9]
    assert [row["id"] for row in output.records("example_transcripts")] == ["t7"]
    assert len(output.records("example_files")) == 1
    assert len([r for r in example.request_history if r.url.endswith("/calls/7")]) == 1


def test_the_general_tests_cases_are_of_it_too(folder: Path) -> None:
    examples = load_examples(folder.parent)

    assert examples["example"].lacks() == []
    cases = lists_of(examples) + details_of(examples)
    assert [(str(case), case.url, case.config["example"].get("call_ids")) for case in cases] == [
        ("example_calls", "https://other.example.com/v1/calls", None),
        ("example_calls-by-id", "https://other.example.com/v1/calls/7", ["7"]),
    ]


def test_the_general_tests_are_about_it_too(folder: Path, tmp_path: Path) -> None:
    """As they are: pytest runs them with a sixth folder beside the five, and those with its name pass."""
    for other in provider_folders(PACKAGE / "providers"):
        shutil.copytree(other, folder.parent / other.name)
    tests = ["failures", "check", "credentials", "folders", "config", "snapshots"]
    arguments = [*(f"unit_tests/test_{name}.py" for name in tests), "-k", "example_ or -example or [example]"]
    done = subprocess.run(
        [sys.executable, "-c", WITH_A_SIXTH, str(folder.parent), *arguments, "-p", "no:cacheprovider", "-v"],
        cwd=PACKAGE.parent,
        env={**os.environ, "AIRBYTE_STAGING_DIRECTORY": str(tmp_path / "files")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "test_a_good_answer_is_one_request_and_one_record[example_calls] PASSED" in done.stdout
    assert "test_a_good_answer_is_one_request_and_one_record[example_calls-by-id] PASSED" in done.stdout
    assert "test_one_small_request_is_enough[example] PASSED" in done.stdout


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("    rows: data.calls\n", "", "streams.example_calls"),
        ("per: minute", "per: fortnight", "limit.per"),
        ("for_each: {row_of: example_calls", "for_each: {row_of: nobody", "there is no stream nobody"),
        ("when: parent.answered", 'when: "parent.answered =="', "no expression"),
        ("title: Example", "name: Example", "name"),
    ],
)
def test_a_mistake_is_told_with_its_place(folder: Path, wrong: str, right: str, said: str) -> None:
    file = folder / "provider.yaml"
    file.write_text(PROVIDER.replace(wrong, right, 1))
    with pytest.raises(provider_yaml.BadProvider) as caught:
        provider_yaml.load_providers()
    assert str(file) in str(caught.value) and said in str(caught.value)
