"""Many requests at once: what they are made of, and how they are made."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils import AirbyteTracedException

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
