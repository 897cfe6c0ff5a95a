"""What the tests of hostile answers share: rows, pages and answers of every stream, and what must hold of any output."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import requests_mock

from source_recordings.provider import Provider, Stream
from source_recordings.provider_yaml import load_providers
from source_recordings.times import parse_iso
from unit_tests.examples import DETAILS, LISTS, Case, base_url, config, section
from unit_tests.harness import CREATED, Output, Row, without_nulls

PROVIDERS = load_providers()
SECONDS_OF_CREATED = "2024-03-02T10:00:{:02d}.000Z"

PARENTS: dict[str, Callable[[str], Row]] = {
    "bird": lambda key: {"id": key, "status": "available"},
    "amigo": lambda key: {
        "entity_id": f"e-{key}",
        "call_sid": key,
        "has_recording": True,
        "turns": 2,
        "status": "completed",
    },
    "quo": lambda key: {"id": key, "status": "completed"},
    "bota": lambda key: {"id": f"rec-{key}", "transcription_id": key},
    "tether": lambda key: {"callId": key, "status": "completed"},
}
"""A row of a provider's list that leads to details about this key."""

VTT = "WEBVTT\n\n00:00.000 --> 00:02.500\nHello.\n"

ANSWERS: dict[str, Callable[[str], Row]] = {
    "amigo_call_details": lambda key: {"id": f"e-{key}", "call_sid": key},
    "amigo_recording_metadata": lambda key: {"call_sid": key},
    "amigo_recording_urls": lambda key: {"call_sid": key, "status": "available"},
    "quo_call_recordings": lambda key: {"data": [{"id": f"CR-{key}", "status": "completed"}]},
    "quo_call_transcripts": lambda key: {"data": {"callId": key, "status": "completed"}},
    "bota_transcriptions": lambda key: {"id": key, "status": "completed"},
    "tether_call_recordings": lambda key: {"success": True, "recordingId": f"x-{key}", "transcriptionText": "hello"},
}
"""A good, final answer about this key."""


@dataclass(frozen=True)
class List:
    """A list stream and how its pages look."""

    case: Case

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return self.case.stream

    @property
    def provider(self) -> Provider:
        return PROVIDERS[self.case.provider]

    @property
    def stream(self) -> Stream:
        return self.provider.streams[self.name]

    @property
    def key(self) -> str:
        return self.stream.primary_key[0]

    @property
    def has_time(self) -> bool:
        return self.stream.window is not None

    @property
    def time(self) -> str:
        assert self.stream.window
        return self.stream.window.field

    @property
    def field(self) -> str:
        """Where the rows stand in a page."""
        (name,) = self.stream.operation.rows
        return name

    def row(self, number: int | str, **more: Any) -> Row:
        time = {self.time: CREATED} if self.has_time else {}
        return {self.key: f"AC{number}", **time, **more}

    def page(self, rows: Any, **more: Any) -> Row:
        """The only page, unless `more` says otherwise."""
        answer = {**self.case.answer, self.field: rows}
        if "total" in answer and isinstance(rows, list):
            answer["total"] = len(rows)
        return {**answer, **more}

    def serve(self, api: requests_mock.Mocker, rows: Sequence[Any]) -> None:
        """One page of those rows that the provider's own filter would let through."""
        window = self.stream.window

        def answer(request: Any, _: object) -> Row:
            if not (window and window.is_exact and window.since and window.until):
                return self.page(rows)
            query = parse_qs(urlsplit(request.url).query)
            since, until = (parse_iso(query[name][0]) for name in (window.since, window.until))
            return self.page([row for row in rows if since <= parse_iso(row[self.time]) <= until])

        api.get(self.case.url, json=answer)

    def body(self, *raw_rows: str) -> bytes:
        """The same of rows that are JSON already, or nearly so."""
        text = json.dumps(self.page(["@"] * len(raw_rows)))
        for raw in raw_rows:
            text = text.replace('"@"', raw, 1)
        return text.encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class Detail:
    """A stream with a request per row of a list."""

    stream: Stream
    parent: List

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return self.stream.name

    @property
    def config(self) -> Row:
        return config(self.parent.case.provider)

    def list_row(self, key: str, number: int = 0, **more: Any) -> Row:
        """Each number has a second of its own."""
        found = PARENTS[self.parent.case.provider](key)
        return {**found, self.parent.time: SECONDS_OF_CREATED.format(number), **more}

    def url(self, key: str) -> str:
        provider = self.parent.case.provider
        names = {"config": section(provider), "id": key, "parent": {}}
        return f"{base_url(provider)}{self.stream.operation.path(names)}"

    def answer(self, key: str) -> Row:
        return {self.stream.operation.text: VTT} if self.stream.operation.text else ANSWERS[self.name](key)

    def reply(self, key: str) -> Row:
        """The answer as a mocked host gives it."""
        return {"text": VTT} if self.stream.operation.text else {"json": self.answer(key)}

    def expected(self, key: str, number: int = 0) -> Row:
        """The record."""
        assert self.stream.cursor
        answer: Any = self.answer(key)
        for name in self.stream.operation.rows:
            answer = answer[name]
        row = answer[0] if isinstance(answer, list) else answer
        names = {"config": section(self.parent.case.provider), "quirks": self.parent.provider.quirks, "row": row}
        row = {**row, **{name: value(names) for name, value in self.stream.set.items()}}
        kept = {name: key if name in ("callId", "call_sid", "transcriptionId") else None for name in self.stream.keep}
        return without_nulls({**kept, **row, self.stream.cursor: SECONDS_OF_CREATED.format(number)})

    def serve(self, api: requests_mock.Mocker, keys: Sequence[str], **answers: Mapping[str, Any]) -> None:
        """A list of these keys with all their details; `answers` for some of them instead."""
        rows = [self.list_row(key, number) for number, key in enumerate(keys)]
        self.parent.serve(api, rows)
        for key in keys:
            api.get(self.url(key), **answers.get(key) or self.reply(key))


