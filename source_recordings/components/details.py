"""The requests of a window's rows, and what is remembered of them."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from time import monotonic
from typing import Generic, TypeVar

from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils import AirbyteTracedException

from source_recordings.components.fan_out import FanOut, Jobs, ReadSlice
from source_recordings.components.kept import Waiting
from source_recordings.components.windows import WindowCursor
from source_recordings.media.jobs import delivered_key, records_before

logger = logging.getLogger("airbyte")

# How often a window with one request per row saves how far it is, in seconds.
CHECKPOINT_SECONDS = 2.0

Item = TypeVar("Item")

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
        with closing(Waiting[Item]()) as todo:
            self._list(window, todo, failures)
            yield from self._done(window, todo, failures)
        failures.raise_first()

    def _list(self, window: StreamSlice, todo: Waiting[Item], failures: Failures) -> None:
        """What to ask for. Rows without a time come first: a saved position then never covers one that still waits."""
        try:
            for row in self.rows(window):
                item = self.jobs.item_of(row)
                if item is None:
                    continue
                time = self.time_of(row)
                if not (
                    self.cursor and time and (self.jobs.key_of(item), time) in self.cursor.settled
                ):
                    todo.add(_microseconds(time), item)
        except AirbyteTracedException as error:
            if error.failure_type == FailureType.config_error:
                raise
            failures.add(error)

    def _done(
        self, window: StreamSlice, todo: Waiting[Item], failures: Failures
    ) -> Iterator[Record]:
        turns: deque[datetime | None] = deque()

        def in_turn() -> Iterator[Item]:
            for time, item in todo:
                turns.append(_moment(time))
                yield item

        saved = monotonic()
        for item, result in self.fan_out(self.jobs, in_turn()):
            time = turns.popleft()
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
