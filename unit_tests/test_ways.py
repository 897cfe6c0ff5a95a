"""Streams with several ways to ask: by what stands in a row, and by a choice of IDs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests_mock

from source_recordings import provider_yaml
from source_recordings.provider_yaml import BadProvider, load_provider
from unit_tests.harness import Connector, Row

PROVIDER = """
title: Example
base_url: https://other.example.com
auth: {type: bearer, token: config.token}
credential: {key: token, help: it must be current.}
spec:
  required: [token]
  properties:
    token: {type: string, title: Token, airbyte_secret: true}
ids:
  key: call_ids
  of: example_calls
  field: id
  title: Only These Calls
  description: Sync only these calls.
  pattern: ^[a-z0-9]+$
  example: c1
streams:
  example_calls:
    primary_key: id
    get: /calls
    rows: calls
    window: {field: at, newest_first: true}
    by_id: {get: "/calls/{id}", valid_when: answer.id}
  example_notes:
    primary_key: id
    cursor: call_at
    headers: {X-Kind: note}
    for_each:
      row_of: example_calls
      each: parent.notes
      when: item.ready
      id: item.id
      version: [parent.at]
      else:
        - {id: parent.note_id, get: "/notes/{id}", row: note}
        - id: parent.id
          when: not parent.silent
          get: /notes
          rows: notes
          match: {field: call, param: call, pages: {number: page, size: {limit: 2}}, newest_first: at}
          skip: {400: no list without a filter}
    post: /calls/{parent.id}/notes
    json: {note: id}
    skip: {404: there is no note}
    keep: {call_at: parent.at}
    set: {text: row.text if row.text is not none else row.words}
    settled_when: "true"
  example_details:
    primary_key: id
    cursor: call_at
    for_each: {row_of: example_calls, id: [parent.sid, parent.id], version: [parent.at]}
    get: /details/{id}
    skip: {404: there are no details}
    keep: {call_at: parent.at, asked: id}
