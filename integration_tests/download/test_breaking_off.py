"""Bodies that break off: resumed where the host can, taken anew where it can't, never stored short."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from integration_tests.download.host import BODY, ETAG, Host, answer, chunked, cut, fetch, fixed, until_close, whole
from source_recordings.files.download import CHUNK
from source_recordings.files.staging import Staging


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("at", [0, 1, CHUNK, CHUNK + 1, len(BODY) - 1])
def test_a_broken_connection_is_resumed(hosts: Callable[..., Host], staging: Staging, at: int, reset: bool) -> None:
    host = hosts(cut(whole(ETAG), at, reset=reset), whole(ETAG))
    assert fetch(host, staging)[0] == BODY
    assert len(host.requests) == 2
    resumed = host.requests[1]
    if resumed.start:
        assert resumed.headers["if-range"] == '"v1"'
        assert resumed.start <= at
    if not reset and at:
        assert resumed.start == at


def test_many_breaks_are_fine_as_long_as_each_try_comes_further(hosts: Callable[..., Host], staging: Staging) -> None:
    host = hosts(*[cut(whole(ETAG), 30_000)] * 40)
    waits: list[float] = []
    assert fetch(host, staging, waits=waits)[0] == BODY
    assert [r.start for r in host.requests] == list(range(0, len(BODY), 30_000))
    assert max(waits) < 1


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ['ETag: W/"v1"'],
        ["Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT"],
        ["Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT", "Date: Sat, 01 Jan 2022 00:00:00 GMT"],
        ["Last-Modified: yesterday", "Date: Sat, 01 Jan 2022 00:00:00 GMT"],
    ],
)
def test_without_a_strong_validator_it_starts_again(
    hosts: Callable[..., Host], staging: Staging, headers: list[str]
) -> None:
    host = hosts(cut(whole(*headers), CHUNK + 1), whole(*headers))
    assert fetch(host, staging)[0] == BODY
    assert "range" not in host.requests[1].headers


def test_a_modification_date_that_is_old_enough_validates(hosts: Callable[..., Host], staging: Staging) -> None:
    headers = ["Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT", "Date: Sat, 01 Jan 2022 00:01:00 GMT"]
    host = hosts(cut(whole(*headers), 77), whole(*headers))
    assert fetch(host, staging)[0] == BODY
    assert host.requests[1].headers["if-range"] == "Sat, 01 Jan 2022 00:00:00 GMT"
    assert host.requests[1].start == 77


def test_a_host_without_ranges_starts_again(hosts: Callable[..., Host], staging: Staging) -> None:
    host = hosts(cut(whole(ETAG), 100_000), fixed(answer("200 OK", ETAG, body=BODY)))
    assert fetch(host, staging)[0] == BODY


def test_a_file_that_has_changed_is_taken_anew(hosts: Callable[..., Host], staging: Staging) -> None:
    other = BODY[::-1][:400_000]
    host = hosts(cut(whole(ETAG), 100_000), whole('ETag: "v2"', body=other))
    assert fetch(host, staging)[0] == other


@pytest.mark.parametrize(
    "headers",
    [
        [f"Content-Range: bytes 5-{len(BODY) - 1}/{len(BODY)}", ETAG],
        [f"Content-Range: bytes 100000-{len(BODY)}/{len(BODY) + 1}", ETAG],
        [f"Content-Range: bytes 100000-{len(BODY) - 1}/{len(BODY)}", 'ETag: "v2"'],
        [f"Content-Range: bytes 100000-{len(BODY) - 1}/*", ETAG],
        ["Content-Range: nonsense"],
        [],
    ],
)
def test_a_range_that_does_not_fit_starts_again(
    hosts: Callable[..., Host], staging: Staging, headers: list[str]
) -> None:
    wrong = answer("206 Partial Content", *headers, body=b"wrong" * 9)
    host = hosts(cut(whole(ETAG), 100_000), fixed(wrong), whole(ETAG))
    assert fetch(host, staging)[0] == BODY
    assert "range" not in host.requests[2].headers


def test_a_refused_range_starts_again(hosts: Callable[..., Host], staging: Staging) -> None:
    refused = answer("416 Range Not Satisfiable", f"Content-Range: bytes */{len(BODY) - 7}")
    host = hosts(cut(whole(ETAG), 100_000), fixed(refused), whole(ETAG))
    assert fetch(host, staging)[0] == BODY
    assert "range" not in host.requests[2].headers


@pytest.mark.parametrize("pieces", [1, 7])
def test_a_chunked_body_that_breaks_off_is_not_whole(hosts: Callable[..., Host], staging: Staging, pieces: int) -> None:
    """Every chunk is there, only the last, empty one is not."""
    host = hosts(fixed(chunked(BODY, pieces=pieces, end=False), then_close=True), fixed(chunked(BODY)))
    assert fetch(host, staging)[0] == BODY
    assert len(host.requests) == 2


def test_a_chunked_body_is_resumed(hosts: Callable[..., Host], staging: Staging) -> None:
    host = hosts(fixed(chunked(BODY[:-999], ETAG, end=False), then_close=True), whole(ETAG))
    assert fetch(host, staging)[0] == BODY
    assert 0 < host.requests[1].start < len(BODY)


def test_a_chunked_body_that_broke_off_behind_its_last_byte_is_not_read_again(
    hosts: Callable[..., Host], staging: Staging
) -> None:
    body = BODY[: 2 * CHUNK]  # so that all of it has been written
    behind = answer("416 Range Not Satisfiable", f"Content-Range: bytes */{len(body)}")
    host = hosts(fixed(chunked(body, ETAG, pieces=2, end=False), then_close=True), fixed(behind))
    assert fetch(host, staging)[0] == body
    assert host.requests[1].start == len(body)


def test_an_end_without_a_length_is_confirmed_by_a_range(hosts: Callable[..., Host], staging: Staging) -> None:
    behind = answer("416 Range Not Satisfiable", f"Content-Range: bytes */{len(BODY)}")
    host = hosts(until_close(BODY, ETAG), fixed(behind))
    assert fetch(host, staging)[0] == BODY
    assert host.requests[1].start == len(BODY)


def test_a_cut_without_a_length_is_found_by_a_range(hosts: Callable[..., Host], staging: Staging) -> None:
    host = hosts(until_close(BODY[:5000], ETAG), whole(ETAG))
    assert fetch(host, staging)[0] == BODY
    assert host.requests[1].start == 5000


@pytest.mark.parametrize("size", [0, len(BODY)])
def test_an_end_without_a_length_is_confirmed_by_another_download(
    hosts: Callable[..., Host], staging: Staging, size: int
) -> None:
    host = hosts(until_close(BODY[:size]))
    assert fetch(host, staging)[0] == BODY[:size]
    assert len(host.requests) == 2


def test_a_cut_without_a_length_is_found_by_another_download(hosts: Callable[..., Host], staging: Staging) -> None:
    cuts = [until_close(BODY[:5000]), until_close(BODY[:700]), until_close(BODY)]
    host = hosts(*cuts)
    assert fetch(host, staging)[0] == BODY
    assert len(host.requests) == 4


def test_the_length_that_the_provider_told_confirms_an_end(hosts: Callable[..., Host], staging: Staging) -> None:
    host = hosts(until_close(BODY[:5000]), until_close(BODY))
    assert fetch(host, staging, expected=len(BODY))[0] == BODY
    assert len(host.requests) == 2


def test_the_host_knows_a_files_length_better_than_the_provider(hosts: Callable[..., Host], staging: Staging) -> None:
    assert fetch(hosts(whole()), staging, expected=5)[0] == BODY


def test_a_compressed_body_that_breaks_off_starts_again(hosts: Callable[..., Host], staging: Staging) -> None:
    packed = fixed(answer("200 OK", "Content-Encoding: gzip", ETAG, body=gzip.compress(BODY)))
    host = hosts(cut(packed, 100_000), packed)
    assert fetch(host, staging)[0] == BODY
    assert "range" not in host.requests[1].headers
