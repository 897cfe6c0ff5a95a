"""One sync: connects the providers, and makes a reader of each stream that is asked for."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import requests
from airbyte_cdk import ConfiguredAirbyteStream, ConnectorStateManager, MessageRepository, SyncMode

from source_recordings import times
from source_recordings.cdk import DefaultStream
from source_recordings.config import is_connected, without_nulls
from source_recordings.delivery import Delivery
from source_recordings.files.files import Files
from source_recordings.http.asking import TRIES, Download, Endpoint, ask, log_in
from source_recordings.http.client import Client, Gate, Login, Request
from source_recordings.http.pace import Pace
from source_recordings.http.shared import Answers
from source_recordings.provider import Operation, Provider, Stream
from source_recordings.reading.details import Pools
from source_recordings.reading.jobs import Connection, Deliver, Jobs
from source_recordings.reading.pool import Pool
from source_recordings.reading.reader import Reader
from source_recordings.reading.settled import Settled
from source_recordings.reading.windows import Slice, Span, Windows
from source_recordings.streams import (
    Part,
    States,
    UnifiedCursor,
    UnifiedPartitions,
    WindowCursor,
    WindowPartitions,
    as_cdk_stream,
    saved_parts,
)
from source_recordings.tally import Tally
from source_recordings.unified import UNIFIED

DEFAULT_WORKERS = 16
DEFAULT_LOOKBACK_DAYS = 3


def connected(
    providers: Mapping[str, Provider], config: Mapping[str, Any]
) -> Iterator[tuple[Provider, dict[str, Any]]]:
    """The providers in use, each with its section of the config, in which nothing is left out."""
    for name, provider in providers.items():
        section = config.get(name)
        if section and is_connected(section):
            filled = without_nulls(section)
            base_url = filled.get("base_url") or provider.base_url or ""
            yield provider, {**filled, "base_url": base_url.rstrip("/")}


class Sync:
    """What all streams of one sync share. Close it."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        config: Mapping[str, Any],
        selected: Iterable[str],
        *,
        tries: int = TRIES,
    ) -> None:
        """`selected` are the names of the streams to read; `tries` of a request before it counts as failed."""
        self._workers = int(config.get("num_workers") or DEFAULT_WORKERS)
        self._gate = Gate(self._workers)
        self._files = Files(config.get("max_file_size_mb"), self._workers)
        self._tallies: dict[str, Tally] = {}
        self._windows: dict[str, Windows] = {}
        self._stopped = False
        self._over = threading.Event()
        self._jobs: list[Jobs] = []
        lookback = config.get("lookback_days")
        start = times.parse_time(config.get("start_date"))
        self.span = Span(
            start=start if start and start > times.EPOCH else None,
            end=times.parse_time(config.get("end_date")),
            lookback=timedelta(days=DEFAULT_LOOKBACK_DAYS if lookback is None else lookback),
            now=times.utc_now(),
        )
        names = set(selected)
        self._connections = {
            provider.name: self._connect(provider, section, names, tries)
            for provider, section in connected(providers, config)
        }

    def stop(self) -> None:
        """What has not begun is dropped; what has, ends by its time-outs. What comes of it, nobody sees any more."""
        self._stopped = True
        for connection in self._connections.values():
            connection.client.closed = True
            connection.pools.close()
            connection.answers.close()

    def drop_files(self) -> None:
        """Takes away the files that are under way."""
        self._files.staging.close()

    def close(self) -> None:
        """Says what was skipped, and leaves nothing half."""
        self.stop()
        self.drop_files()
        self._over.set()
        for jobs in self._jobs:
            jobs.close()
        for name in sorted(self._tallies):
            windows = self._windows.get(name)
            self._tallies[name].log(nothing_yet=bool(windows and windows.nothing_yet and windows.has_read))

    def streams(self) -> Iterator[tuple[Connection, Stream]]:
        """All streams on offer that are a provider's own."""
        for connection in self._connections.values():
            for stream in connection.provider.offered(connection.config):
                yield connection, stream

    def parts(self, name: str) -> Iterator[tuple[Connection, Stream]]:
        """What the connected providers have of a stream that all share."""
        for connection in self._connections.values():
            part = connection.provider.part_of(name, connection.config)
            if part:
                yield connection, part

    def cdk_stream(
        self,
        connection: Connection,
        stream: Stream,
        configured: ConfiguredAirbyteStream,
        states: ConnectorStateManager,
        messages: MessageRepository,
    ) -> DefaultStream:
        """The stream to read. Raises a config error for a state that can't be read."""
        printer = States(messages, states)
        # Not set means yes: only the platform sets it.
        with_files = getattr(configured, "include_files", None) is not False
        part = self._part(
            connection,
            stream,
            _state_of(configured, states),
            lambda: printer.emit(stream.name, part.cursor.state if part.cursor else {}),
            with_files=with_files,
        )
        return as_cdk_stream(stream, part.partitions, part.cursor, messages, incremental=part.cursor is not None)

    def unified_stream(
        self, name: str, configured: ConfiguredAirbyteStream, states: ConnectorStateManager, messages: MessageRepository
    ) -> DefaultStream:
        """A stream of all connected providers. Raises a config error for a state that can't be read."""
        printer = States(messages, states)
        saved = saved_parts(name, _state_of(configured, states))
        parts: dict[str, Part] = {}
        cursor = UnifiedCursor(parts, saved, lambda state: printer.emit(name, state))
        for connection, stream in self.parts(name):
            provider = connection.provider.name
            parts[provider] = self._part(connection, stream, saved.get(provider, {}), cursor.emit, with_files=False)
        is_incremental = any(part.cursor for part in parts.values())
        form = next(stream for _, stream in self.parts(name))
        return as_cdk_stream(
            form,
            UnifiedPartitions([part.partitions for part in parts.values()]),
            cursor if is_incremental else None,
            messages,
            incremental=is_incremental,
        )

    def _part(
        self,
        connection: Connection,
        stream: Stream,
        state: Mapping[str, Any],
        emit: Callable[[], None],
        *,
        with_files: bool,
    ) -> Part:
        """What one provider has of a stream. Raises a config error for a state that can't be read."""
        provider = connection.provider
        name = f"{stream.name} ({provider.title})" if stream.shape else stream.name
        tally = self._tallies.setdefault(name, Tally(name, provider.title))
        deliver = self._deliver(connection, stream, tally, with_files=with_files)
        if not provider.is_incremental(stream, connection.config):
            jobs = Jobs(connection, stream, tally, deliver)
            self._jobs.append(jobs)
            everything = Reader(jobs, None, lambda _: None)
            partitions = WindowPartitions(
                provider, stream, lambda: [None], lambda _: self._handed_on(tally, everything.read(None))
            )
            return Part(partitions, None)
        windows = self.windows(provider, stream, state)
        todo = list(windows.slices())
        jobs = Jobs(
            connection,
            stream,
            tally,
            deliver,
            lambda key, time: time is not None and (key, time) in windows.settled,
            _oldest([*todo, *windows.doubtful()]),
        )
        self._jobs.append(jobs)
        cursor = WindowCursor(windows, emit, lambda: connection.client.closed)
        self._windows[name] = windows
        reader = Reader(jobs, windows, cursor.save)
        # Without a filter every window walks the whole list.
        same_list = len(todo) > 1 and not todo[0].params(_window(provider, stream))

        def windows_to_read() -> list[Slice]:
            # With a part of the list there is nothing to compare a count of all of it.
            if stream.count and self.span.is_whole and not state:
                reader.count()
            return todo

        def read(window: Slice | None) -> Iterator[Delivery]:
            return self._handed_on(tally, reader.read(window, shared=same_list))

        return Part(WindowPartitions(provider, stream, windows_to_read, read, cursor), cursor)

    def _handed_on(self, tally: Tally, deliveries: Iterator[Delivery]) -> Iterator[Delivery]:
        """Counted. A window that a stop has cut short has neither failed nor come to its end: it says nothing until all is
        over.
        """
        try:
            for delivery in deliveries:
                tally.recorded()
                yield delivery
        except Exception:
            if self._stopped:
                self._over.wait()
            raise

    def windows(self, provider: Provider, stream: Stream, state: Mapping[str, Any]) -> Windows:
        assert stream.cursor
        windows = Windows(stream.name, stream.cursor, _window(provider, stream), self.span, state)
        if stream.file:
            windows.settled.limit = Settled.FILES_LIMIT
        return windows

    def reader(self, connection: Connection, stream: Stream) -> Reader:
        """Reads without a state: for the connection check."""
        tally = Tally(stream.name)
        windows = None
        if connection.provider.is_incremental(stream, connection.config):
            windows = self.windows(connection.provider, stream, {})
        return Reader(Jobs(connection, stream, tally, None), windows, lambda _: None)

    def _connect(self, provider: Provider, section: Mapping[str, Any], names: set[str], tries: int) -> Connection:
        limit = provider.limit
        pace = Pace(int(section.get(limit.key) or limit.requests), limit.seconds) if limit else Pace(None)
        client = Client(provider, section, self._gate, self._workers, pace)
        if client.auth and client.auth.login:
            client.login = Login(log_in(client, provider, client.auth.login, tries))
        pools = Pools(Pool(self._workers, provider.name), Pool(self._workers, f"files-{provider.name}"), self._workers)
        by_id = provider.is_by_id(section)
        uses = Counter(
            id(operation)
            for stream in [*provider.offered(section), *filter(None, (provider.part_of(n, section) for n in UNIFIED))]
            if stream.name in names
            for operation in _operations(provider, stream, by_id=by_id)
        )
        return Connection(provider, section, client, Answers(), pools, uses, tries)

    def _deliver(self, connection: Connection, stream: Stream, tally: Tally, *, with_files: bool) -> Deliver | None:
        if not stream.file:
            return None
        client, provider = connection.client, connection.provider
        operation = Operation("GET", lambda _: "", "", refuse=stream.operation.refuse)
        endpoint = Endpoint(provider, operation, stream.name, tally, about_one=True)

        def get(url: str, headers: Mapping[str, str]) -> requests.Response | None:
            response: requests.Response | None = ask(Download(client, endpoint, Request("GET", url, headers))).value
            return response

        return self._files.of(provider, stream, client.base_url, get, tally, include_files=with_files).deliver


def _window(provider: Provider, stream: Stream) -> Any:
    window = provider.root_of(stream).window
    assert window
    return window


def _oldest(windows: Iterable[Slice]) -> datetime | None:
    """Where what may be read begins; None if nowhere."""
    windows = list(windows)
    return None if any(w.is_open for w in windows) else min((w.start for w in windows), default=None)


def _operations(provider: Provider, stream: Stream, *, by_id: bool) -> Iterator[Operation]:
    """The kinds of requests that a stream makes."""
    root = provider.root_of(stream)
    if not by_id:
        yield root.operation
    elif root.by_id:
        yield root.by_id
    for way in stream.for_each.ways if stream.for_each else ():
        yield way.operation


def _state_of(configured: ConfiguredAirbyteStream, states: ConnectorStateManager) -> Mapping[str, Any]:
    """Full refresh reads everything, whatever state it is given."""
    if configured.sync_mode == SyncMode.full_refresh:
        return {}
    with suppress(AttributeError):
        return states.get_stream_state(configured.stream.name, None)
    return {}
