"""Which rows name a file, where it is to be had, and what becomes of it in a record."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests_mock
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.types import Record
from airbyte_cdk.utils import AirbyteTracedException

from source_recordings.media.jobs import (
    FileJobs,
    delivered_key,
    is_settled,
    records_before,
)
from unit_tests.harness import AMIGO, BIRD, BOTA, CREATED, QUO, WORKSPACE, Connector, Row, config

STORAGE = "https://storage.example.com/file?signature=abc%2Fd"
BODY = b"ID3" + bytes(1000)


@pytest.fixture(autouse=True)
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "staging"
    monkeypatch.setenv("AIRBYTE_STAGING_DIRECTORY", str(folder))
    return folder


@pytest.fixture
def storage(api: requests_mock.Mocker) -> requests_mock.Mocker:
    api.get(STORAGE, content=BODY, headers={"Content-Type": "audio/mpeg"})
    return api


# --- Amigo's three addresses ------------------------------------------------------------------


def amigo_files(
    connector: Connector, api: requests_mock.Mocker, urls: Row, **own: Any
) -> list[Row]:
    api.get(f"{AMIGO}/v1/{WORKSPACE}/recordings/CA1/urls", json={"call_sid": "CA1", **urls})
    settings = config(amigo={"call_sids": ["CA1"], **own})
    return connector.read(settings, "amigo_recording_files").records("amigo_recording_files")


@pytest.mark.parametrize(
    "url",
    [
        f"/v1/{WORKSPACE}/recordings/CA1/download/inbound.wav",
        f"{AMIGO}/v1/{WORKSPACE}/recordings/CA1/download/inbound.wav",
        f"https://amigo.example.com/v1/{WORKSPACE}/recordings/CA1/download/inbound.wav",
        "inbound.wav",
    ],
)
def test_a_path_and_an_address_of_the_api_are_the_download_endpoint(
    connector: Connector, api: requests_mock.Mocker, url: str
) -> None:
    """Also where `base_url` is a proxy and the API gives its public name."""
    endpoint = f"{AMIGO}/v1/{WORKSPACE}/recordings/CA1/download/inbound.wav"
    api.get(endpoint, content=BODY)
    (row,) = amigo_files(connector, api, {"inbound_url": url, "outbound_url": None})
    assert (row["filename"], row["media_status"]) == ("inbound.wav", "stored")
    # The host says nothing of the type, the name does.
    assert row["media_type"] == "audio/wav"
    assert row["media_path"].endswith("CA1-inbound.wav")


def test_an_address_of_another_host_stays(
    connector: Connector, storage: requests_mock.Mocker
) -> None:
    (row,) = amigo_files(connector, storage, {"outbound_url": STORAGE})
    assert (row["filename"], row["media_type"]) == ("file", "audio/mpeg")
    assert row["media_path"].endswith("CA1-file.mp3")


@pytest.mark.parametrize("body", [{}, {"status": "restoring", "inbound_url": "x"}])
def test_no_address_is_no_row(connector: Connector, api: requests_mock.Mocker, body: Row) -> None:
    assert amigo_files(connector, api, body) == []


@pytest.mark.parametrize("status", [202, 400, 404, 422])
def test_a_documented_refusal_of_one_file_is_missing(
    connector: Connector, api: requests_mock.Mocker, status: int
) -> None:
    api.get(f"{AMIGO}/v1/{WORKSPACE}/recordings/CA1/download/a.wav", status_code=status)
    (row,) = amigo_files(connector, api, {"inbound_url": "a.wav"})
    assert row["media_status"] == "missing"


# --- the provider's own host ------------------------------------------------------------------


def bird_file(connector: Connector, api: requests_mock.Mocker, **answer: Any) -> Any:
    address = f"{BIRD}/workspaces/{WORKSPACE}/recordings/r1"
    api.get(address, json={"id": "r1", "status": "available", "createdAt": CREATED})
    api.get(f"{address}.mp3", **answer)
    settings = config(bird={"recording_ids": ["r1"]})
    return connector.read(settings, "bird_recording_files")


def test_the_credential_stays_with_the_providers_host(
    connector: Connector, storage: requests_mock.Mocker, staging: Path
) -> None:
    """The `api` fixture looks at every request: none to another host has an Authorization header."""
    output = bird_file(connector, storage, status_code=307, headers={"Location": STORAGE})
    (row,) = output.records("bird_recording_files")
    assert row == {
        "recordingId": "r1",
        "recordingCreatedAt": CREATED,
        "media_status": "stored",
        "media_type": "audio/mpeg",
        "media_bytes": len(BODY),
        "media_sha256": hashlib.sha256(BODY).hexdigest(),
        "media_path": "bird/2024/03/r1.mp3",
    }
    assert (staging / row["media_path"]).read_bytes() == BODY
    assert "signature" not in output.said


def test_a_rejected_credential_is_a_config_error(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    output = bird_file(connector, api, status_code=401)
    assert output.ended("bird_recording_files") == "INCOMPLETE"
    assert any(error["failure_type"] == "config_error" for error in output.errors)
    assert "`bird.access_key`" in output.said


def test_a_redirect_to_plain_http_is_refused(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    location = {"Location": "http://storage.example.com/x?signature=abc"}
    output = bird_file(connector, api, status_code=307, headers=location)
    assert output.exit_code == 1
    assert "not https" in output.said
    assert "signature=abc" not in output.said


def test_a_folder_that_cannot_be_written(
    connector: Connector, storage: requests_mock.Mocker, staging: Path
) -> None:
    staging.write_text("a file")
    output = bird_file(connector, storage, status_code=307, headers={"Location": STORAGE})
    assert output.exit_code == 1
    assert "can't be written" in output.said


# --- what the provider says beforehand ----------------------------------------------------------


def bota_file(connector: Connector, api: requests_mock.Mocker, said: Row, **more: Any) -> Row:
    address = f"{BOTA}/v1/recordings/rec_1"
    media = [{"id": "m1", "status": "uploaded", **said}, {"id": "m2", "status": "pending"}]
    api.get(address, json={"id": "rec_1", "created_at": CREATED, "media": media})
    api.post(
        f"{address}/download-url",
        json={
            "download_url": STORAGE,
            "media_id": "m1",
            "content_type": said.get("mime_type"),
            "file_size_bytes": said.get("file_size_bytes"),
        },
    )
    settings = config(bota={"recording_ids": ["rec_1"]}) | more
    (row,) = connector.read(settings, "bota_recording_files").records("bota_recording_files")
    return row


def test_the_type_that_the_provider_told_where_the_host_knows_none(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    api.get(STORAGE, content=BODY, headers={"Content-Type": "application/octet-stream"})
    row = bota_file(connector, api, {"mime_type": "image/jpeg", "file_size_bytes": len(BODY)})
    assert (row["media_status"], row["media_type"]) == ("stored", "image/jpeg")
    assert row["media_path"].endswith(".jpg")


def test_a_file_that_the_provider_calls_too_large(
    connector: Connector, storage: requests_mock.Mocker
) -> None:
    said = {"mime_type": "video/mp4", "file_size_bytes": 1_000_001}
    row = bota_file(connector, storage, said, max_file_size_mb=1)
    assert (row["media_status"], row["media_bytes"]) == ("too_large", 1_000_001)
    assert row["media_type"] == "video/mp4"
    assert not [r for r in storage.request_history if "storage" in r.url]


def test_an_id_with_slashes_is_no_folder(
    connector: Connector, storage: requests_mock.Mocker, staging: Path
) -> None:
    answer = {"data": [{"id": "../../x", "status": "completed", "url": STORAGE}]}
    storage.get(f"{QUO}/v1/call-recordings/AC1", json=answer)
    output = connector.read(config(quo={"call_ids": ["AC1"]}), "quo_recording_files")
    (row,) = output.records("quo_recording_files")
    assert row["media_path"].startswith("quo/0000/00/_")
    assert row["media_path"].count("/") == 3
    assert list(staging.parent.rglob("*.mp3")) == [staging / row["media_path"]]


# --- jobs ---------------------------------------------------------------------------------------


class FakeMedia:
    """Files that come as their row says: its `file` is a status, or an error."""

    def fetch(self, row: Record, again: Callable[[], Record | None]) -> Record:
        if row.data["file"] == "renewed":
            found = again()
            return self.fetch(found, again) if found else record(row.data["id"], "missing")
        if row.data["file"] == "error":
            raise AirbyteTracedException(
                message=row.data["id"], failure_type=FailureType.transient_error
            )
        return Record(data={**row.data, "media_status": row.data["file"]}, stream_name="files")


def record(key: str, file: str) -> Record:
    return Record(data={"id": key, "file": file, "media_status": file}, stream_name="files")


class Answers:
    """Each request gives the next of these lists of rows."""

    def __init__(self, *answers: list[Record]) -> None:
        self.answers = list(answers)

    def item_of(self, row: Record) -> str:
        return str(row.data["id"])

    def key_of(self, item: str) -> str:
        return item

    def read(self, item: str) -> list[Record]:
        return self.answers.pop(0)


def jobs(*answers: list[Record], delivered: tuple[str, ...] = ()) -> FileJobs[str]:
    return FileJobs(
        rows=Answers(*answers),
        media=FakeMedia(),  # type: ignore[arg-type]
        primary_key=("id",),
        is_ready=lambda row: row.data["file"] != "under way",
        settled_when=lambda row: row.data["file"] != "under way",
        is_delivered=lambda _row, key: key in delivered,
    )


@pytest.mark.parametrize(
    ("files", "settled"),
    [
        (["stored", "stored"], True),
        (["stored", "too_large"], True),
        (["stored", "missing"], False),
        (["stored", "expired"], False),
        (["stored", "under way"], False),
    ],
)
def test_a_call_is_settled_once_all_its_files_are(files: list[str], settled: bool) -> None:
    rows = [record(str(number), file) for number, file in enumerate(files)]
    records = jobs(rows).read("x")
    assert [is_settled(r) for r in records] == [settled] * len(records)
    assert [bool(delivered_key(r)) for r in records] == [
        f in ("stored", "too_large") for f in files if f != "under way"
    ]


def test_a_file_that_was_delivered_is_left_out() -> None:
    rows = [record("a", "stored"), record("b", "stored")]
    (first, _) = jobs(rows).read("x")
    key = delivered_key(first)
    assert key
    assert [r.data["id"] for r in jobs(rows, delivered=(key,)).read("x")] == ["b"]


def test_a_file_that_fails_does_not_keep_back_the_others() -> None:
    rows = [record("a", "error"), record("b", "stored"), record("c", "error")]
    with pytest.raises(AirbyteTracedException) as raised:
        jobs(rows).read("x")
    assert raised.value.message == "a"
    assert [r.data["id"] for r in records_before(raised.value)] == ["b"]


def test_an_address_is_renewed_from_the_same_row() -> None:
    again = [record("b", "too_large"), record("a", "stored")]
    (got,) = jobs([record("a", "renewed")], again).read("x")
    assert (got.data["id"], got.data["media_status"]) == ("a", "stored")
    (got,) = jobs([record("a", "renewed")], [record("b", "stored")]).read("x")
    assert got.data["media_status"] == "missing"


def test_records_have_nothing_of_a_row_but_what_the_schema_names(
    connector: Connector, storage: requests_mock.Mocker
) -> None:
    """A signed address is a secret for as long as it is good."""
    row = bota_file(connector, storage, {"mime_type": "audio/mpeg", "secret": "x"})
    assert "download_url" not in json.dumps(row) and "secret" not in row
    named = connector.discover(config("bota")).streams["bota_recording_files"]["json_schema"]
    assert set(row) <= set(named["properties"])
