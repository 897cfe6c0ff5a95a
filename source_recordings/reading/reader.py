"""One stream, from its windows to its records."""

import logging
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from time import monotonic
from typing import Any

from source_recordings.delivery import Delivery, Row
from source_recordings.errors import is_config_error
from source_recordings.http import waits
from source_recordings.http.answers import Answer
from source_recordings.http.asking import ask
from source_recordings.http.client import Closed
from source_recordings.reading.details import InOrder
from source_recordings.reading.jobs import Jobs
from source_recordings.reading.kept import Seen
from source_recordings.reading.keys import is_key, key_hash
from source_recordings.reading.lookup import OLD_ROWS
from source_recordings.reading.outcome import Outcome
from source_recordings.reading.pages import Walker
from source_recordings.reading.reached import Marks, Reached
from source_recordings.reading.units import Seed
from source_recordings.reading.windows import Interval, Slice, Windows
from source_recordings.times import microseconds, moment, parse_time

logger = logging.getLogger("airbyte")

CHECKPOINT_SECONDS = 2.0
"""How often a window with one request per row saves how far it is."""

Save = Callable[[list[Interval]], None]


class Failures:
    """The first of a window's errors, raised once everything else has been handed on."""

    def __init__(self) -> None:
        self.first: Exception | None = None
        self._count = 0

    def add(self, error: Exception) -> None:
        """Raises a config error at once: it would fail every further job too."""
        if is_config_error(error):
            raise error
        self.first = self.first or error
        self._count += 1

    def raise_first(self) -> None:
        if self._count > 1:
            logger.error("%d requests failed for good; this is the first error of them.", self._count)
        if self.first:
            raise self.first


