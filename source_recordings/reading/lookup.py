"""Rows that a provider offers in a list of the whole account only: walked once a sync, and looked up by a field."""

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from source_recordings.delivery import Row
from source_recordings.provider import Match
from source_recordings.reading.kept import Shelf
from source_recordings.reading.pages import Page
from source_recordings.times import parse_time

OLD_ROWS = 5
"""So many rows in a row at a page's end, older than wanted, are the end of a list that is sorted newest first: a single one
may be an odd one."""


class Refused(Exception):
    """The provider does not give this list."""


class Lookup:
    """The newest row of each unit. Used by all threads. Close it."""

    def __init__(
        self, walk: Callable[[Mapping[str, str]], Iterator[Page]], match: Match, since: datetime | None, *, whole: bool
    ) -> None:
        """`walk` gives the pages for some parameters, and raises Refused.

        No row that is wanted is older than `since`. Not `whole`: the list is asked for one unit at a time.
        """
        self._walk = walk
        self._match = match
        self._since = since
        self._whole = whole
        self._lock = threading.Lock()
        self._shelf: Shelf | None = None
        self._error: Exception | None = None

    def row_of(self, value: str) -> Row | None:
        """None if there is none. Slow. Raises an error in words."""
        with self._lock:
            if self._whole and self._shelf is None:
                self._fill()
            if self._shelf is not None:
                found: Row | None = self._shelf.get(value)
                return found
        try:
            pages = self._walk({self._match.param: value})
            return next((row for page in pages for row in page if self._value(row) == value), None)
        except Refused:
            return None

    def _fill(self) -> None:
        if self._error:
            # Otherwise its traceback would grow with each unit.
            raise self._error.with_traceback(None)
        shelf = Shelf()
        try:
            for page in self._walk({}):
                for row in page:
                    if (value := self._value(row)) is not None:
                        shelf.add(value, row)
                if self._is_old(page):
                    break
        except Refused:
            shelf.close()
            self._whole = False
            return
        except Exception as error:
            shelf.close()
            self._error = error
            raise
        self._shelf = shelf

    def close(self) -> None:
        """Nothing is looked up any more."""
        if self._shelf:
            self._shelf.close()

    def _value(self, row: object) -> str | None:
        value = row.get(self._match.field) if isinstance(row, Mapping) else None
        return value if isinstance(value, str) else None

    def _is_old(self, page: Page) -> bool:
        field = self._match.newest_first
        if field is None or self._since is None or not page:
            return False
        times = [parse_time(row.get(field)) if isinstance(row, Mapping) else None for row in page[-OLD_ROWS:]]
        return all(time is not None and time < self._since for time in times)