"""
HOST = "https://other.example.com"
AT = "2024-03-02T10:00:00Z"
CONFIG: Row = {"start_date": "2024-03-01T00:00:00Z", "end_date": "2024-03-08T00:00:00Z", "example": {"token": "secret"}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "providers" / "example"
    (folder / "schemas").mkdir(parents=True)
    (folder / "provider.yaml").write_text(PROVIDER)
    for name in ("example_calls", "example_notes", "example_details"):
        schema = {"type": "object", "properties": {"id": {}, "call_at": {}}}
        (folder / "schemas" / f"{name}.json").write_text(json.dumps(schema))
    (folder.parent / "provider.schema.json").write_text(provider_yaml.SCHEMA.read_text())
    monkeypatch.setattr(provider_yaml, "PROVIDERS", folder.parent)
    return folder


def call(name: str, **fields: object) -> Row:
    return {"id": name, "at": AT, **fields}


def listed(api: requests_mock.Mocker, *calls: Row) -> None:
    api.get(f"{HOST}/calls", json={"calls": list(calls)})


def asked(api: requests_mock.Mocker, path: str) -> list[str]:
    """The requests below this path, with their query."""
    found = (request.url.removeprefix(HOST) for request in api.request_history)
    return [url for url in found if url.split("?")[0].startswith(path)]


def notes(connector: Connector, config: Row = CONFIG) -> dict[str, Row]:
    output = connector.read(config, "example_notes")
    assert (output.exit_code, output.errors) == (0, [])
    found = output.records("example_notes")
    assert len({row["id"] for row in found}) == len(found)
    return {row["id"]: row for row in found}


def test_each_row_goes_the_first_way_in_which_it_has_something(connector: Connector, api: requests_mock.Mocker) -> None:
    """Items that are ready, else the note that the row names, else the list of the account."""
    listed(
        api,
        call("c1", notes=[{"id": "n1", "ready": True}, {"id": "n0"}, {"id": "n2", "ready": True}], note_id="n9"),
        call("c2", notes=[{"id": "n0"}], note_id="n3"),
        call("c3"),
        call("c4", silent=True),
        call("c5"),
    )
    api.post(f"{HOST}/calls/c1/notes", [{"json": {"id": "n1", "text": ""}}, {"json": {"id": "n2", "words": "two"}}])
    api.get(f"{HOST}/notes/n3", json={"note": {"id": "n3"}})
    rows = [{"id": "n4", "call": "c3", "words": "four", "at": AT}, {"id": "old", "call": "c3", "at": AT}]
    api.get(f"{HOST}/notes", [{"json": {"notes": rows}}, {"json": {"notes": []}}])

    found = notes(connector)

    assert sorted(found) == ["n1", "n2", "n3", "n4"]
    assert all(row["call_at"] == AT for row in found.values())
    assert [found[name].get("text") for name in sorted(found)] == ["", "two", None, "four"]
    assert sorted(asked(api, "/notes")) == ["/notes/n3", "/notes?limit=2&page=1", "/notes?limit=2&page=2"]
    assert {r.headers.get("X-Kind") for r in api.request_history if "/notes" in r.url} == {"note"}


def test_the_list_is_asked_for_one_call_at_a_time_where_it_is_refused(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    listed(api, call("c1"), call("c2"), call("c3"))
    api.get(f"{HOST}/notes", status_code=400)
    for name in ("c1", "c3"):
        api.get(f"{HOST}/notes?call={name}", json={"notes": [{"id": f"n-{name}", "call": name}]})
    api.get(f"{HOST}/notes?call=c2", json={"notes": []})

    output = connector.read(CONFIG, "example_notes")

    assert [row["id"] for row in output.records("example_notes")] == ["n-c1", "n-c3"]
    assert len(asked(api, "/notes")) == 4
    (said,) = (text for text in output.logs() if "skipped" in text)
    assert "skipped 1" in said, "the list that was refused is no call without a note"


def test_with_ids_nothing_is_listed(connector: Connector, api: requests_mock.Mocker) -> None:
    config = {**CONFIG, "example": {**CONFIG["example"], "call_ids": ["c1", "c2"]}}
    api.get(f"{HOST}/calls/c1", json=call("c1"))
    api.get(f"{HOST}/calls/c2", json=call("c2", note_id="n2"))
    api.get(f"{HOST}/notes?call=c1", json={"notes": [{"id": "n1", "call": "c1"}]})
    api.get(f"{HOST}/notes/n2", json={"note": {"id": "n2"}})

    assert sorted(notes(connector, config)) == ["n1", "n2"]
    assert len(api.request_history) == 4


def test_a_list_that_fails_fails_no_other_way(connector: Connector, api: requests_mock.Mocker) -> None:
    listed(api, call("c1"), call("c2", note_id="n2"), call("c3"))
    api.get(f"{HOST}/notes", status_code=500)
    api.get(f"{HOST}/notes/n2", json={"note": {"id": "n2"}})

    output = connector.read(CONFIG, "example_notes")

    assert output.exit_code == 1
    assert [row["id"] for row in output.records("example_notes")] == ["n2"]
    walks = [url for url in asked(api, "/notes") if "?" in url]
    assert walks == ["/notes?limit=2&page=1"] * 6, "asked again a few times, and not by each call"


def test_the_walk_stops_where_the_look_back_ends(connector: Connector, api: requests_mock.Mocker) -> None:
    listed(api, call("c1"))
    new, old = ({"id": f"n{n}", "call": f"c{n}", "at": at} for n, at in ((1, AT), (2, "2024-02-20T00:00:00Z")))
    api.get(f"{HOST}/notes", [{"json": {"notes": [new, new]}}, {"json": {"notes": [old, old]}}])

    assert sorted(notes(connector)) == ["n1"]
    assert len(asked(api, "/notes")) == 2


def details(connector: Connector) -> list[tuple[str, str]]:
    output = connector.read(CONFIG, "example_details")
    assert (output.exit_code, output.errors) == (0, [])
    return [(row["id"], row["asked"]) for row in output.records("example_details")]


def test_the_first_good_answer_chooses_the_id(connector: Connector, api: requests_mock.Mocker) -> None:
    """The provider wants the second one: the first is asked for until that is known, and never again."""
    calls = [call(f"c{n}", sid=f"s{n}") for n in range(30)]
    listed(api, *calls)
    api.get(requests_mock.ANY, status_code=404)
    listed(api, *calls)
    for n in range(30):
        api.get(f"{HOST}/details/c{n}", json={"id": f"d{n}"})

    found = details(connector)

    assert found == [(f"d{n}", f"c{n}") for n in range(30)]
    wrong = [url for url in asked(api, "/details/") if url.startswith("/details/s")]
    assert 1 <= len(wrong) < 20, "at most those that were under way"


def test_where_nothing_is_there_both_are_asked_for(connector: Connector, api: requests_mock.Mocker) -> None:
    listed(api, call("c1", sid="s1"), call("c2"))
    api.get(f"{HOST}/details/s1", status_code=404)
    api.get(f"{HOST}/details/c1", status_code=404)
    api.get(f"{HOST}/details/c2", status_code=404)

    output = connector.read(CONFIG, "example_details")

    assert output.exit_code == 0 and output.records("example_details") == []
    assert len(asked(api, "/details/")) == 3
    assert [text for text in output.logs() if "example_details skipped 2" in text]


def test_a_call_that_lacks_the_chosen_id_is_asked_for_by_the_other(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    listed(api, *(call(f"c{n}", sid=f"s{n}") for n in range(3)), call("c3"))
    for name in ("s0", "s1", "s2", "c3"):
        api.get(f"{HOST}/details/{name}", json={"id": name})

    assert [asked for _, asked in details(connector)] == ["s0", "s1", "s2", "c3"]
    assert len(asked(api, "/details/")) == 4


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("- {id: parent.note_id, get:", "- {get:", "'id' is a required property"),
        ("match: {field: call, param: call, pages", "match: {field: call, pages", "'param' is a required property"),
    ],
)
def test_the_form_is_checked(folder: Path, wrong: str, right: str, said: str) -> None:
    text = PROVIDER.replace(wrong, right)
    assert text != PROVIDER
    (folder / "provider.yaml").write_text(text)
    with pytest.raises(BadProvider, match=said):
        load_provider(folder)
