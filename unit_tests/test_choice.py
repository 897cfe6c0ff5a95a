"""Which of several IDs a provider wants is found out once a sync, whoever asks and however many at once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import requests_mock

from source_recordings import provider_yaml
from source_recordings.errors import UserError
from source_recordings.http.answers import Answer, Reply
from source_recordings.http.asking import Asking, Later
from source_recordings.reading.choice import Choice
from source_recordings.reading.details import InOrder, Job
from source_recordings.reading.outcome import Outcome
from unit_tests.harness import Connector, Output, Row
from unit_tests.parts import GOOD, Answering, an_endpoint, config_error, operation, some_pools

NOT_THERE = Reply(404, {}, b"{}")
SOME = 200


class Wanted:
    """A provider that knows things by one of two IDs, `a1` and `b1`. Counts what it was asked."""

    def __init__(self, wanted: str, missing: Callable[[str], bool] = lambda _: False) -> None:
        self.endpoint = an_endpoint(operation(skip={404: "there is none"}), about_one=True)
        self.asked: list[str] = []
        self._wanted = wanted
        self._missing = missing

    def asking_for(self, value: str) -> Asking:
        def reply() -> Reply:
            self.asked.append(value)
            return GOOD if value[0] in self._wanted and not self._missing(value[1:]) else NOT_THERE

        return Answering(reply, self.endpoint)

    @property
    def kinds(self) -> Counter[str]:
        """How often it was asked for each kind of ID."""
        return Counter(value[0] for value in self.asked)

    @property
    def skipped(self) -> int:
        return sum(self.endpoint.tally._skips.values())


def read(provider: Wanted, choice: Choice, numbers: range = range(SOME)) -> list[tuple[str, Answer]]:
    """What was asked for of each number, and the answer; many at once."""
    found: dict[int, tuple[str, Answer]] = {}

    def job_of(number: int) -> Job:
        found[number] = yield from choice.answer([(0, f"a{number}"), (1, f"b{number}")], provider.asking_for)
        return Outcome()

    with some_pools(8) as pools:
        order = InOrder(pools, job_of)
        for number in numbers:
            order.add(0, number)
        order.end()
        errors = [outcome.error for *_, outcome in order.outcomes() if outcome.error]
    assert errors == []
    return [found[number] for number in numbers]


@pytest.mark.parametrize(("wanted", "kinds"), [("a", {"a": SOME}), ("b", {"a": 1, "b": SOME}), ("ab", {"a": SOME})])
def test_one_probe_and_not_one_for_each(wanted: str, kinds: dict[str, int]) -> None:
    """Eight workers begin at once: seven of them wait for what the first one finds out."""
    provider = Wanted(wanted)
    found = read(provider, Choice())
    assert {value[0] for value, _ in found} == {wanted[0]}
    assert all(answer.skipped is None for _, answer in found)
    assert provider.kinds == kinds
    assert provider.skipped == 0, "a probe is no skip"


def test_what_is_not_there_by_either_is_one_skip_and_no_choice() -> None:
    provider = Wanted("b", missing=lambda number: number == "0")
    found = read(provider, Choice())
    assert [answer.skipped for _, answer in found].count("there is none") == 1
    assert found[0][1].skipped and provider.skipped == 1
    # Those that wait for the first one find out for themselves.
    assert SOME <= provider.kinds["b"] <= SOME + 1
    assert 2 <= provider.kinds["a"] < SOME


def test_after_the_choice_what_is_not_there_costs_one_request() -> None:
    provider = Wanted("b", missing=lambda number: int(number) > 0)
    read(provider, Choice())
    assert provider.kinds == {"a": 1, "b": SOME}
    assert provider.skipped == SOME - 1


def test_where_nothing_is_there_all_are_tried_both_ways_and_nobody_waits_for_ever() -> None:
    provider = Wanted("")
    found = read(provider, Choice())
    assert provider.kinds == {"a": SOME, "b": SOME}
    assert provider.skipped == len(found) == SOME


def test_the_choice_is_made_once() -> None:
    """An ID of a third kind, of what has no other, does not turn it round."""
    choice, provider = Choice(), Wanted("abc")
    read(provider, choice, range(1))
    job = choice.answer([(1, "b7"), (2, "c7")], provider.asking_for)
    next(job)
    job.send(Answer())
    with pytest.raises(StopIteration) as end:
        job.send(Answer({}))
    assert end.value.value[0] == "b7"
    assert choice.made == 0


def _fails(job: Generator[Any, Any, Any]) -> None:
    with pytest.raises(UserError):
        job.throw(config_error())


@pytest.mark.parametrize("ends", [_fails, lambda job: job.close()], ids=["fails", "is dropped"])
def test_the_others_go_on_when_the_first_one(ends: Callable[[Generator[Any, Any, Any]], None]) -> None:
    choice, provider = Choice(), Wanted("a")
    first, second = (choice.answer([(0, "a1"), (1, "b1")], provider.asking_for) for _ in range(2))
    assert isinstance(next(first).once(), Answer)
    first.send(Answer())
    turn, woken = next(second), threading.Event()
    waits = turn.once()
    assert isinstance(waits, Later) and waits.when_done
    waits.when_done(woken.set)
    assert not woken.is_set()

    ends(first)

    assert woken.is_set() and isinstance(turn.once(), Answer)
    late = threading.Event()
    waits.when_done(late.set)
    assert late.is_set()


# --- in a sync --------------------------------------------------------------------------------

PROVIDER = """
title: Example
base_url: https://other.example.com
auth: {type: bearer, token: config.token}
credential: {key: token, help: it must be current.}
spec: {required: [token], properties: {token: {type: string, airbyte_secret: true}}}
streams:
  example_calls:
    primary_key: id
    get: /calls
    rows: calls
    window: {field: at}
  example_details:
    primary_key: id
    cursor: call_at
    for_each: {row_of: example_calls, id: [parent.sid, parent.id]}
    get: /calls/{id}
    skip: {404: there is no such call}
    keep: {asked: id, call_at: parent.at}
    settled_when: "true"
  example_files:
    primary_key: call
    cursor: call_at
    files_of: example_details
    when: row.audio is string
    keep: {call: row.id, call_at: parent.at}
    url: row.audio
    name: row.id
