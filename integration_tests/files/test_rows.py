"""A file for each recording, on every file system; audio inside an answer."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from integration_tests.files.one_file import AUDIO, MP3, PAGE, bytes_of, recordings
from integration_tests.files.raw_host import RawHost, answer, as_json
from integration_tests.syncing import Row, Sync, sync

# --- names --------------------------------------------------------------------------------------------

WORKSPACE = "8bc02f53-87ac-48d2-b4fd-c2cf856a305f"


@pytest.mark.parametrize(
    "ids",
    [
        ["x", "x.mp3", "x.MP3", "X", "X.mp3", "x.mp3.mp3"],
        ["X1", "x1"],
        ["CA3f", "ca3f", "Ca3F", "cA3f"],
        ["CRwRVK2qBq", "CRwRVK2qbq", "crwrvk2qbq"],
        ["\u00e9", "e\u0301", "\u00c9"],
        ["con", "CON", "con.mp3", "nul", "com1", "lpt9.txt"],
        ["a", "a.", "a ", " a", ".a", "a..", "a\0"],
        ["y" * 300, "y" * 301, "Y" * 300, "y" * 299 + "z"],
        ["_X-82ab63bada6d", "X", "_x-82ab63bada6d"],
        ["a/b", "a\\b", "a:b", "a_b", "a%2Fb"],
        ["\u0130", "i", "I", "\u0131", "\u017f", "s", "S", "\u00df", "ss"],
        [1, "01", "1.0"],
    ],
    ids=ascii,
)
def test_each_id_has_a_file_of_its_own_on_every_file_system(host: RawHost, staging: Path, ids: list[Any]) -> None:
    """Also where `X` and `x`, or two spellings of one letter, are one name; and each sync gives the same names."""
    rows = []
    for number, one in enumerate(ids):
        host.answers[f"/{number}"] = answer(AUDIO + bytes([number]), Content_Type=MP3)
        rows.append({"id": one, "url": f"{host.url}/{number}"})
    paths: list[dict[Any, str]] = []
    for ordered in (rows, rows[::-1]):
        result = recordings(host, ordered)
        found = {r["recordingId"]: r for r in result.records("quo_recording_files")}
        for number, one in enumerate(ids):
            assert bytes_of(found[one], staging) == AUDIO + bytes([number])
        paths.append({one: found[one]["media_path"] for one in ids})
    assert paths[0] == paths[1]
    assert len({path.casefold() for path in paths[0].values()}) == len(ids)
    assert all(path.isascii() for path in paths[0].values())


@pytest.mark.parametrize(
    "urls",
    [
        ("/download/inbound/audio.wav", "/download/outbound/audio.wav"),
        ("inbound/audio.wav", "outbound/audio.wav"),
        ("{endpoint}/inbound/audio.wav", "{endpoint}/outbound/audio.wav"),
        ("{host}{endpoint}/inbound/audio.wav", "{host}{endpoint}/outbound/audio.wav"),
        ("{host}/a/audio.wav?x=1", "{host}/b/audio.wav?x=1"),
        ("{host}/a/audio.wav", "{host}/b/AUDIO.wav"),
        ("{host}/a/audio", "{host}/b/audio.wav"),
        ("{host}/a/%FE.wav", "{host}/a/%FF.wav"),
        ("inbound-1/a.wav", "inbound/1-a.wav"),
    ],
    ids=ascii,
)
def test_two_tracks_with_one_name_are_two_files(host: RawHost, staging: Path, urls: tuple[str, str]) -> None:
    recording = f"/v1/{WORKSPACE}/recordings/CA1"
    endpoint = f"{recording}/download"
    inbound, outbound = (url.format(host=host.url, endpoint=endpoint) for url in urls)
    row = {"call_sid": "CA1", "inbound_url": inbound, "outbound_url": outbound}
    host.answers[f"{recording}/urls"] = as_json(row)
    bodies = []
    for number, url in enumerate((inbound, outbound)):
        bodies.append(b"RIFF\x24\x08\0\0WAVE" + AUDIO + bytes([number]))
        path = url.removeprefix(host.url).partition("?")[0]
        if not url.startswith(host.url) and not path.startswith(endpoint):
            path = f"{endpoint}/{path.removeprefix('/download/')}"
        host.answers[path] = answer(bodies[-1])
    config = {"amigo": {"api_key": "key", "workspace_id": WORKSPACE, "base_url": host.url, "call_sids": ["CA1"]}}
    seen = []
    for _ in range(2):
        rows = sync(config, "amigo_recording_files").records("amigo_recording_files")
        assert len({r["filename"] for r in rows}) == 2
        assert sorted(bytes_of(r, staging) for r in rows) == sorted(bodies)
        assert len({r["media_path"].casefold() for r in rows}) == 2
        seen.append({r["filename"]: r["media_path"] for r in rows})
    assert seen[0] == seen[1]


def test_a_track_whose_address_is_none_does_not_take_the_other_one_along(host: RawHost) -> None:
    recording = f"/v1/{WORKSPACE}/recordings/CA1"
    row = {"call_sid": "CA1", "inbound_url": "https://[bad", "outbound_url": f"{host.url}/good"}
    host.answers[f"{recording}/urls"] = as_json(row)
    config = {"amigo": {"api_key": "key", "workspace_id": WORKSPACE, "base_url": host.url, "call_sids": ["CA1"]}}
    result = sync(config, "amigo_recording_files")
    (stored,) = result.records("amigo_recording_files")
    assert stored["media_status"] == "stored"
    assert any("Amigo gave an address" in error for error in result.errors())


# --- audio in the answer itself -------------------------------------------------------------------------


def tether(host: RawHost, text: str, *streams: str) -> Sync:
    """A sync of one call with this answer; its rows."""
    host.answers["/api/calls/c1/recording"] = answer(text.encode(), Content_Type="application/json")
    config = {
        "tether": {
            "base_url": host.url,
            "credentials": {"auth_type": "token", "access_token": "token"},
            "call_ids": ["c1"],
            "include_audio_data": True,
        }
    }
    return sync(config, *(streams or ("tether_recording_files",)))


def inside(audio: bytes, head: str = "data:audio/mpeg;base64,") -> str:
    return head + base64.b64encode(audio).decode()


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        (json.dumps({"success": True, "audioData": inside(AUDIO)}), MP3),
        (json.dumps({"success": True, "audioData": inside(AUDIO, "")}), MP3),
        (json.dumps({"success": True, "audioData": inside(AUDIO, "data:;base64,")}), MP3),
        (json.dumps({"success": True, "audioData": inside(AUDIO, "data:audio/wav;base64,")}), MP3),
        (json.dumps({"success": True, "audioData": inside(AUDIO)}).replace("audioData", "audio\\u0044ata"), MP3),
        (json.dumps({"success": True, "audioData": inside(AUDIO, "")}).replace("audioData", "audio\\u0044ata"), MP3),
        (json.dumps({"success": True, "a": {"audioData": "x"}, "audioData": inside(AUDIO)}), MP3),
        (f'{{"success": true, "audioData": null, "audioData": "{inside(AUDIO)}"}}', MP3),
        (f'{{"success": true, "audioData": "QUJD", "audioData": "{inside(AUDIO)}"}}', MP3),
    ],
    ids=range(9),
)
def test_audio_in_the_answer(host: RawHost, staging: Path, text: str, content_type: str) -> None:
    (row,) = tether(host, text).records("tether_recording_files")
    assert (row["media_status"], row["media_type"]) == ("stored", content_type)
    assert bytes_of(row, staging) == AUDIO
    (record,) = tether(host, text, "tether_call_recordings").records("tether_call_recordings")
    assert record["audioData"] == json.loads(text)["audioData"]
    assert "apart:" not in json.dumps(record)


NO_AUDIO = ["N/A", "processing", "data:", "@@@@", "Recording not available yet", "", inside(b""), inside(PAGE)]


@pytest.mark.parametrize("data", [*NO_AUDIO, inside(b'{"error": 1}', ""), 5, ["x"], True, {}])
def test_what_is_no_audio_in_the_answer_is_missing(host: RawHost, staging: Path, data: Any) -> None:
    """Unless there is an address beside it."""
    result = tether(host, json.dumps({"success": True, "audioData": data}))
    assert not result.failed
    (row,) = result.records("tether_recording_files")
    assert row["media_status"] == "missing"
    assert not any(p.is_file() for p in staging.rglob("*"))


@pytest.mark.parametrize("data", ["N/A", "processing", "data:", "@@@@", "", None, 5, ["x"]])
def test_the_address_beside_what_is_no_audio(host: RawHost, staging: Path, data: Any) -> None:
    result = tether(host, json.dumps({"success": True, "audioData": data, "audioUrl": f"{host.url}/good"}))
    (row,) = result.records("tether_recording_files")
    assert bytes_of(row, staging) == AUDIO


# --- rows -------------------------------------------------------------------------------------------------


def test_a_row_without_its_key_is_skipped_and_counted(
    host: RawHost, staging: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two of them would be one file."""
    rows: list[Row] = [{"id": None, "url": f"{host.url}/good"}, {"url": f"{host.url}/good"}]
    result = recordings(host, rows)
    assert len(result.records("quo_recording_files")) == 2
    assert "2 x a row without recordingId" in caplog.text
    assert len([p for p in staging.rglob("*") if p.is_file()]) == 2
