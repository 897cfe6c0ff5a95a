"""A list page by page, to its end as the provider tells it.

A walk that ends before the `total` or the `has_more` that the provider itself gave, or that comes round to the same page
again, is an error: rows would be missing in silence, or it would never end. The page that shows it is asked for again first.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from source_recordings.errors import NEXT_STEP, PassingError
from source_recordings.expressions import Names
from source_recordings.http.answers import Answer
from source_recordings.provider import Pages
from source_recordings.reading.kept import Seen

Page = list[Any]
Fetch = Callable[[Mapping[str, str]], Answer]
Again = Callable[[Mapping[str, str], int], Answer]
"""The same after a wait, and not what another stream got. It is told how often the page has been broken."""

IsBroken = Callable[[Page, Names], bool]

MAX_STEPS_BACK = 100
MAX_WALKS = 3


class Walker:
    """Walks through one list."""

    def __init__(
        self,
        pages: Pages | None,
        fetch: Fetch,
        where: tuple[str, ...],
        key: str,
        names: Names,
        again: Again | None = None,
        tries: int = 1,
    ) -> None:
        """`where` the rows stand in an answer, and the `key` that tells them apart. A page is asked for so many `tries`."""
        self._pages = pages
        self._fetch_answer = fetch
        self._again = again
        self._tries = tries
        self._where = where
        self._key = key
        self._names = names

    def walk(self) -> Iterator[Page]:
        """The rows, page by page; a row may come twice. Raises a passing error for a list that contradicts itself."""
        pages = self._pages
        if pages is None or pages.single:
            yield self._fetch({})[0]
        elif pages.cursor:
            yield from self._by_cursor(pages)
        elif pages.offset:
            yield from self._by_offset(pages, pages.offset)
        else:
            yield from self._by_number(pages)

    def _fetch(self, params: Mapping[str, str], is_broken: IsBroken | None = None) -> tuple[Page, Names]:
        """A page; the last try at it if all of them are broken."""
        size = {self._pages.size_param: str(self._pages.size)} if self._pages else {}
        failed = 0
        while True:
            asked = {**size, **params}
            found: Any = (self._again(asked, failed) if failed and self._again else self._fetch_answer(asked)).value
            names = {**self._names, "answer": found}
            for name in self._where:
                found = found[name]
            failed += 1
            broken = is_broken(found, names) if is_broken else self._is_held_back(found, names, params)
            if not broken or not self._again or failed >= self._tries:
                return found, names

    def _is_held_back(self, rows: Page, names: Names, params: Mapping[str, str]) -> bool:
        """A page without rows of a list that has more of them, by its own account."""
        pages = self._pages
        if rows or pages is None or pages.single or not pages.offset:
            return False
        return _goes_on(pages, names, rows, int(params.get(pages.offset, 0)))

    def _by_cursor(self, pages: Pages) -> Iterator[Page]:
        """Where an answer says that there is more and gives no cursor, by offset, if the provider has one."""
        assert pages.cursor and pages.next
        params: dict[str, str] = {}
        tokens = Seen()
        keys = Seen()
        offset = 0

        def leads_nowhere(rows: Page, names: Names) -> bool:
            token = pages.next(names) if pages.next else None
            if token is not None and token != "":
                return not _is_text(token) or hash(str(token)) in tokens
            has_new = any(key not in keys for key in self._keys(rows))
            return bool(pages.more and pages.more(names)) and not (pages.offset and has_new)

        while True:
            rows, names = self._fetch(params, leads_nowhere)
            yield rows
            offset += len(rows)
            token = pages.next(names)
            if token is not None and token != "":
                if not tokens.add(hash(token := _text(token))):
                    raise PassingError(
                        "The provider sent a page cursor for the second time, so its list would never end. What was read "
                        "is kept; the next sync tries again. If it happens again, tell the provider."
                    )
                params = {pages.cursor: token}
                continue
            if not (pages.more and pages.more(names)):
                return
            new = sum(keys.add(key) for key in self._keys(rows))
            if not pages.offset or not new:
                raise _broken("it says that there is more, and does not give it")
            params = {pages.offset: str(offset)}

    def _by_number(self, pages: Pages) -> Iterator[Page]:
        assert pages.number
        keys = Seen()
        number = offset = 0
        while True:
            number += 1
            rows, names = self._fetch({pages.number: str(number)})
            yield rows
            offset += len(rows)
            new = sum(keys.add(key) for key in self._keys(rows))
            if not _goes_on(pages, names, rows, offset):
                return
            if not new:
                raise _broken("it says that there is more, and does not give it")

    def _by_offset(self, pages: Pages, offset: str) -> Iterator[Page]:
        """A list that grows and shrinks while it is read loses no row.

        A row that leaves the list moves all later ones up, past the next offset. So each page starts with the last row of
        the page before; when its first row has not been seen, rows were passed over and the walk goes back a page. A list
        in which fewer rows turned up than it says that it has is walked again.
        """
        seen = Seen()
        keyless = 0
        for _ in range(MAX_WALKS):
            totals: list[int] = []
            for rows, names in self._overlapping(pages, offset, seen):
                keyless = sum(1 for row in rows if self._hash(row) is None) + keyless
                if pages.total and isinstance(total := pages.total(names), int):
                    totals.append(total)
                yield rows
            least = min(totals[0], totals[-1]) if totals else 0
            if len(seen) + keyless >= least:
                return
        raise _broken(f"it says that it has {least:,} rows, and {len(seen):,} came")

    def _overlapping(self, pages: Pages, param: str, seen: Seen) -> Iterator[tuple[Page, Names]]:
        here = steps_back = 0
        overlaps = False
        walked = Seen()
        while True:
            rows, names = self._fetch({param: str(here)} if here else {})
            keys = self._keys(rows)
            if here and overlaps and (not keys or keys[0] not in walked):
                steps_back += 1
                if steps_back > MAX_STEPS_BACK:
                    raise PassingError(
                        "The provider's list changed faster than it could be read; the next sync tries again."
                    )
                here = max(0, here - pages.size + 1)
                continue
            for key in keys:
                walked.add(key)
                seen.add(key)
            yield rows, names
            end = here + len(rows)
            if not _goes_on(pages, names, rows, end):
                return
            if not rows:
                if steps_back >= MAX_STEPS_BACK or not here:
                    raise _broken("it says that there is more, and does not give it")
                steps_back += 1
                overlaps = True
                here = max(0, here - pages.size + 1)
                continue
            # A page of one row can't overlap and go on, so it goes on.
            overlaps = len(rows) > 1
            here = end - 1 if overlaps else end

    def _keys(self, rows: Page) -> list[int]:
        return [key for key in map(self._hash, rows) if key is not None]

    def _hash(self, row: Any) -> int | None:
        key = row.get(self._key) if isinstance(row, Mapping) else None
        return hash(key) if isinstance(key, str | int) else None


def _goes_on(pages: Pages, names: Names, rows: Page, end: int) -> bool:
    """Whether any of what the provider says means that there is more. Where it says nothing, a full page does."""
    more = bool(pages.more and pages.more(names))
    total = pages.total(names) if pages.total else None
    if isinstance(total, int) and not isinstance(total, bool):
        return more or end < total
    return more if pages.more else len(rows) >= pages.size


def _is_text(token: Any) -> bool:
    return isinstance(token, str | int) and not isinstance(token, bool)


def _text(token: Any) -> str:
    """A cursor goes back as it came."""
    if not _is_text(token):
        raise _broken("its page cursor is neither text nor a number")
    return str(token)


def _broken(reason: str) -> PassingError:
    return PassingError(f"The provider's list contradicts itself: {reason}. {NEXT_STEP}")
