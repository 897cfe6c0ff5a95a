"""Every file whole and byte for byte, of any size, under a safe name, and the credential nowhere but at its host."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from integration_tests.files.audio import (
    OtherHost,
    all_stored,
    assert_whole,
    downloads,
    files_in,
    media_id_of,
    read_all,
    record_of,
    stored,
    stored_ids,
    youngest,
)
from integration_tests.syncing import (
    CURSORS,
    FILE_KEYS,
    PROVIDERS,
    Row,
    ids_of,
    keys,
    provider_of,
    sandbox_config,
    sync,
)
from sandbox import Sandbox
from unit_tests.harness import Connector


def test_every_file_of_every_provider_byte_for_byte(sandbox: Sandbox, staging: Path) -> None:
    """And the record's reference leads the platform to it; no storage host gets a credential, no record a signature."""
    result = read_all(sandbox)

    assert not result.failed
    for stream in FILE_KEYS:
        truth = {media_id_of(stream, row): row for row in sandbox.rows(stream)}
        rows = result.records(stream)
        assert Counter(keys(sandbox, stream, rows)) == Counter(map(tuple, sandbox.truth(stream)))
        assert stored(result, stream)
        for row in rows:
            expected = truth[media_id_of(stream, row)]
            assert {name: row.get(name) for name in expected} == expected
            if row["media_status"] == "stored":
                assert_whole(sandbox, staging, stream, row)
                provider, year, month, name = row["media_path"].split("/")
                created = row.get(CURSORS[stream]) or "0000-00"
                assert (provider, f"{year}-{month}") == (provider_of(stream), created[:7])
                assert all(part in name for part in media_id_of(stream, row).split("/"))
            else:
                assert "media_path" not in row and "media_sha256" not in row
    paths = [row["media_path"] for row in all_stored(result)]
    assert len(paths) == len(set(paths))
    assert files_in(staging) == set(paths)

    for message in result.messages:
        assert "X-Amz-Signature" not in json.dumps(message)
        if message["type"] == "RECORD":
            row, reference = message["record"]["data"], message["record"].get("file_reference")
            if row["media_status"] == "stored":
                assert reference == {
                    "staging_file_url": str(staging / row["media_path"]),
                    "source_file_relative_path": row["media_path"],
                    "file_size_bytes": row["media_bytes"],
                }
            else:
                assert reference is None
    asked = [r for r in sandbox.requests if r.provider == "storage"]
    assert asked
    for request in asked:
        assert not {"authorization", "cookie", "referer"} & {n.lower() for n in request.headers}


def test_the_catalog_says_that_the_streams_have_files(connector: Connector, sandbox: Sandbox) -> None:
    offered = connector.discover(sandbox_config(sandbox)).streams
    with_files = {name for name, stream in offered.items() if stream.get("is_file_based")}
    assert with_files == set(FILE_KEYS)


def test_the_ids_that_the_config_names(sandbox: Sandbox, staging: Path) -> None:
    """Without a listing: the same files of the same recordings. Files that stand in a list's rows are then not offered."""
    config = sandbox_config(sandbox)
    offered = {
        stream.name for p in PROVIDERS.values() if p.ids for stream in p.offered({p.ids.key: ["x"]}) if stream.file
    }
    assert set(FILE_KEYS) - offered == {"quo_voicemail_files"}
    everything = sync(config, *offered)
    expected: dict[str, Any] = {}
    for stream in offered:
        key, known = ids_of(sandbox)[provider_of(stream)]
        found = stored(everything, stream)
        (field,) = (name for name in found[0] if all(row[name] in known for row in found))
        ids = [row[field] for row in found][:2]
        config[provider_of(stream)][key] = list(dict.fromkeys(ids))
        rows = [r for r in everything.records(stream) if r[field] in ids]
        expected[stream] = {media_id_of(stream, r): r.get("media_sha256") for r in rows}
    result = sync(config, *offered)
    for stream in offered:
        got = {media_id_of(stream, r): r.get("media_sha256") for r in result.records(stream)}
        assert got == expected[stream]
        for row in stored(result, stream):
            assert_whole(sandbox, staging, stream, row)


def test_files_of_any_size(sandbox: Sandbox, staging: Path) -> None:
    sizes = {}
    for stream in FILE_KEYS:
        ids = stored_ids(sandbox, stream)[:3]
        sizes[stream] = dict(zip(ids, (2, 300_000, 1), strict=True))
        sandbox.knobs.media_sizes.update(sizes[stream])
    result = read_all(sandbox)
    for stream in FILE_KEYS:
        for media_id, size in sizes[stream].items():
            row = record_of(result, stream, media_id)
            assert row["media_bytes"] == size
            assert_whole(sandbox, staging, stream, row)


def test_300_megabytes(sandbox: Sandbox, staging: Path) -> None:
    stream = "bird_recording_files"
    media_id = youngest(sandbox, stream)[0]
    sandbox.knobs.media_sizes[media_id] = 300_000_000
    config = sandbox_config(sandbox, "bird")
    config["bird"]["recording_ids"] = [media_id]
    (row,) = sync(config, stream).records(stream)
    assert row["media_bytes"] == 300_000_000
    assert_whole(sandbox, staging, stream, row)
    (staging / row["media_path"]).unlink()


