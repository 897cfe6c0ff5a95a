"""One sync, watched: what it printed, what it logged, whom it asked, and what is wrong with that."""

import hashlib
import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter

from integration_tests.syncing import Row, Sync, keys, sync
from sandbox import Sandbox
from source_recordings.cdk import get_secrets
from source_recordings.provider import Provider
from source_recordings.spec import build_spec
from unit_tests.harness import protocol_message

Key = tuple[Any, ...]
File = tuple[Any, Any]
"""Its status and its hash."""

SIGNED = re.compile(r"X-Amz-(Signature|Security-Token|Credential)=")
STATUSES = re.compile(r"STARTED( RUNNING)*( COMPLETE| INCOMPLETE)")
LOGGER = logging.getLogger("airbyte")


@dataclass
class Observed:
    """What came of one sync."""

    result: Sync
    logged: list[str]
    asked: set[str]
    """Hosts, with their ports."""
    streams: tuple[str, ...]

    def status(self, stream: str) -> str:
        return (self.result.statuses(stream) or ["NONE"])[-1]

    @property
    def errors(self) -> list[Row]:
        """Each with the stream that it belongs to."""
        traces = [m["trace"] for m in self.result.messages if m["type"] == "TRACE"]
        return [trace["error"] for trace in traces if trace["type"] == "ERROR"]

    @property
    def said(self) -> Iterator[str]:
        """All that is there for a person to read."""
        yield from self.logged
        for message in [*self.result.messages, *filter(None, [self.result.last_word])]:
            if message["type"] in ("LOG", "TRACE"):
                yield json.dumps(message, ensure_ascii=False)

    def protocol_problems(self) -> Iterator[str]:
        """Every message strictly JSON and of the protocol; each stream's statuses in order, with nothing after the last."""
        over: set[str] = set()
        for message in self.result.messages:
            try:
                protocol_message(json.dumps(message, allow_nan=False))
            except (ValueError, AssertionError) as error:
                yield f"no message: {error}"
            if message["type"] == "RECORD" and message["record"]["stream"] in over:
                yield f"a record of {message['record']['stream']} after its end"
            status = message.get("trace", {}).get("stream_status")
            if status and status["status"] in ("COMPLETE", "INCOMPLETE"):
                over.add(status["stream_descriptor"]["name"])
        for stream in self.streams:
            statuses = " ".join(self.result.statuses(stream))
            if not STATUSES.fullmatch(statuses):
                yield f"{stream}: statuses {statuses or 'none'}"


@dataclass
class Expected:
    """What a whole sync delivers: of each stream the keys, and of files their hashes."""

    sandbox: Sandbox
    providers: Mapping[str, Provider]
    rows: dict[str, dict[Key, File]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for provider in self.providers.values():
            for name in provider.streams:
                rows = list(self.sandbox.rows(name))
                truth = map(tuple, self.sandbox.truth(name))
                self.rows[name] = {
                    key: (row.get("media_status"), row.get("media_sha256"))
                    for key, row in zip(truth, rows, strict=True)
                }

    def missing(self, streams: Iterable[str], *observed: Observed) -> list[str]:
        """What none of these syncs has brought, one after the other; a file also if it is not the right one."""
        found = []
        for stream in streams:
            got: dict[Key, Any] = {}
            for one in observed:
                rows = one.result.records(stream)
                got |= zip(keys(self.sandbox, stream, rows), rows, strict=True)
            for key, (status, digest) in self.rows[stream].items():
                row = got.get(key)
                if row is None:
                    found.append(f"{stream}: no row {key}")
                elif (row.get("media_status"), row.get("media_sha256")) != (status, digest):
                    found.append(f"{stream}: {row.get('media_status')} and not {status}: {key}")
        return found

    def repeated(self, observed: Observed) -> list[str]:
        counts = (
            (stream, key, count)
            for stream in observed.streams
            for key, count in Counter(keys(self.sandbox, stream, observed.result.records(stream))).items()
        )
        return [f"{stream}: {count} times {key}" for stream, key, count in counts if count > 1]


def observe(config: Mapping[str, Any], streams: Iterable[str], state: Iterable[Mapping[str, Any]] = ()) -> Observed:
    streams = tuple(streams)
    with _logged() as logged, _asked() as asked:
        result = sync(config, *streams, state=state)
    return Observed(result, logged, asked, streams)


def wrong_files(observed: Observed, staging: Path) -> list[str]:
    """The files that are not on the disk as their records say."""
    found = []
    for stream in observed.streams:
        for row in observed.result.records(stream):
            if row.get("media_status") == "stored":
                path = staging / row["media_path"]
                body = path.read_bytes() if path.is_file() else b""
                if hashlib.sha256(body).hexdigest() != row["media_sha256"]:
                    found.append(f"{stream}: {row['media_path']} on the disk is another file")
    return found


def leaks(
    sandbox: Sandbox, providers: Mapping[str, Provider], config: Mapping[str, Any], observed: Observed
) -> list[str]:
    """Secrets in what is said, credentials in the wrong place, hosts that nobody should have asked."""
    requests = sandbox.requests
    secrets = {str(secret) for secret in get_secrets(build_spec(providers), config)}
    secrets |= {header.split(" ")[-1] for r in requests if (header := r.headers.get("Authorization"))}
    secrets |= {r.query["X-Amz-Signature"] for r in requests if "X-Amz-Signature" in r.query}
    found = [
        f"said: {text[:2000]}"
        for text in observed.said
        if SIGNED.search(text) or any(secret in text for secret in secrets)
    ]
    found += [f"a credential to {r.provider}{r.path}" for r in requests if _is_misled(r.provider, r.headers)]
    own = {urlsplit(p.base_url).netloc for p in sandbox.providers.values()}
    own.add(urlsplit(sandbox.storage.base_url).netloc)
    found += [f"{host} was asked" for host in sorted(observed.asked - own)]
    return found


def _is_misled(name: str, headers: Mapping[str, str]) -> bool:
    return name == "storage" and bool({"authorization", "cookie", "referer"} & {header.lower() for header in headers})


@contextmanager
def _logged() -> Iterator[list[str]]:
    """What goes to the log, at every level, as it is before anything is masked."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(formatter.format(record))

    formatter = logging.Formatter("%(message)s")
    handler, level, propagate = Lines(), LOGGER.level, LOGGER.propagate
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.propagate = False
    try:
        yield lines
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
        LOGGER.propagate = propagate


@contextmanager
def _asked() -> Iterator[set[str]]:
    """Every host that a request was sent to, however it went."""
    hosts: set[str] = set()
    send = HTTPAdapter.send

    def noted(self: HTTPAdapter, request: Any, *arguments: Any, **more: Any) -> Any:
        hosts.add(urlsplit(request.url).netloc)
        return send(self, request, *arguments, **more)

    with patch.object(HTTPAdapter, "send", noted):
        yield hosts
