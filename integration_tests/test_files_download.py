"""The downloader against a host that answers with exact bytes: every way in which a body can go wrong."""

import gzip
import hashlib
import http.client
import os
import random
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from airbyte_cdk import AirbyteTracedException
from airbyte_cdk.models import FailureType

from source_recordings.files.download import CHUNK, MAX_TRIES, TooLarge, download
from source_recordings.files.source import Api, Expired, Missing, Source, Storage
from source_recordings.files.staging import Part, Staging

BODY = random.Random(1).randbytes(3 * CHUNK + 12345)
ETAG = 'ETag: "v1"'
Script = Callable[["Request"], bytes]


class Request:
    """One request as it arrived, its answer by script, and whether the connection is cut after it."""

    def __init__(self, head: bytes, peer: Any) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.path = lines[0].split(" ")[1]
        self.headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines[1:] if line)}
        self.peer = peer
        self.cut = False
        self.reset = False

    @property
    def start(self) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else 0


class Host:
    """Answers request n with script n, the last one for all further requests."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = scripts
        self.requests: list[Request] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/file?X-Amz-Signature=abc%2Fd"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, peer), daemon=True).start()

    def _serve(self, connection: socket.socket, peer: Any) -> None:
        with closing(connection):
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    try:
                        data = connection.recv(65536)
                    except OSError:
                        return
                    if not data:
                        return
                    head += data
                request = Request(head, peer)
                script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
                self.requests.append(request)
                try:
                    connection.sendall(script(request))
                except OSError:
                    return
                if request.reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if request.cut or request.reset:
                    return


def answer(status: str, *headers: str, body: bytes = b"", length: int | None = -1, version: str = "1.1") -> bytes:
    """`length` None: no Content-Length."""
    lines = [f"HTTP/{version} {status}", *headers]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def whole(*headers: str, body: bytes = BODY) -> Script:
    """The body, or the range asked for if it is still the file of the ETag given."""

    def script(request: Request) -> bytes:
        validators = [h.partition(": ")[2] for h in headers if h.startswith(("ETag", "Last-Modified"))]
        if request.start and request.headers.get("if-range") in validators:
            total = len(body)
            span = f"Content-Range: bytes {request.start}-{total - 1}/{total}"
            return answer("206 Partial Content", span, *headers, body=body[request.start :])
        return answer("200 OK", *headers, body=body)

    return script


def cut(script: Script, at: int, *, reset: bool = False) -> Script:
    """The same answer, broken off `at` bytes into the body."""

    def shorter(request: Request) -> bytes:
        head, _, body = script(request).partition(b"\r\n\r\n")
        request.cut, request.reset = True, reset
        return head + b"\r\n\r\n" + body[:at]

    return shorter


def fixed(data: bytes, *, then_close: bool = False) -> Script:
    def script(request: Request) -> bytes:
        request.cut = then_close
        return data

    return script


def chunked(body: bytes, *headers: str, pieces: int = 5, end: bool = True) -> bytes:
    size = -(-len(body) // pieces) or 1
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    data = b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in parts) + (b"0\r\n\r\n" if end else b"")
    return answer("200 OK", "Transfer-Encoding: chunked", *headers, body=data, length=None)


@pytest.fixture
def hosts() -> Iterator[Callable[..., Host]]:
    made: list[Host] = []

    def make(*scripts: Script) -> Host:
        made.append(Host(*scripts))
        return made[-1]

    yield make
    for host in made:
        host.close()


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging")


def source_of(host: Host, renew: Callable[[], str | None] | None = None) -> Source:
    """No credential: every address is a foreign one. Without `renew` it stays the same."""
    api = Api(None, "http://127.0.0.1:1", "Bird")
    return Source(host.url, api, Storage(), renew or (lambda: host.url))


def fetch(
    host: Host,
    staging: Staging,
    *,
    limit: int = 10 * len(BODY),
    expected: int | None = None,
    renew: Callable[[], str | None] | None = None,
    waits: list[float] | None = None,
) -> tuple[bytes, str | None]:
    """The downloaded bytes and their type."""
    with staging.part() as part:
        waits = waits if waits is not None else []
        content_type = download(source_of(host, renew), part, limit, "The file x", expected, waits.append)
        assert part.sha256 == hashlib.sha256(read(part)).hexdigest()
        return read(part), content_type


def read(part: Part) -> bytes:
    assert part._path
    data = part._path.read_bytes()
    assert len(data) == part.size
    return data


def parts_left(staging: Staging) -> list[Path]:
    return list(staging.root.rglob("*.part"))


# --- whole bodies ---------------------------------------------------------------------------


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
        with closing(storage.get(host.url, {})) as response:
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
    with closing(Storage().get(hosts(whole()).url, {})) as response:
        assert isinstance(response.raw._fp, http.client.HTTPResponse)


# --- bodies that break off ------------------------------------------------------------------


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


# --- bodies that only the connection's end delimits -----------------------------------------


def until_close(body: bytes, *headers: str) -> Script:
    return fixed(answer("200 OK", *headers, body=body, length=None, version="1.0"), then_close=True)


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


# --- failures -------------------------------------------------------------------------------


def test_a_body_that_is_always_too_short_fails_and_leaves_nothing(hosts: Callable[..., Host], staging: Staging) -> None:
    host = hosts(fixed(answer("200 OK", body=BODY, length=len(BODY) + 1), then_close=True))
    waits: list[float] = []
    with pytest.raises(AirbyteTracedException) as raised:
        fetch(host, staging, waits=waits)
    assert raised.value.failure_type == FailureType.transient_error
    assert "The file x could not be downloaded" in str(raised.value.message)
    assert "Signature" not in f"{raised.value!r} {raised.value.internal_message}"
    assert len(host.requests) == MAX_TRIES
    assert len(waits) == MAX_TRIES - 1
    assert waits[-1] > 4 * waits[0]
    assert parts_left(staging) == []


def test_a_host_that_is_not_there(hosts: Callable[..., Host], staging: Staging) -> None:
    host = hosts(whole())
    host.close()
    with pytest.raises(AirbyteTracedException, match="could not be reached"):
        fetch(host, staging)
    assert parts_left(staging) == []


def test_a_host_that_falls_silent(hosts: Callable[..., Host], staging: Staging) -> None:
    silent = fixed(answer("200 OK", ETAG, body=BODY[: CHUNK + 5], length=len(BODY)))
    host = hosts(silent, whole(ETAG))
    with patch("source_recordings.files.source.READ_SECONDS", 0.3):
        assert fetch(host, staging)[0] == BODY
    assert 0 < host.requests[1].start <= CHUNK + 5


def test_a_busy_host_is_asked_again_when_it_says(hosts: Callable[..., Host], staging: Staging) -> None:
    slow_down = [fixed(answer(f"{s} x", "Retry-After: 17", body=b"{}")) for s in (503, 429)]
    waits: list[float] = []
    assert fetch(hosts(*slow_down, whole()), staging, waits=waits)[0] == BODY
    assert waits == [17, 17]


@pytest.mark.parametrize("status", [404, 410, 202, 204])
def test_no_file(hosts: Callable[..., Host], staging: Staging, status: int) -> None:
    with pytest.raises(Missing):
        fetch(hosts(fixed(answer(f"{status} x"))), staging)


@pytest.mark.parametrize("status", [402, 405, 451])
def test_an_answer_that_nothing_will_change(hosts: Callable[..., Host], staging: Staging, status: int) -> None:
    host = hosts(fixed(answer(f"{status} x")))
    with pytest.raises(AirbyteTracedException, match=f"refused it with HTTP {status}"):
        fetch(host, staging)
    assert len(host.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_expired_address_is_asked_for_again_once(hosts: Callable[..., Host], staging: Staging, status: int) -> None:
    fresh = hosts(whole())
    asked: list[str] = []

    def renew() -> str:
        asked.append("again")
        return fresh.url

    expired = fixed(answer(f"{status} x"))
    assert fetch(hosts(expired), staging, renew=renew)[0] == BODY
    fresh.scripts = (expired,)
    with pytest.raises(Expired):
        fetch(hosts(expired), staging, renew=renew)
    assert len(asked) == 2


def test_an_address_that_expires_while_the_file_comes_is_asked_for_again(
    hosts: Callable[..., Host], staging: Staging
) -> None:
    fresh = hosts(whole(ETAG))
    host = hosts(cut(whole(ETAG), 600), fixed(answer("403 x")))
    assert fetch(host, staging, renew=lambda: fresh.url)[0] == BODY
    assert fresh.requests[0].start == 600


def test_a_file_that_is_gone_when_its_address_is_asked_for_again(hosts: Callable[..., Host], staging: Staging) -> None:
    with pytest.raises(Missing):
        fetch(hosts(fixed(answer("403 x"))), staging, renew=lambda: None)


# --- sizes ----------------------------------------------------------------------------------


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


def test_a_compressed_body_that_breaks_off_starts_again(hosts: Callable[..., Host], staging: Staging) -> None:
    packed = fixed(answer("200 OK", "Content-Encoding: gzip", ETAG, body=gzip.compress(BODY)))
    host = hosts(cut(packed, 100_000), packed)
    assert fetch(host, staging)[0] == BODY
    assert "range" not in host.requests[1].headers


# --- redirects ------------------------------------------------------------------------------


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


def test_this_machine_is_not_reached_from_a_provider_elsewhere(staging: Staging) -> None:
    api = Api(None, "https://api.bird.com", "Bird")
    assert api.check("https://storage.example.com/x")
    with pytest.raises(AirbyteTracedException, match="not https"):
        api.check("http://127.0.0.1:8080/x")


# --- the disk -------------------------------------------------------------------------------


def test_a_full_disk_ends_the_stream_and_leaves_nothing(hosts: Callable[..., Host], staging: Staging) -> None:
    written = 0
    real = os.write

    def write(fd: int, data: Any) -> int:
        nonlocal written
        if written > CHUNK:
            raise OSError(28, "No space left on device")
        written += len(data)
        return real(fd, data)

    with (
        patch("source_recordings.files.staging.os.write", write),
        pytest.raises(AirbyteTracedException, match="is full") as raised,
    ):
        fetch(hosts(whole()), staging)
    assert raised.value.failure_type == FailureType.config_error
    assert parts_left(staging) == []