@pytest.mark.parametrize("told", [True, False])
def test_a_file_over_the_limit_is_not_stored(sandbox: Sandbox, staging: Path, told: bool) -> None:
    """Whether its host tells its length or not."""
    sandbox.knobs.content_length = told
    large = {stream: stored_ids(sandbox, stream)[-1] for stream in FILE_KEYS}
    fitting = {stream: stored_ids(sandbox, stream)[-2] for stream in FILE_KEYS}
    sandbox.knobs.media_sizes.update(dict.fromkeys(large.values(), 1_000_001))
    sandbox.knobs.media_sizes.update(dict.fromkeys(fitting.values(), 1_000_000))
    result = read_all(sandbox, max_file_size_mb=1)
    assert not result.failed
    for stream in FILE_KEYS:
        row = record_of(result, stream, large[stream])
        assert row["media_status"] == "too_large"
        assert "media_path" not in row and "media_sha256" not in row
        if told:
            assert row["media_bytes"] == 1_000_001
        assert_whole(sandbox, staging, stream, record_of(result, stream, fitting[stream]))
    assert files_in(staging) == {row["media_path"] for row in all_stored(result)}
    # What the provider itself calls too large is not asked for.
    assert downloads(sandbox, "bota_recording_files", fitting["bota_recording_files"])
    assert not downloads(sandbox, "bota_recording_files", large["bota_recording_files"])


def test_no_credential_goes_to_another_host(sandbox: Sandbox, staging: Path, other_host: OtherHost) -> None:
    """Not with Bird's redirect, nor with an address of another host in an answer."""
    url = other_host.url
    quo = {"id": "x", "status": "completed", "url": url}
    answers: dict[str, tuple[str, Row]] = {
        "bird": (r"\.mp3$", {"status": 307, "headers": {"Location": url}}),
        "amigo": ("/urls$", {"status": 200, "body": {"call_sid": "x", "inbound_url": url}}),
        "quo": ("/call-recordings/", {"status": 200, "body": {"data": [quo]}}),
        "bota": ("/download-url$", {"status": 200, "body": {"media_id": "x", "download_url": url}}),
        "tether": ("/recording$", {"status": 200, "body": {"success": True, "audioUrl": url}}),
    }
    for provider, (path, answer) in answers.items():
        sandbox.fault(provider, path, **answer)
    voicemail = {"id": "VM1", "status": "completed", "recordingUrl": url}
    call = {"id": "AC1", "createdAt": "2026-10-31T00:00:00Z", "answeredAt": "x", "voicemail": voicemail}
    sandbox.fault("quo", "^/calls", status=200, body={"data": [call], "nextCursor": None})
    result = sync(sandbox_config(sandbox, *answers), *FILE_KEYS)
    assert all(stored(result, stream) for stream in FILE_KEYS)
    assert len(other_host.headers) == len(all_stored(result))
    for headers in other_host.headers:
        assert not {"authorization", "cookie", "referer"} & set(headers)
    for row in all_stored(result):
        assert (staging / row["media_path"]).read_bytes() == other_host.body
    asked = [r for r in sandbox.requests if r.path.endswith(".mp3")]
    assert asked and all(r.headers["Authorization"].startswith("AccessKey ") for r in asked)


HOSTILE = [
    "../../../../etc/cron.d/evil",
    "/etc/passwd",
    "..",
    ".",
    "a\x00b",
    "x" * 5000,
    "C:\\windows\\evil",
    "CON",
    "-rf",
    "\N{SNOWMAN}\n",
    "a/../b",
    "{{ config }}",
]


@pytest.mark.parametrize("provider", ["amigo", "quo"])
def test_no_name_leaves_the_staging_directory(
    sandbox: Sandbox, staging: Path, other_host: OtherHost, provider: str
) -> None:
    """Whatever ids a provider sends: as many files as ids, all of them below its folder."""
    stream = f"{provider}_recording_files"
    config = sandbox_config(sandbox, provider)
    if provider == "quo":
        config["quo"]["call_ids"] = ["AC1"]
        rows = [{"id": i, "status": "completed", "url": other_host.url} for i in HOSTILE]
        sandbox.fault("quo", "/call-recordings/", status=200, body={"data": rows})
    else:
        config["amigo"]["call_sids"] = [f"CA{number}" for number in range(len(HOSTILE))]
        for number, name in enumerate(HOSTILE):
            url = f"{other_host.url}/{quote(name, safe='')}"
            body = {"call_sid": f"{name}{number}", "inbound_url": url}
            sandbox.fault("amigo", f"/CA{number}/urls$", status=200, body=body)
    result = sync(config, stream)
    rows = stored(result, stream)
    assert len({row["media_path"] for row in rows}) == len(HOSTILE)
    assert files_in(staging) == {row["media_path"] for row in rows}
    for row in rows:
        assert row["media_path"].startswith(f"{provider}/")
        assert (staging / row["media_path"]).resolve().is_relative_to(staging.resolve() / provider)
    assert files_in(staging.parent) == {f"staging/{row['media_path']}" for row in rows}


def test_records_without_files(sandbox: Sandbox, staging: Path) -> None:
    """`include_files: false` of the configured stream."""
    result = sync(sandbox_config(sandbox), *FILE_KEYS, include_files=False)
    assert not result.failed
    for stream in FILE_KEYS:
        rows = result.records(stream)
        assert set(keys(sandbox, stream, rows)) == set(map(tuple, sandbox.truth(stream)))
        assert not any("media_status" in r or "media_path" in r for r in rows)
    assert not any(m["record"].get("file_reference") for m in result.messages if "record" in m)
    assert not staging.exists() or files_in(staging) == set()
    for request in sandbox.requests:
        assert request.provider != "storage"
        assert not request.path.endswith(".mp3") and "/download/" not in request.path
