"""Bota in each form that its documents describe: the sandbox's lists, details and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests

from integration_tests.documents.client import Client, Row
from sandbox.world import parse_time

LISTS = {
    "bota_recordings": "/v1/recordings",
    "bota_transcriptions": "/v1/transcriptions",
    "bota_summaries": "/v1/summaries",
    "bota_end_users": "/v1/end-users",
    "bota_devices": "/v1/devices",
}
OLD = {"media", "transcription_id", "duration_ms", "started_at", "ended_at"}


def listed(client: Client, path: str, **params: Any) -> list[Row]:
    """All pages, by cursor or else by offset."""
    rows: list[Row] = []
    while True:
        body = client.ok("bota", path, params)
        rows += body["data"]
        if not body["has_more"]:
            assert "next_cursor" not in body
            return rows
        params |= {"cursor": body["next_cursor"]} if "next_cursor" in body else {"offset": len(rows)}


def by_id(rows: list[Row]) -> dict[str, Row]:
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row for row in rows}


@pytest.mark.parametrize("hours", [0, 30])
@pytest.mark.parametrize("limit", [7, 100])
@pytest.mark.parametrize("revision", ["cursor", "offset", "live", "mixed"])
def test_lists_are_the_truth_newest_first(make: Callable[..., Client], revision: str, limit: int, hours: int) -> None:
    client = make(size=150, bota_revision=revision, bota_retranscribed=True)
    client.sandbox.advance(timedelta(hours=hours))
    for stream, path in LISTS.items():
        if stream == "bota_transcriptions" and revision in ("cursor", "offset"):
            assert client.ask("bota", path).status_code == 404
            continue
        rows = listed(client, path, limit=limit)
        times = [parse_time(row["created_at"]) or 0 for row in rows]
        assert times == sorted(times, reverse=True), stream
        truth = by_id(list(client.sandbox.rows(stream)))
        if stream == "bota_transcriptions":
            truth = by_id([detail(client, path, key) for key in truth])
        assert by_id(rows) == truth, stream
        assert len(rows) > 50


def detail(client: Client, path: str, key: str) -> Row:
    found: Row = client.ok("bota", f"{path}/{key}")
    return found


def test_a_row_has_one_form_or_the_other(make: Callable[..., Client]) -> None:
    client = make(size=150, bota_revision="mixed")
    rows = listed(client, "/v1/recordings")
    old = [row for row in rows if row.keys() >= OLD]
    live = [row for row in rows if not row.keys() & OLD]
    assert len(old) + len(live) == len(rows) and min(len(old), len(live)) > 40
    forms = {row["id"]: row in live for row in rows}
    for row in listed(client, "/v1/transcriptions"):
        assert ("full_text" in row) == forms[row["recording_id"]] != ("text" in row)
    client.sandbox.knobs.turn(bota_revision="live")
    assert {row["id"] for row in listed(client, "/v1/recordings")} == set(forms)
    assert not any(row.keys() & OLD for row in listed(client, "/v1/recordings"))


def test_the_list_of_transcriptions_may_want_its_filter(make: Callable[..., Client]) -> None:
    client = make(size=60, bota_revision="live", bota_needs_filter=True)
    assert client.ask("bota", "/v1/transcriptions").status_code == 400
    found = []
    for recording in listed(client, "/v1/recordings"):
        rows = listed(client, "/v1/transcriptions", recording_id=recording["id"])
        assert [row["recording_id"] for row in rows] == [recording["id"]] * len(rows)
        found += rows
    assert sorted((row["id"],) for row in found) == sorted(client.sandbox.truth("bota_transcriptions"))
    assert listed(client, "/v1/transcriptions", recording_id="rec_unknown") == []
    client.sandbox.knobs.turn(bota_needs_filter=False)
    assert by_id(listed(client, "/v1/transcriptions")) == by_id(found)


def test_a_second_transcription_replaces_the_first(make: Callable[..., Client]) -> None:
    client = make(size=150, bota_revision="live", bota_retranscribed=True)
    before = {row["recording_id"]: row["id"] for row in listed(client, "/v1/transcriptions")}
    client.sandbox.advance(timedelta(hours=6))
    after = {row["recording_id"]: row["id"] for row in listed(client, "/v1/transcriptions")}
    replaced = {key for key in before if after[key] != before[key]}
    assert replaced and before.keys() < after.keys(), "some come late, some are replaced"
    for key in replaced:
        assert client.ask("bota", f"/v1/transcriptions/{before[key]}").status_code == 404
    summaries = Counter(row["transcription_id"] in after.values() for row in client.sandbox.rows("bota_summaries"))
    assert summaries[True] > summaries[False] > 0, "the summary of a transcription that was replaced stays"


@pytest.mark.parametrize("revision", ["live", "mixed"])
def test_each_file_has_the_address_of_its_form(make: Callable[..., Client], revision: str) -> None:
    client = make(size=150, bota_revision=revision, bota_encrypted=True, media_bytes=500)
    truth = {row["media_id"]: row for row in client.sandbox.rows("bota_recording_files")}
    sizes, kinds, statuses, encrypted = set(), set(), Counter[int](), 0
    for recording in listed(client, "/v1/recordings"):
        path = f"/v1/recordings/{recording['id']}/download-url"
        answer = client.ask("bota", path)
        if "media" in recording:
            assert answer.status_code == 404
            continue
        statuses[answer.status_code] += 1
        posted = client.ask("bota", path, method="POST", body={"media_id": "med_1"})
        assert posted.status_code == 404
        assert (answer.status_code == 200) == (recording["id"] in truth)
        assert (answer.status_code == 400) == (recording["status"] in ("pending", "streaming"))
        if answer.status_code == 200:
            sizes.add(type(answer.json()["file_size_bytes"]))
            kinds.add(answer.json()["content_type"])
            body = requests.get(answer.json()["download_url"], timeout=10).content
            said = truth.pop(recording["id"])
            assert len(body) == said["media_bytes"] == client.sandbox.media("bota", recording["id"]).size
            assert body.startswith(b"BOTAENC2") == (said["media_type"] == "application/octet-stream")
            encrypted += body.startswith(b"BOTAENC2")
    assert all(key.startswith("med_") for key in truth) and bool(truth) == (revision == "mixed")
    assert sizes == {int, str, type(None)} and None in kinds and encrypted
    assert statuses.keys() == {200, 400, 404}


def test_single_summaries_and_filters(make: Callable[..., Client]) -> None:
    client = make(size=150)
    rows = listed(client, "/v1/summaries")
    for row in rows[:10]:
        assert client.ok("bota", f"/v1/summaries/{row['id']}") == row
        assert listed(client, "/v1/summaries", transcription_id=row["transcription_id"]) == [row]
    assert client.ask("bota", "/v1/summaries/sum_unknown").status_code == 404
    assert {row["status"] for row in rows} >= {"completed", "failed", "processing"}
    (user,) = listed(client, "/v1/end-users", external_id="crm-3") or listed(
        client, "/v1/end-users", external_id="crm-4"
    )
    assert user["external_id"] in ("crm-3", "crm-4")
    assert len(listed(client, "/v1/end-users", external_id="")) == len(client.sandbox.truth("bota_end_users"))
    devices = listed(client, "/v1/devices")
    owner = next(row["end_user_id"] for row in devices if row["end_user_id"])
    assert listed(client, "/v1/devices", end_user_id=owner) == [d for d in devices if d["end_user_id"] == owner]


def test_older_devices_have_other_fields(make: Callable[..., Client]) -> None:
    client = make(bota_revision="offset")
    assert len(client.ok("bota", "/v1/devices")["data"]) == 25
    for row in listed(client, "/v1/devices"):
        assert "device_type" in row and "bound_at" in row and "model" not in row
    users = {row["id"] for row in listed(client, "/v1/end-users")}
    named = {row["end_user_id"] for row in client.sandbox.rows("bota_recordings")} - {None}
    assert named <= users