class Reader:
    """Reads the windows of one stream. Its methods may be called by many threads at once."""

    def __init__(self, jobs: Jobs, windows: Windows | None, save: Save) -> None:
        """`windows` is None where the user has listed IDs, or rows have no time; `save` says that intervals are complete."""
        self._jobs = jobs
        self._windows = windows
        self._save = save
        self._root = jobs.root
        self._list = jobs.endpoint(self._root.operation)
        self._timeless: set[int] = set()
        self._lock = threading.Lock()

    @property
    def has_windows(self) -> bool:
        return self._windows is not None

    def read(self, window: Slice | None, *, shared: bool = False) -> Generator[Delivery, None, None]:
        """Raises the first error once all else has been handed on. `shared`: another window needs the same list."""
        if self._jobs.is_by_id:
            yield from self._done(None, self._add_ids)
        elif self._jobs.stream is self._root:
            yield from self._listed(window, shared)
        else:
            yield from self._done(window, lambda add: self._add_rows(window, add, shared))

    def _listed(self, window: Slice | None, shared: bool) -> Iterator[Delivery]:
        names = self._jobs.names
        plain = not (self._jobs.stream.set or self._jobs.stream.shape)
        failures = Failures()
        for row, _ in self.rows(window, shared):
            try:
                found = [row] if plain else list(self._jobs.records({**names, "row": row}))
            except Exception as error:  # noqa: BLE001  one odd row takes no other one with it
                failures.add(error)
                continue
            yield from map(Delivery, found)
        failures.raise_first()

    def rows(self, window: Slice | None, shared: bool = False) -> Iterator[tuple[Row, int]]:
        """The rows of a window as the provider lists them, with their times, without those of other windows and without
        repetitions.
        """
        key, form = self._root.row_key, self._root.window
        params = window.params(form) if window and form else {}
        may_repeat = bool(self._root.pages and self._root.pages.offset)
        seen = Seen()

        def fetch(page: Mapping[str, str]) -> Answer:
            return ask(self._jobs.asking(self._list, self._jobs.names, {**params, **page}, shared=shared))

        def again(page: Mapping[str, str], failed: int) -> Answer:
            asking = self._jobs.asking(self._list, self._jobs.names, {**params, **page}, anew=True, shared=shared)
            waits.sleep_until(waits.due(waits.grown(failed)), lambda: asking.client.closed)
            return ask(asking)

        tries = self._list.tries
        walker = Walker(self._root.pages, fetch, self._root.operation.rows, key, self._jobs.names, again, tries)
        old = 0
        for page in walker.walk():
            self._jobs.tally.listed(len(page))
            for row in page:
                if not isinstance(row, dict):
                    self._jobs.tally.skip("a row that is no object")
                    continue
                identity = row.get(key)
                if not is_key(identity):
                    self._jobs.tally.skip(f"a row without {key}")
                    continue
                time = parse_time(row.get(form.field)) if form else None
                if window and self._windows:
                    old = old + 1 if time is not None and time < window.start else 0
                    if not self._windows.accepts(time, window):
                        continue
                    if time is None and not self._is_new(identity):
                        continue
                if may_repeat and not seen.add(key_hash(identity)):
                    continue
                yield row, microseconds(time)
            if form and form.newest_first and window and not window.is_open and old >= OLD_ROWS:
                return
        if walker.total is not None:
            self._jobs.tally.compare(f"{params}", walker.total, walker.came)

    def count(self) -> None:
        """Asks how many rows the list has by the provider's own account, for the lines at the end of a sync."""
        count = self._jobs.stream.count
        assert count
        try:
            endpoint = replace(self._jobs.endpoint(count.operation), tries=1)
            answer = ask(self._jobs.asking(endpoint, self._jobs.names))
            total = count.value({**self._jobs.names, "answer": answer.value})
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001  nothing depends on it
            logger.info("Stream %s: its rows could not be counted: %s", self._jobs.stream.name, error)
            return
        if isinstance(total, int) and not isinstance(total, bool):
            self._jobs.tally.counted(total)

    def _is_new(self, identity: Any) -> bool:
        """A row without a time belongs to no window: the first one that it turns up in takes it."""
        key = key_hash(identity)
        with self._lock:
            if key in self._timeless:
                return False
            self._timeless.add(key)
            return True

    # One request or file per row

    def _done(self, window: Slice | None, fill: Callable[[Callable[[int, Seed], None]], None]) -> Iterator[Delivery]:
        failures = Failures()
        order = InOrder(self._jobs.pools, self._jobs.job)
        listing = _Listing(order, fill)
        listing.start()
        marks = Marks()
        reached: Reached | None = None
        saved = monotonic()
        with closing(order.outcomes()) as done:
            try:
                for number, seed, outcome in done:
                    if isinstance(outcome.error, Closed):
                        raise outcome.error
                    if outcome.error:
                        failures.add(outcome.error)
                    yield from outcome.deliveries
                    self._remember(seed, outcome)
                    marks.done(number, failed=outcome.error is not None)
                    if window and listing.is_complete and monotonic() - saved > CHECKPOINT_SECONDS:
                        reached = reached or Reached(window, order.times, marks)
                        self._save(reached.intervals())
                        saved = monotonic()
            except Closed:  # what has been handed on need not be asked for again
                if window and listing.is_complete:
                    self._save((reached or Reached(window, order.times, marks)).intervals())
                raise
        if listing.error:
            failures.add(listing.error)
        elif window and failures.first:
            self._save((reached or Reached(window, order.times, marks)).intervals())
        failures.raise_first()

    def _remember(self, seed: Seed, outcome: Outcome) -> None:
        """What need not be asked for again; of a job that failed, or is not settled, the files that were delivered."""
        time = moment(seed.time)
        if self._windows is None or time is None or seed.is_id:
            return
        if outcome.settled and not outcome.error:
            self._windows.settled.add(seed.key, time)
        else:
            for key in outcome.delivered:
                self._windows.settled.add(key, time)

    def _add_rows(self, window: Slice | None, add: Callable[[int, Seed], None], shared: bool) -> None:
        settled = self._windows.settled if self._windows else ()
        failures = Failures()
        for row, time in self.rows(window, shared):
            at = moment(time)
            try:
                seeds = list(self._jobs.seeds(row, time))
            except Exception as error:  # noqa: BLE001  one odd row takes no other one with it
                failures.add(error)
                continue
            for seed in seeds:
                if at is None or (seed.key, at) not in settled:
                    add(time, seed)
        failures.raise_first()

    def _add_ids(self, add: Callable[[int, Seed], None]) -> None:
        for number, seed in enumerate(self._jobs.ids()):
            add(number, seed)


class _Listing(threading.Thread):
    """Lists what is to be done, beside the doing."""

    def __init__(self, order: InOrder, fill: Callable[[Callable[[int, Seed], None]], None]) -> None:
        super().__init__(name="listing", daemon=True)
        self._order = order
        self._fill = fill
        self.is_complete = False
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self._fill(self._order.add)
        except Closed:
            return
        except Exception as error:  # noqa: BLE001  raised by the thread that hands on
            self.error = error
        self._order.end(self.error if is_config_error(self.error) else None)
        self.is_complete = self.error is None
