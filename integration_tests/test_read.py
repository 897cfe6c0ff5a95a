"""A full read emits exactly what the sandbox holds: every key once, every field as the provider sent it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from integration_tests.conftest import NOW, Program
from integration_tests.syncing import (
    ALL_STREAMS,
    CURSORS,
    DATED,
    DETAILS,
    PRIMARY_KEYS,
    PROVIDERS,
    STREAMS,
    Row,
    as_delivered,
    keys,
    sandbox_config,
    with_ids,
)
from sandbox import Sandbox
from sandbox.providers.amigo import Amigo
from sandbox.providers.quo import Quo
from unit_tests.harness import Connector, Output, without_nulls

INJECTED_FROM_THE_LIST = {"call_started_at", "callCreatedAt"}


def assert_truth(output: Output, sandbox: Sandbox, streams: Iterable[str], *, listed: bool) -> None:
    """No key more, none less, none twice, and every row field by field."""
    assert (output.exit_code, output.errors) == (0, [])
    for stream in streams:
        found = output.records(stream)
        assert output.ended(stream) == "COMPLETE"
        names = PRIMARY_KEYS[stream]
        expected: dict[tuple[Any, ...], Row] = {}
        for row in rows_of(sandbox, stream) if listed else rows_by_id(sandbox, stream):
            if not listed:
                row = {k: v for k, v in row.items() if k not in INJECTED_FROM_THE_LIST}
            row.pop("audioData", None)
            expected[tuple(row[name] for name in names)] = without_nulls(row)
        if listed:
            assert Counter(expected.keys()) == Counter(sandbox.truth(stream)), stream
        assert Counter(keys(sandbox, stream, found)) == Counter(expected.keys()), stream
        for row in found:
            key = tuple(row[name] for name in names)
            # By way of JSON: 1.0 is not 1, and no key may be lost or gained.
            shown = json.dumps(expected[key], sort_keys=True), json.dumps(row, sort_keys=True)
            assert shown[0] == shown[1], f"{stream} {key}"


def rows_of(sandbox: Sandbox, stream: str) -> Iterator[Row]:
    """The sandbox's rows with all that a request can include and with the call of each of Quo's recordings."""
    quo = sandbox.providers["quo"]
    assert isinstance(quo, Quo)
    if stream == "quo_calls":
        for index in sandbox.streams[stream].refs():
            yield quo.call(index, frozenset({"summary", "voicemail"}))
    elif stream == "quo_call_recordings":
        for (index, _), row in zip(sandbox.streams[stream].refs(), sandbox.rows(stream), strict=True):
            yield {**row, "callId": quo.cid(index)}
    else:
        yield from (as_delivered(stream, row) for row in sandbox.rows(stream))


def rows_by_id(sandbox: Sandbox, stream: str) -> Iterator[Row]:
    """The same, of the IDs that `with_ids` lists."""
    amigo = sandbox.providers["amigo"]
    assert isinstance(amigo, Amigo)
    if stream == "amigo_call_details":
        # The calls with a recording, whether or not something was said in them.
        for index in sandbox.streams["amigo_recording_metadata"].refs():
            yield amigo.detail(index)
    else:
        yield from rows_of(sandbox, stream)


WORLDS: dict[str, dict[str, Any]] = {
    "newest first, cursor": {},
    "oldest first, offset": {"undocumented_order": "oldest", "bota_revision": "offset", "bird_vtt": "redirect"},
    "shuffled, unknown fields": {"undocumented_order": "shuffled", "unknown_fields": True, "bird_bounds": "half_open"},
}


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(seed=8, size=230, now=NOW, **WORLDS[request.param]) as started:
        yield started


def test_listing(world: Sandbox, connector: Connector) -> None:
    """More than one page of every list, and whatever the documents leave open both ways."""
    output = connector.read(sandbox_config(world), *STREAMS)

    assert_truth(output, world, STREAMS, listed=True)
    assert all(output.records(stream) for stream in STREAMS)


BY_ID = [
    stream.name
    for provider in PROVIDERS.values()
    if provider.ids
    for stream in provider.offered({provider.ids.key: ["x"]})
    if not stream.file
]


def get_endpoints() -> set[str]:
    """The paths that ask about one recording or call, with {} for what is different in each; those alone are asked."""
    operations = [ALL_STREAMS[name].operation for name in DETAILS]
    operations += [stream.by_id for stream in ALL_STREAMS.values() if stream.by_id]
    return {re.sub(r"\{[^}]*\}", "{}", operation.template) for operation in operations}


def is_of(path: str, template: str) -> bool:
    return bool(re.fullmatch(re.escape(template).replace(r"\{\}", "[^/]+"), path))


def test_ids(world: Sandbox, connector: Connector) -> None:
    """The same rows as from the listing, by the get endpoints alone, each asked once."""
    config = with_ids(world)
    assert sorted(connector.discover(config).tables) == sorted(BY_ID)
    world.clear_requests()

    output = connector.read(config, *BY_ID)

    assert_truth(output, world, BY_ID, listed=False)
    asked = Counter((request.method, request.path) for request in world.requests)
    assert all(method == "GET" and any(is_of(path, known) for known in get_endpoints()) for method, path in asked)
    # Bota's recordings are asked for by both of its streams; nothing else twice.
    assert {path for (_, path), times in asked.items() if times > 1} <= {
        f"/v1/recordings/{key[0]}" for key in world.truth("bota_recordings")
    }


def test_an_id_that_is_listed_twice_or_unknown_does_no_harm(still_sandbox: Sandbox, connector: Connector) -> None:
    config = sandbox_config(still_sandbox, "quo")
    wanted = still_sandbox.truth("quo_call_transcripts")[0][0]
    config["quo"]["call_ids"] = [wanted, "ACdoesnotexist", f"AC{'0' * 32}"]

    output = connector.read(config, "quo_call_transcripts")

    assert output.exit_code == 0
    assert [row["callId"] for row in output.records("quo_call_transcripts")] == [wanted]


def test_no_request_carries_a_template_or_an_unquoted_token(
    still_sandbox: Sandbox, connector: Connector, still_config: Row
) -> None:
    """A template that is not rendered goes out literally."""
    still_sandbox.clear_requests()
    connector.read(still_config, *STREAMS)

    for request in still_sandbox.requests:
        said = request.path + json.dumps(request.query)
        assert "{{" not in said and "%7B" not in said and "None" not in said, request
        # 404 and Tether's 400 are documented refusals about one recording.
        assert request.status in (200, 404, 400 if request.provider == "tether" else 200), request


def test_dates_cut_out_exactly_their_part(still_sandbox: Sandbox, connector: Connector, still_config: Row) -> None:
    """start_date is inclusive, end_date is not, whatever the provider's own filters are."""
    start, end = "2024-09-01T00:00:00Z", "2024-10-15T12:34:56.789000Z"
    fields = {stream: CURSORS[stream] for stream in DATED if stream != "bird_transcriptions"}

    output = connector.read({**still_config, "start_date": start, "end_date": end}, *fields)

    assert output.exit_code == 0
    for stream, field in fields.items():
        wanted = {
            key
            for key, row in zip(still_sandbox.truth(stream), still_sandbox.rows(stream), strict=True)
            if not row.get(field) or start[:19] <= row[field] < end
        }
        found = set(keys(still_sandbox, stream, output.records(stream)))
        dateless = {key for key in wanted if not _time(still_sandbox, stream, key, field)}
        assert found - dateless == wanted - dateless, stream
        assert wanted - dateless


