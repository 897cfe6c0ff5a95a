"""The reading's streams as the CDK's concurrent source takes them: partitions, and a cursor that is the state."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from airbyte_cdk import (
    ConnectorStateManager,
    Cursor,
    CursorField,
    FinalStateCursor,
    MessageRepository,
    Record,
    StreamSlice,
)

from source_recordings.cdk import DefaultStream, Partition, PartitionGenerator
from source_recordings.delivery import Delivery
from source_recordings.errors import UserError, explained, is_config_error, named
from source_recordings.provider import Provider, Stream
from source_recordings.reading.windows import Interval, Slice, Windows

logger = logging.getLogger("airbyte")

POLL_SECONDS = 1.0
PROVIDERS = "providers"
"""In the state of a stream of all providers, what stands above each provider's own."""

GOT = {"stored", "too_large"}
"""A file's status that shows that there is one."""


class Halt:
    """Ends a stream at the first error that no further request can mend, and says it once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._halted = False

    def __bool__(self) -> bool:
        return self._halted

    def is_first(self) -> bool:
        with self._lock:
            was, self._halted = self._halted, True
            return not was


class WindowPartition(Partition):
    """One window of a stream, or everything where there are no windows."""

    def __init__(
        self,
        provider: Provider,
        stream: Stream,
        window: Slice | None,
        halt: Halt,
        read: Callable[[], Iterable[Delivery]],
        ended: Callable[[None], None],
    ) -> None:
        """`ended` is called when this has been read, or has failed."""
        self._provider = provider
        self._stream = stream
        self._halt = halt
        self._read = read
        self._ended = ended
        self.window = window
        self.provider = provider.name
        self.abandoned = False
        """Whether the stream ended before this was read: then it must not count as read."""

    def read(self) -> Iterator[Record]:
        """Yields the records; raises an error that says what happened and what to do."""
        self.abandoned = bool(self._halt)
        if self.abandoned:
            self._ended(None)
            return
        name = self._stream.name
        try:
            for delivery in self._read():
                yield Record(delivery.data, name, None, delivery.reference)
        except Exception as error:
            title = self._provider.title
            explanation = named(explained(error, title, name), title)
            if is_config_error(explanation) and not self._halt.is_first():
                self.abandoned = True
                return
            raise explanation from error
        finally:
            self._ended(None)

    def to_slice(self) -> Mapping[str, Any] | None:
        return None

    def stream_name(self) -> str:
        return self._stream.name

    def __hash__(self) -> int:
        return hash((self._stream.name, self.window))

    def __eq__(self, other: object) -> bool:
        return self is other


class Again(Protocol):
    """Windows that are read once more if something comes."""

    @property
    def is_undecided(self) -> bool:
        """Whether something may still come."""

    def slices(self) -> Iterable[Slice]:
        """These windows; none if nothing came."""


class WindowPartitions(PartitionGenerator):
    """Makes a partition of each window until the stream halts."""

    def __init__(
        self,
        provider: Provider,
        stream: Stream,
        windows: Callable[[], Iterable[Slice | None]],
        read: Callable[[Slice | None], Iterable[Delivery]],
        again: Again | None = None,
    ) -> None:
        self._provider = provider
        self._stream = stream
        self._windows = windows
        self._read = read
        self._again = again
        self._halt = Halt()
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._left = 0

    def generate(self) -> Iterator[Partition]:
        yield from self.first()
        yield from self.once_more()

    def first(self) -> Iterator[Partition]:
        """Each window."""
        for window in self._windows():
            if self._halt:
                return
            yield self._partition(window)
            self._left += 1

    def once_more(self) -> Iterator[Partition]:
        """The windows that are read again, once it is known whether anything comes. Slow."""
        if self._again is None:
            return
        while self._left and self._again.is_undecided and not self._halt:
            with suppress(Empty):
                self._ended.get(timeout=POLL_SECONDS)
                self._left -= 1
        for window in self._again.slices():
            yield self._partition(window)

    def _partition(self, window: Slice | None) -> WindowPartition:
        return WindowPartition(
            self._provider, self._stream, window, self._halt, lambda: self._read(window), self._ended.put
        )


class WindowCursor(Cursor):
    """The state of a stream: which windows are done, and what in them is settled."""

    def __init__(self, windows: Windows, emit: Callable[[], None], is_over: Callable[[], bool]) -> None:
        """`emit` prints the state that there is now; `is_over` tells whether the sync is."""
        self._windows = windows
        self._emit = emit
        self._is_over = is_over
        self._lock = threading.Lock()

    @property
    def state(self) -> MutableMapping[str, Any]:
        return self._windows.dump()

    def save(self, intervals: Iterable[Interval]) -> None:
        """Says that all of these intervals have been emitted, and prints the state."""
        with self._lock:
            for start, end in intervals:
                self._windows.finish(start, end)
            self._emit()

    def close_partition(self, partition: Partition) -> None:
        assert isinstance(partition, WindowPartition) and partition.window
        if not partition.abandoned:
            self.save([(partition.window.start, partition.window.end)])

    def ensure_at_least_one_state_emitted(self) -> None:
        with self._lock:
            self._emit()

    def observe(self, record: Record) -> None:
        """The windows are the progress, and a record's own time is not. But the first record ever shows that some come."""
        if self._windows.nothing_yet and record.data.get("media_status", "stored") in GOT:
            self._windows.something_came()

    @property
    def is_undecided(self) -> bool:
        """See `Again`: whether an earlier sync has read a past without anything in it, and nothing has come yet."""
        return self._windows.is_doubtful and self._windows.nothing_yet and not self._is_over()

    def slices(self) -> Iterable[Slice]:
        """See `Again`."""
        return () if self._windows.nothing_yet else self._windows.doubtful()

    def should_be_synced(self, record: Record) -> bool:
        return True

    def stream_slices(self) -> Iterable[StreamSlice]:
        return ()


