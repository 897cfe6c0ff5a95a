"""Bird's requests, as https://docs.bird.com/api/voice-api/recordings-api describes them."""

from __future__ import annotations

import pytest
import requests_mock

from unit_tests.examples import END, EXAMPLES, START, base_url, config, section
from unit_tests.harness import CREATED, Connector, Row

BIRD = base_url("bird")
WORKSPACE = section("bird")["workspace_id"]

RECORDINGS = f"{BIRD}/workspaces/{WORKSPACE}/recordings"
TRANSCRIPTIONS = f"{BIRD}/workspaces/{WORKSPACE}/transcriptions"
HARD_TOKEN = "a+b/c==&limit=1"


def test_recordings_are_listed_by_date_in_pages_of_99(connector: Connector, api: requests_mock.Mocker) -> None:
    """limit is 1 to 99, startAt/endAt are date-times, pageToken continues -> each goes out once, exactly."""
    rows = [{"id": f"r{number}", "createdAt": CREATED} for number in range(3)]
    api.get(RECORDINGS, [{"json": {"results": rows[:2], "nextPageToken": HARD_TOKEN}}, {"json": {"results": rows[2:]}}])

    output = connector.read(config("bird"), "bird_recordings")

    assert output.records("bird_recordings") == rows
    first, second = api.request_history
    assert first.method == "GET" and first.body is None
    window = {"limit": ["99"], "startAt": ["2024-03-01T00:00:00.000000Z"], "endAt": ["2024-03-08T00:00:00.000000Z"]}
    assert first.qs == window
    assert second.qs == {**window, "pageToken": [HARD_TOKEN]}


def test_an_empty_token_ends_the_list(connector: Connector, api: requests_mock.Mocker) -> None:
    """The samples' last page has no token -> a null or empty one ends the list as well."""
    for token in (None, ""):
        api.get(RECORDINGS, json={"results": [], "nextPageToken": token})
        output = connector.read(config("bird"), "bird_recordings")
        assert output.exit_code == 0
    assert api.call_count == 2


def test_transcriptions_have_no_date_filter_so_none_is_sent(connector: Connector, api: requests_mock.Mocker) -> None:
    """List transcriptions documents limit and pageToken only -> nothing else is sent -> the dates apply here."""
    inside = {"id": "t1", "recordingId": "r1", "updatedAt": CREATED}
    outside = [{"id": "t0", "updatedAt": "2024-02-29T23:59:59.999Z"}, {"id": "t2", "updatedAt": END}]
    api.get(TRANSCRIPTIONS, json={"results": [outside[0], inside, outside[1]]})

    output = connector.read(config("bird"), "bird_transcriptions")

    assert output.records("bird_transcriptions") == [inside]
    assert [request.qs for request in api.request_history] == [{"limit": ["99"]}]