def _time(sandbox: Sandbox, stream: str, key: tuple[Any, ...], field: str) -> Any:
    rows: Mapping[tuple[Any, ...], Row] = dict(zip(sandbox.truth(stream), sandbox.rows(stream), strict=True))
    return rows[key].get(field)


def test_audio_data_on_request(still_sandbox: Sandbox, connector: Connector) -> None:
    config = sandbox_config(still_sandbox, "tether")
    config["tether"]["include_audio_data"] = True

    output = connector.read(config, "tether_call_recordings")

    expected = {row["callId"]: row.get("audioData") for row in still_sandbox.rows("tether_call_recordings")}
    found = {row["callId"]: row.get("audioData") for row in output.records("tether_call_recordings")}
    assert found == expected
    assert any(found.values()) and not all(found.values())


def test_the_program_reads_the_same(still_sandbox: Sandbox, program: Program) -> None:
    """The process that the platform starts, with a login instead of a token."""
    config = sandbox_config(still_sandbox)
    config["tether"]["credentials"] = still_sandbox.config(["tether"], login=True)["tether"]["credentials"]

    output = program.read(config, *STREAMS, sync_mode="incremental")

    assert output.stderr == ""
    assert_truth(output, still_sandbox, STREAMS, listed=True)
    logins = [request for request in still_sandbox.requests if request.path == "/api/auth/login"]
    assert len(logins) == 1
