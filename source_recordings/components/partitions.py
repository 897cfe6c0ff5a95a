"""The units that a stream is read in, and their rows as the provider lists them."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.streams.concurrent.partitions.partition_generator import PartitionGenerator
from airbyte_cdk.sources.types import Record, StreamSlice

from source_recordings.components.errors import explained
from source_recordings.components.fan_out import ReadSlice, Scout
from source_recordings.components.kept import Seen
from source_recordings.components.windows import WindowCursor


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


class StreamPartition(Partition):
    """One unit of a stream: its window, or everything where there are no windows."""

    def __init__(
        self,
        stream_name: str,
        stream_slice: StreamSlice,
        halt: Halt,
        records: Callable[[], Iterable[Record]],
    ) -> None:
        self._stream_name = stream_name
        self._slice = stream_slice
        self._halt = halt
        self._records = records
        self.abandoned = False
        """Whether the stream ended before this was read: then it must not count as read."""

    def read(self) -> Iterator[Record]:
        """Yields the records; raises an AirbyteTracedException that says what happened and what to do."""
        self.abandoned = bool(self._halt)
        if self.abandoned:
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
            if explanation.failure_type == FailureType.config_error and not self._halt.is_first():
                self.abandoned = True
                return
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
            if halt:
                return
            yield StreamPartition(
                self.stream_name,
                stream_slice,
                halt,
                lambda s=stream_slice: self.read(s),  # type: ignore[misc]
            )


@dataclass
class Rows:
    """The rows of a window as the provider lists them, without those of other windows and without repetitions."""

    read: ReadSlice
    cursor: WindowCursor
    key: str
    may_repeat: bool
    _scout: Scout = field(default_factory=Scout)
    _timeless: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, stream_slice: StreamSlice) -> Iterator[Record]:
        seen = Seen()
        rows = iter(self.read(stream_slice))
        first = self._scout(lambda: list(islice(rows, 1)))
        for row in chain(first, rows):
            if not self.cursor.accepts(row, stream_slice):
                continue
            key = hash(row.data.get(self.key))
            if self.cursor.time_of(row) is None:
                # It belongs to no window: the first one that it turns up in takes it.
                with self._lock:
                    if key in self._timeless:
                        continue
                    self._timeless.add(key)
            elif self.may_repeat and not seen.add(key):
                continue
            yield row