"""
HOST = "https://other.example.com"
AT = "2024-03-02T10:00:00.000Z"
CALLS: list[Row] = [{"id": f"b{n}", "sid": f"a{n}" if n % 10 else None, "at": AT} for n in range(60)]
DETAILS = ("example_details", "example_files")


@pytest.fixture(autouse=True)
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "providers" / "example"
    (folder / "schemas").mkdir(parents=True)
    (folder / "provider.yaml").write_text(PROVIDER)
    schema = json.dumps({"type": "object", "properties": {"id": {}, "at": {}, "call_at": {}, "call": {}}})
    for name in ("example_calls", *DETAILS):
        (folder / "schemas" / f"{name}.json").write_text(schema)
    monkeypatch.setattr(provider_yaml, "PROVIDERS", tmp_path / "providers")
    monkeypatch.setenv("AIRBYTE_STAGING_DIRECTORY", str(tmp_path / "staging"))


def sync(connector: Connector, api: requests_mock.Mocker, wanted: str, *streams: str) -> tuple[Output, list[str]]:
    """What a sync printed, and the IDs that it asked for."""
    api.get(requests_mock.ANY, status_code=404, json={})
    api.get(f"{HOST}/calls", json={"calls": CALLS})
    for call in CALLS:
        for key in ("sid", "id"):
            if key == wanted and call[key]:
                api.get(f"{HOST}/calls/{call[key]}", json={"id": call["id"], "audio": f"{HOST}/{call['id']}.mp3"})
        api.get(f"{HOST}/{call['id']}.mp3", content=b"ID3" + bytes(300), headers={"Content-Type": "audio/mpeg"})
    settings = {"start_date": "2024-03-01T00:00:00Z", "end_date": "2024-03-08T00:00:00Z", "example": {"token": "t0ken"}}
    output = connector.read(settings, *streams, sync_mode="incremental")
    assert (output.exit_code, output.errors) == (0, [])
    return output, [r.path.rpartition("/")[2] for r in api.request_history if r.path.startswith("/calls/")]


def test_a_sync_by_the_first_id(connector: Connector, api: requests_mock.Mocker) -> None:
    """What lacks it is asked for by the other one, which decides nothing for the rest."""
    output, asked = sync(connector, api, "sid", "example_details")
    assert Counter(asked) == Counter(call["sid"] or call["id"] for call in CALLS)
    assert {row["asked"] for row in output.records("example_details")} == {c["sid"] for c in CALLS if c["sid"]}
    assert any("skipped 6 without a record: 6 x there is no such call" in line for line in output.logs())


def test_a_sync_by_the_second_id(connector: Connector, api: requests_mock.Mocker) -> None:
    output, asked = sync(connector, api, "id", "example_details")
    assert {row["asked"] for row in output.records("example_details")} == {call["id"] for call in CALLS}
    assert len(output.records("example_details")) == len(CALLS)
    assert [value for value in asked if value[0] == "a"] == ["a1"]
    assert len(asked) == len(CALLS) + 1
    assert not any("skipped" in line for line in output.logs())


@pytest.mark.parametrize("wanted", ["sid", "id"])
def test_streams_that_ask_the_same_share_the_choice_and_the_answers(
    wanted: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    output, asked = sync(connector, api, wanted, *DETAILS)
    there = [call["id"] for call in CALLS if call[wanted]]
    assert sorted(row["id"] for row in output.records("example_details")) == sorted(there)
    assert sorted(row["call"] for row in output.records("example_files")) == sorted(there)
    assert {row["media_status"] for row in output.records("example_files")} == {"stored"}
    assert len(asked) == len(set(asked)) == len(CALLS) + (wanted == "id")
