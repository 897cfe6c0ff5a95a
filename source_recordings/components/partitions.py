"""How the rows of a window become records: alone, or each with a request of its own."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.streams.concurrent.partitions.partition_generator import PartitionGenerator
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils import AirbyteTracedException

from source_recordings.components.errors import explained
from source_recordings.components.windows import WindowCursor

logger = logging.getLogger("airbyte")

# How often a window with one request per row saves how far it is, in seconds.
CHECKPOINT_SECONDS = 2.0

ReadSlice = Callable[[StreamSlice], Iterable[Record]]


@dataclass
class Halt:
    """Set once a stream met an error that no further request can mend, such as a rejected key."""

    flag: threading.Event = field(default_factory=threading.Event)


class StreamPartition(Partition):
    """One unit of a stream: its window, or everything where there are no windows."""

    def __init__(
        self, stream_name: str, stream_slice: StreamSlice, halt: Halt, records: Callable[[], Iterable[Record]]
    ) -> None:
        self._stream_name = stream_name
        self._slice = stream_slice
        self._halt = halt
        self._records = records
        self.abandoned = False

    def read(self) -> Iterator[Record]:
        """Yields the records; raises an AirbyteTracedException that says what happened and what to do."""
        if self._halt.flag.is_set():
            self.abandoned = True
            return
        try:
            for record in self._records():
                yield Record(
                    data=record.data,
                    stream_name=self._stream_name,
                    associated_slice=self._slice,
                    file_reference=record.file_reference,
                )
        except Exception as error:
            explanation = explained(error, self._stream_name)
            if explanation.failure_type == FailureType.config_error:
                self._halt.flag.set()
            raise explanation from error

    def to_slice(self) -> StreamSlice:
        return self._slice

    def stream_name(self) -> str:
        return self._stream_name

    def __hash__(self) -> int:
        return hash((self._stream_name, str(self._slice)))


@dataclass
class Partitions(PartitionGenerator):
    """Makes a partition of each slice until the stream halts."""

    stream_name: str
    slices: Callable[[], Iterable[StreamSlice]]
    read: ReadSlice

    def generate(self) -> Iterator[Partition]:
        halt = Halt()
        for stream_slice in self.slices():
            if halt.flag.is_set():
                return
            yield StreamPartition(
                self.stream_name, stream_slice, halt, lambda s=stream_slice: self.read(s)  # type: ignore[misc]
            )


@dataclass
class Rows:
    """The rows of a window as the provider lists them, without those of other windows and without repetitions."""

    read: ReadSlice
    cursor: WindowCursor
    unique_key: str | None = None

    def __call__(self, stream_slice: StreamSlice) -> Iterator[Record]:
        seen: set[int] = set()
        for row in self.read(stream_slice):
            if not self.cursor.accepts(row, stream_slice):
                continue
            if self.unique_key:
                key = hash(row.data.get(self.unique_key))
                if key in seen:
                    continue
                seen.add(key)
            yield row


@dataclass
class FanOut:
    """Asks for many details at once, a bounded number ahead, and hands them on in the order asked."""

    read: ReadSlice
    executor: Executor
    ahead: int

    def __call__(
        self, slices: Iterable[StreamSlice]
    ) -> Iterator[tuple[StreamSlice, list[Record] | AirbyteTracedException]]:
        waiting: deque[tuple[StreamSlice, Future[list[Record]]]] = deque()
        try:
            for stream_slice in slices:
                waiting.append((stream_slice, self.executor.submit(self._read, stream_slice)))
                if len(waiting) >= self.ahead:
                    yield self._result(*waiting.popleft())
            while waiting:
                yield self._result(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()

    def _read(self, stream_slice: StreamSlice) -> list[Record]:
        return list(self.read(stream_slice))

    @staticmethod
    def _result(
        stream_slice: StreamSlice, future: "Future[list[Record]]"
    ) -> tuple[StreamSlice, list[Record] | AirbyteTracedException]:
        try:
            return stream_slice, future.result()
        except AirbyteTracedException as error:
            # A config error fails every further request in the same way.
            if error.failure_type == FailureType.config_error:
                raise
            return stream_slice, error


@dataclass(frozen=True)
class Parent:
    """Which fields of a parent's row make the slice of its detail request."""

    key: str
    partition_field: str
    extra_fields: tuple[str, ...]

    def slice_of(self, row: Mapping[str, Any]) -> StreamSlice | None:
        value = row.get(self.key)
        if value is None:
            return None
        return StreamSlice(
            partition={self.partition_field: value},
            cursor_slice={},
            extra_fields={name: row.get(name) for name in self.extra_fields},
        )


@dataclass
class WindowDetails:
    """The details of a window's rows, oldest first, so that the window is saved as far as it got.

    A detail that fails for good does not keep the others from being emitted, but the window stays open from it on.
    """

    rows: ReadSlice
    parent: Parent
    fan_out: FanOut
    cursor: WindowCursor
    time_of: Callable[[Record], datetime | None]
    is_settled: Callable[[Record, StreamSlice], bool]

    def __call__(self, window: StreamSlice) -> Iterator[Record]:
        start, end = self.cursor.bounds(window)
        todo = self._todo(window)
        times = {key: time for time, key, _ in todo}
        failure: AirbyteTracedException | None = None
        failures = 0
        saved = monotonic()
        for stream_slice, result in self.fan_out(s for _, _, s in todo):
            key = str(stream_slice[self.parent.partition_field])
            time = times[key]
            if failure is None and time is not None and time > start:
                if monotonic() - saved > CHECKPOINT_SECONDS:
                    # Everything created before this row has been handed on.
                    self.cursor.checkpoint(start, min(time, end))
                    saved = monotonic()
            if isinstance(result, AirbyteTracedException):
                failure = failure or result
                failures += 1
                continue
            yield from result
            if time is not None and result and all(self.is_settled(r, stream_slice) for r in result):
                self.cursor.settled.add(key, time)
        if failure:
            raise _counted(failure, failures)

    def _todo(self, window: StreamSlice) -> list[tuple[Any, str, StreamSlice]]:
        start, _ = self.cursor.bounds(window)
        todo = []
        for row in self.rows(window):
            stream_slice = self.parent.slice_of(row.data)
            if stream_slice is None:
                continue
            key = str(stream_slice[self.parent.partition_field])
            time = self.time_of(row)
            if time is None or (key, time) not in self.cursor.settled:
                todo.append((time, key, stream_slice))
        # Rows without a time first: a saved position then never covers one that is still waiting.
        todo.sort(key=lambda t: (t[0] is not None, t[0] or start))
        return todo


@dataclass
class AllDetails:
    """One request per slice, without windows: for the ids that the user listed, or for their parents' rows."""

    slices: Callable[[], Iterable[StreamSlice]]
    fan_out: FanOut

    def __call__(self, _: StreamSlice) -> Iterator[Record]:
        failure: AirbyteTracedException | None = None
        failures = 0
        for _slice, result in self.fan_out(self.slices()):
            if isinstance(result, AirbyteTracedException):
                failure = failure or result
                failures += 1
            else:
                yield from result
        if failure:
            raise _counted(failure, failures)


def _counted(failure: AirbyteTracedException, failures: int) -> AirbyteTracedException:
    if failures > 1:
        logger.error("%d requests of this stream failed for good; the first error follows.", failures)
    return failure
