"""Media: signed addresses, ranges, sizes, and the bytes that file rows know."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta

import pytest
import requests

from integration_tests.documents.client import Client, signed_urls


def test_signed_urls_give_the_known_bytes(shared: Client) -> None:
    kinds = set()
    for provider, media_id, url in signed_urls(shared):
        response = requests.get(url, timeout=10)
        assert response.status_code == 200
        media = shared.sandbox.media(provider, media_id)
        assert response.content == b"".join(shared.sandbox.media_bytes(provider, media_id))
        assert int(response.headers["Content-Length"]) == media.size == len(response.content)
        assert response.headers["Content-Type"] == media.content_type
        kinds.add(provider)
    assert kinds == {"bird", "quo", "bota", "tether"}


def test_media_that_come_from_the_api_host(shared: Client) -> None:
    base, kinds = shared.config["amigo"]["base_url"], set()
    for row in list(shared.sandbox.rows("amigo_recording_urls"))[:20]:
        for url in (row["inbound_url"], row["outbound_url"], row["metadata_url"]):
            if url is None:
                continue
            response = shared.ask("amigo", url.removeprefix(base))
            media_id = f"{row['call_sid']}/{url.rpartition('/')[2]}"
            assert response.content == b"".join(shared.sandbox.media_bytes("amigo", media_id))
            kinds.add(response.headers["Content-Type"])
    assert kinds == {"audio/wav", "application/json"}
    metadata = next(iter(shared.sandbox.rows("amigo_recording_metadata")))
    inbound = shared.sandbox.media("amigo", f"{metadata['call_sid']}/inbound.wav")
    assert metadata["inbound_size_bytes"] == inbound.size


def test_audio_inside_a_record(shared: Client) -> None:
    rows = shared.sandbox.rows("tether_call_recordings")
    row = next(row for row in rows if "audioData" in row)
    answered = shared.ok("tether", f"/api/calls/{row['callId']}/recording")
    head, _, body = answered["audioData"].partition(",")
    media = shared.sandbox.media("tether", row["callId"])
    assert head == f"data:{media.content_type};base64"
    assert base64.b64decode(body) == b"".join(media.read())


def test_file_rows_know_the_bytes(make: Callable[..., Client]) -> None:
    client = make(media_bytes=200)
    for stream in ("bird", "quo", "bota", "tether"):
        name = f"{stream}_recording_files"
        row = next(row for row in client.sandbox.rows(name) if row["media_status"] == "stored")
        media = client.sandbox.media(stream, client.sandbox.truth(name)[0][0])
        assert row["media_bytes"] == media.size
        assert row["media_sha256"] == media.sha256()


def test_signed_urls_are_refused_when_they_should_be(make: Callable[..., Client]) -> None:
    client = make()
    for _, _, url in signed_urls(client):
        assert requests.get(url + "0", timeout=10).status_code == 403
        assert requests.get(url.replace("Expires=", "Expires=9"), timeout=10).status_code == 403
        assert requests.get(url.split("?")[0], timeout=10).status_code == 403
        assert requests.head(url, timeout=10).status_code == 403
        leaked = requests.get(url, headers={"Authorization": "Bearer x"}, timeout=10)
        assert leaked.status_code == 400
        entry = client.sandbox.requests[-1]
        assert entry.provider == "storage"
        assert entry.headers["authorization"] == "Bearer x"
        assert entry.status == 400


def test_signed_urls_expire(make: Callable[..., Client]) -> None:
    client = make()
    urls = {provider: url for provider, _, url in signed_urls(client)}
    client.sandbox.advance(timedelta(minutes=9, seconds=59))
    assert {requests.get(url, timeout=10).status_code for url in urls.values()} == {200}
    client.sandbox.advance(timedelta(seconds=2))
    statuses = {name: requests.get(url, timeout=10).status_code for name, url in urls.items()}
    # https://docs.bota.dev/api-reference/uploads/download-url: one hour
    assert statuses == {"bird": 403, "quo": 403, "tether": 403, "bota": 200}
    client.sandbox.expire_urls()
    assert requests.get(urls["bota"], timeout=10).status_code == 403
    assert requests.get(next(signed_urls(client))[2], timeout=10).status_code == 200


def test_ranges(make: Callable[..., Client]) -> None:
    client = make(media_bytes=100_000)
    provider, media_id, url = next(signed_urls(client))
    whole = b"".join(client.sandbox.media_bytes(provider, media_id))
    size = len(whole)

    def part(value: str, **headers: str) -> requests.Response:
        return requests.get(url, headers={"Range": value, **headers}, timeout=10)

    for value, start, stop in (
        ("bytes=0-", 0, size),
        ("bytes=70000-", 70_000, size),
        ("bytes=10-19", 10, 20),
        ("bytes=-5", size - 5, size),
        (f"bytes=5-{size * 2}", 5, size),
    ):
        response = part(value)
        assert response.status_code == 206
        assert response.content == whole[start:stop]
        assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
    beyond = part(f"bytes={size}-")
    assert beyond.status_code == 416
    assert beyond.headers["Content-Range"] == f"bytes */{size}"
    etag = part("bytes=1-").headers["ETag"]
    assert part("bytes=1-", **{"If-Range": etag}).status_code == 206
    assert part("bytes=1-", **{"If-Range": '"other"'}).content == whole
    client.sandbox.knobs.turn(ranges=False)
    assert part("bytes=1-").content == whole


def test_sizes_can_be_set_and_hidden(make: Callable[..., Client]) -> None:
    client = make()
    provider, media_id, url = next(signed_urls(client))
    client.sandbox.knobs.turn(media_sizes={media_id: 0})
    assert requests.get(url, timeout=10).content == b""
    client.sandbox.knobs.turn(media_sizes={media_id: 3_000_001}, content_length=False)
    response = requests.get(url, timeout=10)
    assert "Content-Length" not in response.headers
    assert len(response.content) == 3_000_001
    assert response.content == b"".join(client.sandbox.media_bytes(provider, media_id))


@pytest.mark.parametrize("content_length", [True, False])
def test_a_media_body_cut_short(make: Callable[..., Client], content_length: bool) -> None:
    client = make(media_bytes=300_000, content_length=content_length)
    provider, media_id, url = next(signed_urls(client))
    client.sandbox.fault("storage", media_id, kind="truncate", times=1)
    pieces = requests.get(url, stream=True, timeout=10).iter_content(8192)
    received = bytearray()

    def receive() -> None:
        for piece in pieces:
            received.extend(piece)

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        receive()
    whole = b"".join(client.sandbox.media_bytes(provider, media_id))
    assert 0 < len(received) <= len(whole) // 2 + 1
    assert whole.startswith(bytes(received))
    assert requests.get(url, timeout=10).content == whole
