"""Bodies that come whole: by length, in chunks, up to the connection's end; their sizes, and redirects on the way."""

from __future__ import annotations

import gzip
import http.client
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from airbyte_cdk import AirbyteTracedException
from airbyte_cdk.models import FailureType

from integration_tests.download.host import (
    BODY,
    Host,
    answer,
    chunked,
    fetch,
    fixed,
    parts_left,
    read,
    source_of,
    until_close,
    whole,
)
from source_recordings.files.download import CHUNK, TooLarge, download
from source_recordings.files.source import Api, Missing, Source
from source_recordings.files.staging import Staging
from source_recordings.http.storage import Storage


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, len(BODY)])
def test_a_body_with_a_length(hosts: Callable[..., Host], staging: Staging, size: int) -> None:
    host = hosts(whole("Content-Type: audio/mpeg; charset=x", body=BODY[:size]))
    assert fetch(host, staging) == (BODY[:size], "audio/mpeg")
    assert len(host.requests) == 1


@pytest.mark.parametrize("size", [0, 1, len(BODY)])
def test_a_chunked_body(hosts: Callable[..., Host], staging: Staging, size: int) -> None:
    host = hosts(fixed(chunked(BODY[:size])))
    assert fetch(host, staging)[0] == BODY[:size]
    assert len(host.requests) == 1


def test_the_url_goes_out_as_it_came_and_alone(
    hosts: Callable[..., Host], staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    host = hosts(whole("Set-Cookie: a=b"))
    storage = Storage()
    for _ in range(2):
        with closing(storage.get(host.url, {}, host.url)) as response:
            assert response.raw.read() == BODY
    assert [r.path for r in host.requests] == ["/file?X-Amz-Signature=abc%2Fd"] * 2
    assert not {n for r in host.requests for n in r.headers} & {"authorization", "cookie", "referer"}


def test_one_connection_serves_many_files(hosts: Callable[..., Host], staging: Staging) -> None:
    host = hosts(whole(), fixed(chunked(BODY)), fixed(answer("404 Not Found", body=b"x" * 999)), whole())
    source = source_of(host)
    for _ in range(4):
        with staging.part() as part:
            try:
                download(source, part, 10**9, "x")
                assert read(part) == BODY
            except Missing:
                pass
    assert len(host.requests) == 4
    assert len({r.peer for r in host.requests}) == 1


def test_urllib3_still_has_the_body_where_it_is_read_without_a_copy(hosts: Callable[..., Host]) -> None:
    """`_fp` is private to urllib3; without it a slower way is taken, silently."""
    url = hosts(whole()).url
    with closing(Storage().get(url, {}, url)) as response:
        assert isinstance(response.raw._fp, http.client.HTTPResponse)


def test_a_file_of_just_the_limit(hosts: Callable[..., Host], staging: Staging) -> None:
    assert fetch(hosts(whole()), staging, limit=len(BODY))[0] == BODY
    assert fetch(hosts(fixed(chunked(BODY))), staging, limit=len(BODY))[0] == BODY


def test_a_file_that_says_it_is_too_large_is_not_read(hosts: Callable[..., Host], staging: Staging) -> None:
    huge = fixed(answer("200 OK", "Content-Type: video/mp4", body=b"", length=10**15))
    with pytest.raises(TooLarge) as raised:
        fetch(hosts(huge), staging)
    assert (raised.value.size, raised.value.content_type) == (10**15, "video/mp4")
    assert parts_left(staging) == []


def test_a_file_that_turns_out_too_large_is_not_read_on(hosts: Callable[..., Host], staging: Staging) -> None:
    for script in (fixed(chunked(BODY)), until_close(BODY)):
        with pytest.raises(TooLarge) as raised:
            fetch(hosts(script), staging, limit=len(BODY) - 1)
        assert raised.value.size is None
    assert parts_left(staging) == []


def test_a_compressed_body_counts_as_what_it_unpacks_to(hosts: Callable[..., Host], staging: Staging) -> None:
    bomb = gzip.compress(bytes(len(BODY)))
    host = hosts(fixed(answer("200 OK", "Content-Encoding: gzip", body=bomb)))
    assert fetch(host, staging)[0] == bytes(len(BODY))
    assert host.requests[0].headers["accept-encoding"] == "identity"
    with pytest.raises(TooLarge):
        fetch(host, staging, limit=len(BODY) - 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(hosts: Callable[..., Host], staging: Staging, status: int) -> None:
    target = hosts(whole())
    host = hosts(fixed(answer(f"{status} x", f"Location: {target.url}", body=b"moved")))
    assert fetch(host, staging)[0] == BODY


def test_a_relative_redirect_stays_on_its_host(hosts: Callable[..., Host], staging: Staging) -> None:
    host = hosts(fixed(answer("302 x", "Location: /other?a=1")), whole())
    assert fetch(host, staging)[0] == BODY
    assert host.requests[1].path == "/other?a=1"


def test_redirects_in_a_circle_end(hosts: Callable[..., Host], staging: Staging) -> None:
    host = hosts(fixed(answer("302 x", "Location: /file")))
    with pytest.raises(AirbyteTracedException, match="too many redirects"):
        fetch(host, staging)


@pytest.mark.parametrize("location", ["http://example.com/x", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_a_redirect_to_an_address_that_is_not_https_is_refused(
    hosts: Callable[..., Host], staging: Staging, location: str
) -> None:
    host = hosts(fixed(answer("302 x", f"Location: {location}")))
    with pytest.raises(AirbyteTracedException, match="not https") as raised:
        fetch(host, staging)
    assert raised.value.failure_type == FailureType.system_error
    assert len(host.requests) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_this_machine_is_not_reached_from_a_provider_elsewhere(scheme: str) -> None:
    source = Source(f"{scheme}://127.0.0.1:8080/x", Api(None, "https://api.bird.com", "Bird"), Storage(), lambda: None)
    with pytest.raises(AirbyteTracedException, match="Bird gave an address for a file that is one on this machine"):
        source.open({})