ALL_LISTS = [List(case) for case in LISTS]
DATED_LISTS = [a_list for a_list in ALL_LISTS if a_list.has_time]
ALL_DETAILS = [
    Detail(stream, parent)
    for parent in ALL_LISTS
    for stream in parent.provider.streams.values()
    if stream.for_each and not stream.file and parent.provider.root_of(stream) is parent.stream
]


def asked(api: requests_mock.Mocker, detail: Detail) -> list[str]:
    """What was asked for besides the list, as it went over the wire."""
    found = [request.url for request in api.request_history]
    return [url for url in found if url.partition("?")[0] != detail.parent.case.url]


def other_than(case: Case) -> Case:
    """A list of another provider, which must not suffer."""
    return next(other for other in LISTS if other.provider != case.provider)


def field_of(case: Case) -> tuple[str, bool]:
    """Where the rows of an answer stand ("" for the answer itself), and whether they are a list."""
    stream = PROVIDERS[case.provider].streams[case.stream]
    operation = (stream.by_id if case in DETAILS else None) or stream.operation
    return ".".join(operation.rows), operation.is_list


def _refused(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is no JSON")


def strict(output: Output) -> list[Row]:
    """The messages, if each line is strict JSON that can be written as UTF-8."""
    output.text.encode()
    return [json.loads(line, parse_constant=_refused) for line in output.text.splitlines()]


def assert_orderly(output: Output) -> None:
    """What holds of every read, whatever came: strict lines, and no stream says anything after its end."""
    ended: dict[str, str] = {}
    for message in strict(output):
        trace = message.get("trace") or {}
        name = ((trace.get("stream_status") or {}).get("stream_descriptor") or {}).get("name")
        if name:
            status = trace["stream_status"]["status"]
            assert name not in ended, f"{name}: {status} after {ended[name]}"
            if status in ("COMPLETE", "INCOMPLETE"):
                ended[name] = status
        elif "record" in message:
            assert message["record"]["stream"] not in ended
    assert (output.exit_code == 0) == (set(ended.values()) <= {"COMPLETE"}), (output.exit_code, ended)
    assert "Traceback" not in output.stderr


def last_states(output: Output) -> list[Row]:
    """The last state of every stream, as the platform hands it to the next sync."""
    return list({state["stream"]["stream_descriptor"]["name"]: state for state in output.of("STATE")}.values())


def summary_of(output: Output, stream: str) -> str:
    """The line about what was skipped."""
    (line,) = [line for line in output.logs("INFO") if line.startswith(f"Stream {stream} skipped")]
    return line