@dataclass(frozen=True)
class Part:
    """What one provider has of a stream."""

    partitions: WindowPartitions
    cursor: WindowCursor | None
    """None where everything is read each time."""


class UnifiedPartitions(PartitionGenerator):
    """The windows of all providers: those of one that fails or waits hold up no others."""

    def __init__(self, parts: Sequence[WindowPartitions]) -> None:
        self._parts = parts

    def generate(self) -> Iterator[Partition]:
        for part in self._parts:
            yield from part.first()
        for part in self._parts:
            yield from part.once_more()


class UnifiedCursor(Cursor):
    """The state of a stream of all providers: each provider's own, also of those that are not connected now."""

    def __init__(
        self, parts: Mapping[str, Part], saved: Mapping[str, Any], emit: Callable[[MutableMapping[str, Any]], None]
    ) -> None:
        """`parts` may be filled later."""
        self._parts = parts
        self._saved = saved
        self._print = emit
        self._lock = threading.Lock()

    @property
    def state(self) -> MutableMapping[str, Any]:
        own = {name: part.cursor.state for name, part in self._parts.items() if part.cursor}
        return {PROVIDERS: {**self._saved, **own}}

    def emit(self) -> None:
        with self._lock:
            self._print(self.state)

    def close_partition(self, partition: Partition) -> None:
        assert isinstance(partition, WindowPartition)
        cursor = self._parts[partition.provider].cursor
        if cursor:
            cursor.close_partition(partition)

    def ensure_at_least_one_state_emitted(self) -> None:
        self.emit()

    def observe(self, record: Record) -> None:
        cursor = self._parts[record.data["provider"]].cursor
        if cursor:
            cursor.observe(record)

    def should_be_synced(self, record: Record) -> bool:
        return True

    def stream_slices(self) -> Iterable[StreamSlice]:
        return ()


def saved_parts(stream_name: str, state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The states of the providers. Raises a config error for what is none."""
    found = state.get(PROVIDERS, {} if not state else None)
    if not isinstance(found, Mapping) or not all(isinstance(one, Mapping) for one in found.values()):
        raise UserError(
            f"The saved state of stream {stream_name} can't be read. Give the connector the state that it printed last, or "
            "none to start again from the start date."
        )
    return found


class States:
    """Prints the states of streams."""

    def __init__(self, messages: MessageRepository, states: ConnectorStateManager) -> None:
        self._messages = messages
        self._states = states

    def emit(self, stream_name: str, state: MutableMapping[str, Any]) -> None:
        self._states.update_state_for_stream(stream_name, None, state)
        self._messages.emit_message(self._states.create_state_message(stream_name, None))


def as_cdk_stream(
    stream: Stream,
    partitions: PartitionGenerator,
    cursor: Cursor | None,
    messages: MessageRepository,
    *,
    incremental: bool,
) -> DefaultStream:
    """The stream for discovery and for reading."""
    return DefaultStream(
        partition_generator=partitions,
        name=stream.name,
        json_schema=stream.schema,
        primary_key=list(stream.primary_key),
        cursor_field=CursorField(stream.cursor) if incremental and stream.cursor else None,
        logger=logger,
        cursor=cursor or FinalStateCursor(stream.name, None, messages),
        supports_file_transfer=stream.file is not None,
    )
