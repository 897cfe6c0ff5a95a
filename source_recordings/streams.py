"""The reading's streams as the CDK's concurrent source takes them: partitions, and a cursor that is the state."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import suppress
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
from source_recordings.errors import explained, is_config_error, named
from source_recordings.provider import Provider, Stream
from source_recordings.reading.windows import Interval, Slice, Windows

logger = logging.getLogger("airbyte")

POLL_SECONDS = 1.0
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

    def generate(self) -> Iterator[Partition]:
        halt = Halt()
        ended: SimpleQueue[None] = SimpleQueue()
        left = 0
        for window in self._windows():
            if halt:
                return
            yield self._partition(window, halt, ended)
            left += 1
        if self._again is None:
            return
        while left and self._again.is_undecided and not halt:
            with suppress(Empty):
                ended.get(timeout=POLL_SECONDS)
                left -= 1
        for window in self._again.slices():
            yield self._partition(window, halt, ended)

    def _partition(self, window: Slice | None, halt: Halt, ended: "SimpleQueue[None]") -> WindowPartition:
        return WindowPartition(self._provider, self._stream, window, halt, lambda: self._read(window), ended.put)


class WindowCursor(Cursor):
    """The state of a stream: which windows are done, and what in them is settled."""

    def __init__(
        self,
        stream_name: str,
        windows: Windows,
        messages: MessageRepository,
        states: ConnectorStateManager,
        is_over: Callable[[], bool],
    ) -> None:
        """`is_over`: whether the sync is."""
        self._name = stream_name
        self._is_over = is_over
        self._windows = windows
        self._messages = messages
        self._states = states
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

    def _emit(self) -> None:
        self._states.update_state_for_stream(self._name, None, self.state)
        self._messages.emit_message(self._states.create_state_message(self._name, None))


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
