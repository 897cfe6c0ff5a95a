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
from source_recordings.reading.keys import is_key, key_hash

Page = list[Any]
Fetch = Callable[[Mapping[str, str]], Answer]
Again = Callable[[Mapping[str, str], int], Answer]
"""The same after a wait, and not what another stream got. It is told how often the page has been broken."""

IsBroken = Callable[[Page, Names], bool]

MAX_STEPS_BACK = 100
MAX_IN_VAIN = 20
"""So many pages in a row may bring nothing new: a list can grow by some pages between two requests."""

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
        self.total: int | None = None
        """How many rows the list has by the provider's own account, once it has been walked to its end."""
        self.came = 0
        """How many there were."""

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
        keyless: set[int] = set()
        for _ in range(MAX_WALKS):
            totals: list[int] = []
            for rows, total in self._overlapping(pages, offset, seen, keyless):
                if total is not None:
                    totals.append(total)
                yield rows
            least = min(totals[0], totals[-1]) if totals else 0
            if len(seen) + len(keyless) >= least:
                self.total, self.came = (totals[-1] if totals else None), len(seen) + len(keyless)
                return
        raise _too_few(least, len(seen) + len(keyless))

    def _overlapping(
        self, pages: Pages, param: str, seen: Seen, keyless: set[int]
    ) -> Iterator[tuple[Page, int | None]]:
        """The pages, each with the total that came with it. A row without a key is known by its place."""
        here = steps_back = in_vain = 0
        last: int | None = None
        """The key of the row that the next page should start with."""
        walked = Seen()
        while True:
            rows, names = self._fetch({param: str(here)} if here else {})
            keys = [self._hash(row) for row in rows]
            total = _total(pages, names)
            first = keys[0] if keys else None
            if here and last is not None and (first is None or first not in walked):
                steps_back += 1
                if steps_back > MAX_STEPS_BACK:
                    raise _too_fast(total, len(seen) + len(keyless))
                here = max(0, here - pages.size + 1)
                continue
            new = sum(walked.add(key) for key in keys if key is not None)
            for key in keys:
                if key is not None:
                    seen.add(key)
            is_next = bool(new) or last is None or first == last
            yield [r for n, r in enumerate(rows) if keys[n] is not None or (is_next and _add(keyless, here + n))], total
            end = here + len(rows)
            if not _goes_on(pages, names, rows, end):
                return
            in_vain = 0 if new else in_vain + 1
            if in_vain > MAX_IN_VAIN or not (rows or here):
                raise _too_few(total, len(seen) + len(keyless))
            if not rows:
                here = max(0, here - pages.size + 1)
                last = last or 0  # whatever row: it must be a known one
                continue
            # Where only the first row has a key, the next page can't start with a known one and go on: so it goes on.
            at = max((n for n, key in enumerate(keys) if key is not None), default=0)
            last = keys[at] if at else None
            here = here + at if at else end

    def _keys(self, rows: Page) -> list[int]:
        return [key for key in map(self._hash, rows) if key is not None]

    def _hash(self, row: Any) -> int | None:
        key = row.get(self._key) if isinstance(row, Mapping) else None
        return key_hash(key) if is_key(key) else None


def _add(places: set[int], place: int) -> bool:
    """Whether it is new."""
    before = len(places)
    places.add(place)
    return len(places) > before


def _total(pages: Pages, names: Names) -> int | None:
    total = pages.total(names) if pages.total else None
    return total if isinstance(total, int) and not isinstance(total, bool) else None


def _goes_on(pages: Pages, names: Names, rows: Page, end: int) -> bool:
    """Whether any of what the provider says means that there is more. Where it says nothing, a full page does."""
    more = bool(pages.more and pages.more(names))
    total = _total(pages, names)
    if total is not None:
        return more or end < total
    return more if pages.more else len(rows) >= pages.size


def _is_text(token: Any) -> bool:
    """Whether it can go back as it came: text, without half a character in it, or a whole number."""
    if not isinstance(token, str):
        return isinstance(token, int) and not isinstance(token, bool)
    try:
        token.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(token: Any) -> str:
    """A cursor goes back as it came."""
    if not _is_text(token):
        raise _broken("its page cursor is neither text nor a number")
    return str(token)


def _too_few(total: int | None, came: int) -> PassingError:
    if total is None or total <= came:
        return _broken("it says that there is more, and does not give it")
    return _broken(f"it says that it has {total:,} rows, and {came:,} came")


def _too_fast(total: int | None, came: int) -> PassingError:
    said = "" if total is None else f" It says that it has {total:,} rows, and {came:,} came."
    return PassingError(
        f"The provider's list changed faster than it could be read.{said} What was read is kept; the next sync tries again."
    )


def _broken(reason: str) -> PassingError:
    return PassingError(f"The provider's list contradicts itself: {reason}. {NEXT_STEP}")
