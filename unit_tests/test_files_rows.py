"""Which rows name a file, where it is to be had, and what becomes of it in a record."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests_mock

from source_recordings.delivery import Delivery
from source_recordings.errors import PassingError
from source_recordings.expressions import Expression, Names, compile_expression
from source_recordings.http.answers import Reply
from source_recordings.http.asking import Asking, Endpoint
from source_recordings.http.shared import Answers as StreamAnswers
from source_recordings.provider import FileOf, ForEach, Stream, Way, Window
from source_recordings.reading.details import InOrder, Pools
from source_recordings.reading.jobs import Connection, Jobs
from source_recordings.reading.outcome import Outcome
from source_recordings.tally import Tally
from unit_tests.examples import base_url, config, section
from unit_tests.harness import CREATED, Connector, Row
from unit_tests.parts import Answering, a_client, a_provider, operation, some_pools

AMIGO = base_url("amigo")
BIRD = base_url("bird")
BOTA = base_url("bota")
QUO = base_url("quo")
WORKSPACE = section("bird")["workspace_id"]

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


def amigo_files(connector: Connector, api: requests_mock.Mocker, urls: Row, **own: Any) -> list[Row]:
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


def test_an_address_of_another_host_stays(connector: Connector, storage: requests_mock.Mocker) -> None:
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


def test_a_rejected_credential_is_a_config_error(connector: Connector, api: requests_mock.Mocker) -> None:
    output = bird_file(connector, api, status_code=401)
    assert output.ended("bird_recording_files") == "INCOMPLETE"
    assert any(error["failure_type"] == "config_error" for error in output.errors)
    assert "`bird.access_key`" in output.said


def test_a_redirect_to_plain_http_is_refused(connector: Connector, api: requests_mock.Mocker) -> None:
    location = {"Location": "http://storage.example.com/x?signature=abc"}
    output = bird_file(connector, api, status_code=307, headers=location)
    assert output.exit_code == 1
    assert "not https" in output.said
    assert "signature=abc" not in output.said


def test_a_folder_that_cannot_be_written(connector: Connector, storage: requests_mock.Mocker, staging: Path) -> None:
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


def test_a_file_that_the_provider_calls_too_large(connector: Connector, storage: requests_mock.Mocker) -> None:
    said = {"mime_type": "video/mp4", "file_size_bytes": 1_000_001}
    row = bota_file(connector, storage, said, max_file_size_mb=1)
    assert (row["media_status"], row["media_bytes"]) == ("too_large", 1_000_001)
    assert row["media_type"] == "video/mp4"
    assert not [r for r in storage.request_history if "storage" in r.url]


def test_an_id_with_slashes_is_no_folder(connector: Connector, storage: requests_mock.Mocker, staging: Path) -> None:
    answer = {"data": [{"id": "../../x", "status": "completed", "url": STORAGE}]}
    storage.get(f"{QUO}/v1/call-recordings/AC1", json=answer)
    output = connector.read(config(quo={"call_ids": ["AC1"]}), "quo_recording_files")
    (row,) = output.records("quo_recording_files")
    assert row["media_path"].startswith("quo/0000/00/_")
    assert row["media_path"].count("/") == 3
    assert list(staging.parent.rglob("*.mp3")) == [staging / row["media_path"]]


# --- jobs ---------------------------------------------------------------------------------------


def expression(text: str) -> Expression:
    return compile_expression(text)


class Calls(Jobs):
    """A request for each call, whose rows name a file each; each request gives the next of these lists of rows."""

    def __init__(self, pools: Pools, *answers: list[Row], delivered: tuple[str, ...] = ()) -> None:
        calls = Stream("calls", ("id",), operation(), expression("false"), "at", window=Window("at"))
        files = Stream(
            "files",
            ("id",),
            detail := operation("/calls/{id}", rows=("rows",), is_list=True),
            expression("row.file != 'under way'"),
            for_each=ForEach("calls", (Way(detail, (expression("parent.id"),), expression("true")),)),
            keep={"id": expression("row.id")},
            file=FileOf(
                name=expression("row.id"),
                dated=expression("none"),
                when=expression("row.file != 'under way'"),
                url=expression("row.file"),
            ),
        )
        provider = a_provider(streams={"calls": calls, "files": files})
        connection = Connection(provider, {}, a_client(provider), StreamAnswers(), pools)
        super().__init__(connection, files, Tally("files"), self.fake_deliver, lambda key, _: key in delivered)
        self.answers = list(answers)

    def asking(self, endpoint: Endpoint, *_: Any, **__: Any) -> Asking:
        return Answering(lambda: Reply(200, {}, orjson.dumps({"rows": self.answers.pop(0)})), endpoint)

    def fake_deliver(self, names: Names, renew: Callable[[], Names | None]) -> Delivery:
        """A file that comes as its row says: its `file` is a status, or an error."""
        row = names["row"]
        if row["file"] == "renewed":
            again = renew()
            return self.fake_deliver(again, renew) if again else Delivery({"media_status": "missing"})
        if row["file"] == "error":
            raise PassingError(row["id"])
        return Delivery({"id": row["id"], "media_status": row["file"]})


def outcome(*answers: list[Row], delivered: tuple[str, ...] = ()) -> Outcome:
    """What the job about one call gave."""
    with some_pools(2) as pools:
        jobs = Calls(pools, *answers, delivered=delivered)
        order = InOrder(pools, jobs.job)
        for seed in jobs.seeds({"id": "x"}, 0):
            order.add(0, seed)
        order.end()
        ((_, _, found),) = order.outcomes()
        return found


def rows(*files: str) -> list[Row]:
    return [{"id": "abc"[number], "file": file} for number, file in enumerate(files)]


def ids(found: Outcome) -> list[str]:
    return [delivery.data["id"] for delivery in found.deliveries]


@pytest.mark.parametrize(
    ("files", "settled"),
    [
        (["stored", "stored"], True),
        (["stored", "too_large"], True),
        (["stored", "missing"], False),
        (["stored", "expired"], False),
        (["stored", "under way"], False),
        ([], False),
    ],
)
def test_a_call_is_settled_once_all_its_files_are(files: list[str], settled: bool) -> None:
    found = outcome(rows(*files))
    assert found.error is None
    assert found.settled is settled
    assert len(found.deliveries) == len([file for file in files if file != "under way"])
    assert len(found.delivered) == len([f for f in files if f in ("stored", "too_large")])


def test_a_file_that_was_delivered_is_left_out() -> None:
    key = outcome(rows("stored", "stored")).delivered[0]
    assert ids(outcome(rows("stored", "stored"), delivered=(key,))) == ["b"]


def test_a_file_that_fails_does_not_keep_back_the_others() -> None:
    found = outcome(rows("error", "stored", "error"))
    assert isinstance(found.error, PassingError) and found.error.message == "a"
    assert ids(found) == ["b"]
    assert len(found.delivered) == 1


def test_an_address_is_renewed_from_the_same_row() -> None:
    again = [{"id": "b", "file": "too_large"}, {"id": "a", "file": "stored"}]
    (got,) = outcome(rows("renewed"), again).deliveries
    assert got.data == {"id": "a", "media_status": "stored"}
    (got,) = outcome(rows("renewed"), [{"id": "b", "file": "stored"}]).deliveries
    assert got.data["media_status"] == "missing"


@pytest.mark.parametrize("key", ["..", "", ".", None, True])
def test_an_id_that_leads_elsewhere_is_not_asked_for(key: Any) -> None:
    with some_pools(1) as pools:
        jobs = Calls(pools)
        jobs.asking = super(Calls, jobs).asking  # type: ignore[method-assign]
        for seed in jobs.seeds({"id": key}, 0):
            job = jobs.job(seed)
            with pytest.raises(StopIteration) as ended:
                next(job)
            assert ended.value.value.error is None
            assert ended.value.value.deliveries == []


def test_records_have_nothing_of_a_row_but_what_the_schema_names(
    connector: Connector, storage: requests_mock.Mocker
) -> None:
    """A signed address is a secret for as long as it is good."""
    row = bota_file(connector, storage, {"mime_type": "audio/mpeg", "secret": "x"})
    assert "download_url" not in json.dumps(row) and "secret" not in row
    named = connector.discover(config("bota")).streams["bota_recording_files"]["json_schema"]
    assert set(row) <= set(named["properties"])
