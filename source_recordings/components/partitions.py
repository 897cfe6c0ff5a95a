"""How the rows of a window become records: alone, or each with a request of its own."""

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import chain, islice
from operator import itemgetter
from time import monotonic
from typing import Generic, Protocol, TypeVar

from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.streams.concurrent.partitions.partition_generator import PartitionGenerator
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils import AirbyteTracedException

from source_recordings.components.errors import explained
from source_recordings.components.windows import WindowCursor
from source_recordings.media.jobs import delivered_key, records_before

logger = logging.getLogger("airbyte")

# How often a window with one request per row saves how far it is, in seconds.
CHECKPOINT_SECONDS = 2.0

ReadSlice = Callable[[StreamSlice], Iterable[Record]]


Answer = TypeVar("Answer")


class Scout:
    """Lets one thread ask first, until there is an answer: a rejected key is met once, not by every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered = False
        self._refusal: AirbyteTracedException | None = None

    def __call__(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` gives; raises the config error that any thread's first `ask` raised."""
        if self._is_open():
            with self._lock:
                if self._is_open():
                    return self._first(ask)
        if self._refusal:
            raise self._refusal
        return ask()

    def _is_open(self) -> bool:
        return not self._answered and not self._refusal

    def _first(self, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except AirbyteTracedException as error:
            if error.failure_type == FailureType.config_error:
                self._refusal = error
            raise
        finally:
            self._answered = self._refusal is None


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
        seen: set[int] = set()
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
            elif self.may_repeat:
                if key in seen:
                    continue
                seen.add(key)
            yield row


Item = TypeVar("Item")


class Jobs(Protocol[Item]):
    """What to ask for about a row of the listing."""

    def item_of(self, row: Record) -> Item | None:
        """What is kept of the row until its turn: little, there may be very many. None: nothing to ask for."""

    def key_of(self, item: Item) -> str:
        """What is remembered of the item once it is settled; another key means that it has changed."""

    def read(self, item: Item) -> Iterable[Record]:
        """The request."""


@dataclass(frozen=True)
class DetailJobs:
    """One detail request per row: a value of the row goes into the request's URL, some others into the record."""

    parent_key: str
    partition_field: str
    extra_fields: tuple[str, ...]
    read_slice: ReadSlice

    def item_of(self, row: Record) -> str | None:
        """The values as one text: a third of the memory of the values themselves, times a window's rows."""
        if row.data.get(self.parent_key) is None:
            return None
        return json.dumps([row.data.get(name) for name in (self.parent_key, *self.extra_fields)])

    def key_of(self, item: str) -> str:
        return item

    def slice_of(self, item: str) -> StreamSlice:
        value, *extra = json.loads(item)
        return StreamSlice(
            partition={self.partition_field: value},
            cursor_slice={},
            extra_fields=dict(zip(self.extra_fields, extra, strict=True)),
        )

    def read(self, item: str) -> Iterable[Record]:
        return self.read_slice(self.slice_of(item))


@dataclass(frozen=True)
class SliceJobs:
    """One request per slice."""

    read_slice: ReadSlice

    def item_of(self, row: Record) -> StreamSlice | None:
        return row.associated_slice

    def key_of(self, item: StreamSlice) -> str:
        return str(item)

    def read(self, item: StreamSlice) -> Iterable[Record]:
        return self.read_slice(item)


@dataclass(frozen=True)
class ScoutedJobs(Generic[Item]):
    """The same jobs, the first of them alone, where a FanOut without a scout does more with their rows."""

    jobs: Jobs[Item]
    scout: Scout = field(default_factory=Scout)

    def item_of(self, row: Record) -> Item | None:
        return self.jobs.item_of(row)

    def key_of(self, item: Item) -> str:
        return self.jobs.key_of(item)

    def read(self, item: Item) -> list[Record]:
        return self.scout(lambda: list(self.jobs.read(item)))


def unscouted(ask: Callable[[], Answer]) -> Answer:
    """In the place of a Scout: nobody waits for the first file to be downloaded."""
    return ask()


@dataclass
class FanOut:
    """Does many jobs at once, a bounded number ahead, and hands the results on in the order asked."""

    executor: Executor
    ahead: int
    scout: Callable[[Callable[[], list[Record]]], list[Record]] = field(default_factory=Scout)

    def __call__(
        self, jobs: Jobs[Item], items: Iterable[Item]
    ) -> Iterator[tuple[Item, list[Record] | AirbyteTracedException]]:
        """A job's error comes in its place; a config error is raised, as it would fail every further job too."""
        waiting: deque[tuple[Item, Future[list[Record]]]] = deque()

        def read(item: Item) -> list[Record]:
            return self.scout(lambda: list(jobs.read(item)))

        try:
            for item in items:
                waiting.append((item, self.executor.submit(read, item)))
                if len(waiting) >= self.ahead:
                    yield self._result(*waiting.popleft())
            while waiting:
                yield self._result(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()

    @staticmethod
    def _result(
        item: Item, future: "Future[list[Record]]"
    ) -> tuple[Item, list[Record] | AirbyteTracedException]:
        try:
            return item, future.result()
        except AirbyteTracedException as error:
            if error.failure_type == FailureType.config_error:
                raise
            return item, error


EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NO_TIME = -1


def _microseconds(time: datetime | None) -> int:
    return NO_TIME if time is None else (time - EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int) -> datetime | None:
    return None if microseconds == NO_TIME else EPOCH + timedelta(microseconds=microseconds)


class Failures:
    """The first of a partition's errors, raised once everything else has been handed on."""

    def __init__(self) -> None:
        self.first: AirbyteTracedException | None = None
        self._count = 0

    def add(self, error: AirbyteTracedException) -> None:
        self.first = self.first or error
        self._count += 1

    def raise_first(self) -> None:
        if self._count > 1:
            logger.error(
                "%d requests failed for good; this is the first error of them.", self._count
            )
        if self.first:
            raise self.first


@dataclass
class WindowDetails(Generic[Item]):
    """The details of a window's rows, oldest first, so that the window is saved as far as it got.

    A job that fails for good does not keep the others from being handed on, but the window stays open from it on.
    `cursor` is None where the details are themselves only the rows of another stream.
    """

    rows: ReadSlice
    jobs: Jobs[Item]
    fan_out: FanOut
    time_of: Callable[[Record], datetime | None]
    cursor: WindowCursor | None = None
    is_settled: Callable[[Record], bool] | None = None

    def __call__(self, window: StreamSlice) -> Iterator[Record]:
        failures = Failures()
        todo = self._todo(window, failures)
        turns = iter(todo)
        saved = monotonic()
        for item, result in self.fan_out(self.jobs, (item for _, item in todo)):
            time = _moment(next(turns)[0])
            if not failures.first and monotonic() - saved > CHECKPOINT_SECONDS:
                self._save(window, time)
                saved = monotonic()
            if isinstance(result, AirbyteTracedException):
                failures.add(result)
                done = records_before(result)
                yield from done
                self._remember(done, time)
                continue
            yield from result
            self._settle(item, time, result)
        failures.raise_first()

    def _todo(self, window: StreamSlice, failures: Failures) -> list[tuple[int, Item]]:
        """What to ask for, by time in microseconds: a window can have very many rows."""
        todo: list[tuple[int, Item]] = []
        try:
            for row in self.rows(window):
                item = self.jobs.item_of(row)
                if item is None:
                    continue
                time = self.time_of(row)
                if not (
                    self.cursor and time and (self.jobs.key_of(item), time) in self.cursor.settled
                ):
                    todo.append((_microseconds(time), item))
        except AirbyteTracedException as error:
            if error.failure_type == FailureType.config_error:
                raise
            failures.add(error)
        # Rows without a time first: a saved position then never covers one that still waits.
        todo.sort(key=itemgetter(0))
        return todo

    def _save(self, window: StreamSlice, reached: datetime | None) -> None:
        """Everything created before `reached` has been handed on."""
        if self.cursor and reached:
            start, end = self.cursor.bounds(window)
            if start < reached:
                self.cursor.checkpoint(start, min(reached, end))

    def _settle(self, item: Item, time: datetime | None, records: list[Record]) -> None:
        if not (self.cursor and self.is_settled and time and records):
            return
        if all(self.is_settled(r) for r in records):
            self.cursor.settled.add(self.jobs.key_of(item), time)
        else:
            self._remember(records, time)

    def _remember(self, records: list[Record], time: datetime | None) -> None:
        """Files that have been delivered are not delivered again with the rest of their job."""
        for key in filter(None, map(delivered_key, records)):
            if self.cursor and time:
                self.cursor.settled.add(key, time)


@dataclass
class AllDetails(Generic[Item]):
    """One job per item, without windows: for the ids that the user listed, or what follows from them."""

    items: Callable[[], Iterable[Item]]
    jobs: Jobs[Item]
    fan_out: FanOut

    def __call__(self, _: StreamSlice) -> Iterator[Record]:
        failures = Failures()
        for _item, result in self.fan_out(self.jobs, self.items()):
            if isinstance(result, AirbyteTracedException):
                failures.add(result)
                yield from records_before(result)
            else:
                yield from result
        failures.raise_first()
