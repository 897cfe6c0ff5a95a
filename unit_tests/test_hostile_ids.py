"""An ID is text, whatever it looks like: it goes out as one encoded segment, or is a skip."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests_mock

from unit_tests.examples import DETAILS, EXAMPLES, ID_LISTS, LISTS, Case, config
from unit_tests.harness import Connector
from unit_tests.hostile import ALL_DETAILS, ALL_LISTS, Detail, asked, assert_orderly, summary_of

pytestmark = pytest.mark.usefixtures("quick_start")

every_detail = pytest.mark.parametrize("detail", ALL_DETAILS, ids=str)

TEXT_IDS = [
    "x/y",
    "/",
    "../..",
    "ext/../0042 ü",
    "...",
    "..a",
    ". .",
    "a?b#c",
    "?",
    "#",
    "50%",
    "%2e%2e",
    "%2F",
    "a b",
    " ",
    "a+b&c=d",
    '{"a":1}',
    "[1,2]",
    "Jürgen",
    "日本",
    "😀",
    "a\\b",
    "a\nb",
    "a\x00b",
    "None",
    "0",
    "x" * 500,
    ";@:$,!*'()",
]
NO_SEGMENTS: list[Any] = [".", "..", "\ud83d", "a\udfffb"]
NO_IDS: list[Any] = [{"a": 1}, ["x"], True, ""]


@every_detail
def test_an_id_is_one_encoded_segment(detail: Detail, connector: Connector, api: requests_mock.Mocker) -> None:
    rows = [detail.list_row(key) for key in TEXT_IDS]
    api.get(requests_mock.ANY, **detail.reply("AC1"))
    api.get(detail.parent.case.url, json=detail.parent.page(rows))

    output = connector.read(detail.config, detail.name)

    assert (output.exit_code, output.errors) == (0, [])
    expected = [detail.url("@").replace("%40", quote(key, safe="")) for key in TEXT_IDS]
    assert sorted(asked(api, detail)) == sorted(expected)
    assert len(output.records(detail.name)) == len(TEXT_IDS)


@every_detail
def test_what_can_be_no_segment_is_a_skip(detail: Detail, connector: Connector, api: requests_mock.Mocker) -> None:
    """Where the ID is the row's own key, one that is no text is no key."""
    odd = [*NO_SEGMENTS, *NO_IDS]
    detail.serve(api, ["AC1", "AC2"])
    rows = [detail.list_row("AC1", 0), *(detail.list_row(key) for key in odd), detail.list_row("AC2", 1)]
    for number, row in enumerate(rows):
        own = row[detail.parent.key]
        row[detail.parent.key] = own if own in odd or own == row.get("call_sid") else f"own-{number}"
    if detail.list_row("AC1")[detail.parent.key] == "AC1":
        for key, row in (("AC1", rows[0]), ("AC2", rows[-1])):
            row[detail.parent.key] = key
    api.get(detail.parent.case.url, json=detail.parent.page(rows))

    output = connector.read(detail.config, detail.name)

    assert_orderly(output)
    assert (output.exit_code, output.errors) == (0, [])
    assert output.records(detail.name) == [detail.expected("AC1", 0), detail.expected("AC2", 1)]
    assert sorted(asked(api, detail)) == [detail.url("AC1"), detail.url("AC2")]
    assert f"skipped {len(odd)} " in summary_of(output, detail.name)


@pytest.mark.parametrize("case", DETAILS, ids=str)
def test_an_id_of_the_config_is_one_encoded_segment(
    case: Case, connector: Connector, api: requests_mock.Mocker
) -> None:
    assert case.by_id
    ids = [f"AC{key}" for key in TEXT_IDS]
    api.get(requests_mock.ANY, json=case.answer)

    output = connector.read(config(**{case.provider: {ID_LISTS[case.provider]: ids}}), case.stream)

    assert (output.exit_code, output.errors) == (0, [])
    expected = [case.url.replace(case.by_id, quote(key, safe="")) for key in ids]
    assert sorted(request.url for request in api.request_history) == sorted(expected)


@pytest.mark.parametrize("provider", EXAMPLES)
@pytest.mark.parametrize("odd", [".", "..", "", "\ud83d", "a\udfffb", 7, None, {}])
def test_an_id_of_the_config_that_can_be_none_is_refused_by_name(
    provider: str, odd: Any, connector: Connector, api: requests_mock.Mocker
) -> None:
    name = ID_LISTS[provider]
    stream = next(case.stream for case in DETAILS if case.provider == provider)

    output = connector.read(config(**{provider: {name: ["AC1", odd]}}), stream)

    assert output.exit_code == 1
    assert output.error["failure_type"] == "config_error"
    assert f"`{provider}.{name}.1`" in output.error["message"]
    assert api.call_count == 0


@pytest.mark.parametrize("provider", ["bird", "amigo"])
@pytest.mark.parametrize("odd", [".", "..", ""])
def test_a_workspace_that_can_be_no_segment_is_refused_by_name(
    provider: str, odd: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    case = next(case for case in LISTS if case.provider == provider)

    output = connector.read(config(**{provider: {"workspace_id": odd}}), case.stream)

    assert output.error["failure_type"] == "config_error"
    assert f"`{provider}.workspace_id`" in output.error["message"]
    assert api.call_count == 0


def test_the_id_of_a_file_too(
    connector: Connector, api: requests_mock.Mocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is part of the address of a download."""
    monkeypatch.setenv("AIRBYTE_STAGING_DIRECTORY", str(tmp_path / "staging"))
    a_list = next(each for each in ALL_LISTS if each.name == "bird_recordings")
    odd = [".", "..", "\ud83d", "a\udfffb"]
    rows = [{**a_list.row(0, status="available"), "id": key} for key in [*odd, "a/b?c", "r1"]]
    api.get(a_list.case.url, json=a_list.page(rows))
    for key in ("a%2Fb%3Fc", "r1"):
        api.get(f"{a_list.case.url}/{key}.mp3", content=b"ID3" + bytes(100))

    output = connector.read(config("bird"), "bird_recording_files")

    assert_orderly(output)
    assert (output.exit_code, output.errors) == (0, [])
    assert [row["recordingId"] for row in output.records("bird_recording_files")] == ["a/b?c", "r1"]
    assert f"skipped {len(odd)} " in summary_of(output, "bird_recording_files")


@pytest.mark.parametrize("odd", [{"a": 1}, ["x"], True, 1.5, "", "\ud83d"])
def test_the_id_in_the_body_of_a_request_too(
    odd: Any, connector: Connector, api: requests_mock.Mocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRBYTE_STAGING_DIRECTORY", str(tmp_path / "staging"))
    a_list = next(a for a in ALL_LISTS if a.name == "bota_recordings")
    media = [{"id": odd, "status": "uploaded"}, {"id": "med_1", "status": "uploaded"}]
    api.get(a_list.case.url, json=a_list.page([a_list.row(1, media=media)]))
    address = "https://storage.example.com/med_1"
    api.post(f"{a_list.case.url}/AC1/download-url", json={"download_url": address})
    api.get(address, content=b"ID3" + bytes(100))

    output = connector.read(config("bota"), "bota_recording_files")

    assert_orderly(output)
    assert (output.exit_code, output.errors) == (0, [])
    assert [row["media_id"] for row in output.records("bota_recording_files")] == ["med_1"]
    assert "skipped 1 " in summary_of(output, "bota_recording_files")