def test_with_ids_each_recording_is_asked_for_once_and_nothing_else(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    """Contract: an id list uses the documented get endpoint only -> old recordings come as well -> a 404 is a skip."""
    old = {"id": "r1", "createdAt": "2019-01-01T00:00:00Z"}
    api.get(f"{RECORDINGS}/r1", json=old)
    api.get(f"{RECORDINGS}/r2", status_code=404, json={"code": "NotFound", "message": "no such"})
    api.get(f"{RECORDINGS}/r3", status_code=422, json={"code": "Invalid", "message": "no uuid"})
    ids = {"recording_ids": ["r1", "r2", "r3", "r4"]}
    fresh = {"id": "r4", "createdAt": CREATED}
    api.get(f"{RECORDINGS}/r4", json=fresh)

    output = connector.read(config(bird=ids), "bird_recordings")

    assert output.exit_code == 0
    assert output.records("bird_recordings") == [old, fresh]
    assert sorted((request.method, request.url) for request in api.request_history) == [
        ("GET", f"{RECORDINGS}/{rid}") for rid in ("r1", "r2", "r3", "r4")
    ]
    (summary,) = [line for line in output.logs() if "skipped" in line]
    assert "bird_recordings skipped 2" in summary


def test_with_ids_there_is_one_stream_and_it_is_full_refresh_only(connector: Connector) -> None:
    """Contract: with an id list there is no listing -> no transcriptions, no incremental sync."""
    streams = connector.discover(config(bird={"recording_ids": ["r1"]})).tables

    assert list(streams) == ["bird_recordings"]
    assert streams["bird_recordings"]["supported_sync_modes"] == ["full_refresh"]
    assert not streams["bird_recordings"].get("source_defined_cursor")


def test_ids_are_quoted_in_the_path(connector: Connector, api: requests_mock.Mocker) -> None:
    """An id is data -> whatever is in it stays one path segment."""
    api.get(requests_mock.ANY, status_code=404)

    connector.read(config(bird={"recording_ids": ["a%2F..b;c=ü"]}), "bird_recordings")

    assert [request.url for request in api.request_history] == [f"{RECORDINGS}/a%252F..b%3Bc%3D%C3%BC"]


def test_an_unknown_workspace_is_a_config_error(connector: Connector, api: requests_mock.Mocker) -> None:
    """A list answers 404 for a workspace only -> it is not the "no recording" of the details."""
    api.get(RECORDINGS, status_code=404, json={"code": "NotFound", "message": "no such workspace"})

    output = connector.read(config("bird"), "bird_recordings")

    assert output.errors[0]["failure_type"] == "config_error"
    assert "`bird.workspace_id`" in output.errors[0]["message"]
    assert (output.exit_code, api.call_count) == (1, 1)


def test_a_start_date_of_another_precision_goes_out_as_a_date_time(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    api.get(RECORDINGS, json={"results": []})

    connector.read({**config("bird"), "start_date": "2024-03-01T01:02:03.5Z"}, "bird_recordings")

    assert api.request_history[-1].qs["startAt"] == ["2024-03-01T01:02:03.500000Z"]
    assert START < "2024-03-01T01:02:03.5Z" < END


CALLS = f"{BIRD}/workspaces/{WORKSPACE}/channels/calls"
VTT = "WEBVTT\n\n1\n00:00.500 --> 00:02.250\n<v Ann &amp; Co>Hello <b>there</b>.\n\n01:00:03.000 --> 01:00:04.000\nBye &lt;3\n"


def transcription(tid: str, **fields: object) -> Row:
    return {"id": tid, "recordingId": "r1", "status": "available", "updatedAt": CREATED, **fields}


def test_calls_are_listed_by_date_in_pages_of_200(connector: Connector, api: requests_mock.Mocker) -> None:
    """limit is 1 to 1000, startAt/endAt are date-times, pageToken continues."""
    rows = [{"id": f"c{number}", "createdAt": CREATED} for number in range(3)]
    api.get(CALLS, [{"json": {"results": rows[:2], "nextPageToken": HARD_TOKEN}}, {"json": {"results": rows[2:]}}])

    output = connector.read(config("bird"), "bird_calls")

    assert output.records("bird_calls") == rows
    first, second = api.request_history
    window = {"limit": ["200"], "startAt": ["2024-03-01T00:00:00.000000Z"], "endAt": ["2024-03-08T00:00:00.000000Z"]}
    assert first.qs == window
    assert second.qs == {**window, "pageToken": [HARD_TOKEN]}


def test_a_transcript_is_the_text_of_an_available_transcription(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    """One request for each that is available, none for the others; two of one recording are two transcripts."""
    rows = [transcription("t1"), transcription("t2"), transcription("t3", status="accepted")]
    api.get(TRANSCRIPTIONS, json={"results": rows})
    for tid in ("t1", "t2"):
        api.get(f"{TRANSCRIPTIONS}/{tid}.vtt", text=VTT)

    output = connector.read(config("bird"), "bird_transcripts")

    assert (output.exit_code, output.errors) == (0, [])
    first, second = output.records("bird_transcripts")
    assert first == {
        "transcriptionId": "t1",
        "recordingId": "r1",
        "transcriptionUpdatedAt": CREATED,
        "vtt": VTT,
        "text": "Hello there.\nBye <3",
        "cues": [
            {"start": 0.5, "end": 2.25, "text": "Hello there.", "voice": "Ann & Co"},
            {"start": 3603.0, "end": 3604.0, "text": "Bye <3", "voice": None},
        ],
    }
    assert second == {**first, "transcriptionId": "t2"}
    assert api.call_count == 3
    assert not output.logs("WARN")


def test_the_text_may_be_at_a_storage_host(connector: Connector, api: requests_mock.Mocker) -> None:
    """As a recording's file is: the `api` fixture sees to it that no credential goes along."""
    api.get(TRANSCRIPTIONS, json={"results": [transcription("t1")]})
    api.get(f"{TRANSCRIPTIONS}/t1.vtt", status_code=307, headers={"Location": "https://storage.example.net/t1?sig=x"})
    api.get("https://storage.example.net/t1", text=VTT)

    output = connector.read(config("bird"), "bird_transcripts")

    assert [row["text"] for row in output.records("bird_transcripts")] == ["Hello there.\nBye <3"]
    assert "sig=x" not in output.said


@pytest.mark.parametrize("reply", [{"status_code": 404}, {"text": ""}, {"text": " \n"}, {"status_code": 204}])
def test_a_text_that_is_not_there_is_a_skip(reply: Row, connector: Connector, api: requests_mock.Mocker) -> None:
    """404 about one transcription does not say that the workspace is unknown."""
    api.get(TRANSCRIPTIONS, json={"results": [transcription("t1"), transcription("t2")]})
    api.get(f"{TRANSCRIPTIONS}/t1.vtt", **reply)
    api.get(f"{TRANSCRIPTIONS}/t2.vtt", text=VTT)

    output = connector.read(config("bird"), "bird_transcripts")

    assert (output.exit_code, output.errors) == (0, [])
    assert [row["transcriptionId"] for row in output.records("bird_transcripts")] == ["t2"]
    (summary,) = [line for line in output.logs() if "skipped" in line]
    assert "skipped 1 without a record: 1 x Bird has no text of the transcription" in summary


BROKEN = [
    "<html>Not now</html>",
    '{"text": "Hello"}',
    "WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n\n00:0x --> 00:03.000\nBye\n",
    "WEBVTT\n\n00:00,000 --> 00:01,000\nHello\n",
    "WEBVTT\n\n00:61.000 --> 00:62.000\nHello\n",
]


@pytest.mark.parametrize("vtt", BROKEN)
def test_a_text_that_is_no_webvtt_stays_as_it_is(
    vtt: str, connector: Connector, api: requests_mock.Mocker, on_the_day_after: None
) -> None:
    """Half of a conversation is not made out to be all of it: it is counted, told, and asked for again."""
    api.get(TRANSCRIPTIONS, json={"results": [transcription("t1"), transcription("t2")]})
    api.get(f"{TRANSCRIPTIONS}/t1.vtt", text=vtt)
    api.get(f"{TRANSCRIPTIONS}/t2.vtt", text=vtt)
    settings = config("bird")

    output = connector.read(settings, "bird_transcripts", sync_mode="incremental")

    assert (output.exit_code, output.errors) == (0, [])
    rows = output.records("bird_transcripts")
    assert [(row["vtt"], "text" in row, "cues" in row) for row in rows] == [(vtt, False, False)] * 2
    (warning,) = [line for line in output.logs("WARN") if "bird_transcripts" in line]
    assert "2 x a transcript that is no WebVTT" in warning
    state = output.of("STATE")[-1]
    api.get(f"{TRANSCRIPTIONS}/t1.vtt", text=VTT)
    again = connector.read(settings, "bird_transcripts", sync_mode="incremental", state=[state])
    assert ["text" in row for row in again.records("bird_transcripts")] == [True, False]
    last = connector.read(settings, "bird_transcripts", sync_mode="incremental", state=[again.of("STATE")[-1]])
    assert [row["transcriptionId"] for row in last.records("bird_transcripts")] == ["t2"]


@pytest.mark.parametrize(
    ("cue", "text", "voice"),
    [
        ("Hello", "Hello", None),
        ("<v Ann>Hello", "Hello", "Ann"),
        ("<v.loud Ann>Hello</v>", "Hello", "Ann"),
        ("- <v Ann>Hello\n<v Ann>again", "- Hello\nagain", "Ann"),
        ("<v Ann>Hello\n<v Bob>Hi", "Hello\nHi", None),
        ("<v >Hello", "Hello", None),
        ("<i>1 &lt; 2</i> &amp;amp; so on", "1 < 2 &amp; so on", None),
    ],
)
def test_what_a_cue_says(cue: str, text: str, voice: str | None) -> None:
    """Voices, marks and signs as https://www.w3.org/TR/webvtt1/ has them."""
    quirks = EXAMPLES["bird"].provider.quirks
    vtt = f"WEBVTT - title\n\nNOTE made\nby hand\n\nfirst\n00:01.000 --> 00:02.000 align:start\n{cue}\n"

    assert quirks["cues"](vtt) == [{"start": 1.0, "end": 2.0, "text": text, "voice": voice}]
    assert quirks["said"](vtt) == text


def test_a_transcript_in_which_nothing_is_said_is_one() -> None:
    quirks = EXAMPLES["bird"].provider.quirks
    assert quirks["cues"]("WEBVTT\r\n") == []
    assert quirks["said"]("WEBVTT\r\n") == ""
