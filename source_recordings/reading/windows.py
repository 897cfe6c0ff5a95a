"""Which windows of time to read, and what is remembered of those already read: the state."""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from source_recordings.errors import UserError
from source_recordings.provider import Window
from source_recordings.reading.settled import Settled
from source_recordings.times import UTC, formatted, iso, parse_time

logger = logging.getLogger("airbyte")

Interval = tuple[datetime, datetime]

WITHOUT_START = datetime(2010, 1, 1, tzinfo=UTC)
"""Where windows begin without a start date. The first of them has no lower bound: older rows come too."""

STEP = timedelta(days=30)
# Each older window is this many times as long as the one after it: a backfill without a start date then asks for
# the empty years before an account existed with three or four requests instead of hundreds.
WINDOW_GROWTH = 4

LAG = timedelta(minutes=2)
"""The least look-back: a row may become visible some seconds after the time that it carries."""

CLOCKS_DIFFER = timedelta(minutes=5)
"""A state that is further ahead of the clock than this is told; either way it is read again from now on."""

# A state has one of these, the cursor field, or a mark of the CDK's for a stream without a cursor. The last three: the
# CDK's substream cursor has written it, for a parent that has no state yet.
_KEYS = {"state_type", "slices", "settled", "nothing_yet", "use_global_cursor", "states", "parent_state"}

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Span:
    """What of a stream is read: from `start` (None: everything) to `end` (None: now), with this look-back."""

    start: datetime | None
    end: datetime | None
    lookback: timedelta
    now: datetime

    @property
    def is_whole(self) -> bool:
        return self.start is None and self.end is None


@dataclass(frozen=True)
class Slice:
    """A window [start, end): a row at exactly `end` is left to the next one, whatever the provider's bounds are."""

    start: datetime
    end: datetime
    is_open: bool = False
    """Without a lower bound."""

    def params(self, window: Window) -> dict[str, str]:
        """What the request says. Both bounds go out, as most providers document them as inclusive."""
        if window.since is None or window.until is None:
            return {}
        margin = timedelta(days=window.margin_days)
        until = {window.until: formatted(self.end + margin, window.format)}
        if self.is_open:
            return until
        return {window.since: formatted(self.start - margin, window.format), **until}


class Windows:
    """Cuts what is to be read into windows that are read side by side and remembered one by one.

    The intervals that are complete are saved (`slices`, in the CDK's own `date-range` form), so that a slow or failed
    window holds back no other one; within the look-back what is settled; and `nothing_yet` as long as no sync has brought
    anything. Then an empty past is doubtful: the provider's API may have changed, or we may read it wrongly. It is read
    once more by the sync in which the first thing comes.
    """

    def __init__(
        self, stream_name: str, cursor_field: str, window: Window, span: Span, state: Mapping[str, Any]
    ) -> None:
        """Raises a config error for a state that can't be read."""
        self._window = window
        self._span = span
        self._beginning = span.start or WITHOUT_START
        self._lookback = max(span.lookback, LAG)
        self._lock = threading.Lock()
        try:
            state = _own_state(state, cursor_field)
            intervals = _intervals(state, cursor_field, self._beginning)
            self.settled = Settled(state.get("settled") or {})
            self.nothing_yet = not state or bool(state.get("nothing_yet"))
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise UserError(
                f"The saved state of stream {stream_name} can't be read. Give the connector the state that it "
                "printed last, or none to start again from the start date.",
                internal_message=f"state of {stream_name}: {error!r}",
            ) from None
        ahead = max((b for _, b in intervals), default=span.now)
        if ahead > span.now + CLOCKS_DIFFER:
            logger.warning(
                "The saved state of stream %s is ahead of this machine's clock (%s): what was created since %s is read "
                "again.",
                stream_name,
                iso(ahead),
                iso(span.now - self._lookback),
            )
        self._done: list[Interval] = [(self._beginning, self._beginning)]
        for interval in intervals:
            self._add(*(min(bound, span.now) for bound in interval))
        reread = self._reread_from()
        passed_over = self._done if self.nothing_yet else []
        self._doubtful = [(a, min(b, reread)) for a, b in passed_over if a < min(b, reread)]

    def dump(self) -> dict[str, Any]:
        """The state. Size: two timestamps per gap-free interval, plus at most `settled.limit` short hashes."""
        with self._lock:
            state: dict[str, Any] = {
                "state_type": "date-range",
                "slices": [{"start": iso(a), "end": iso(b)} for a, b in self._done],
            }
        if self.settled:
            state["settled"] = self.settled.dump()
        if self.nothing_yet:
            state["nothing_yet"] = True
        return state

    def slices(self) -> Iterator[Slice]:
        """What is not done yet, and the look-back before its end once more, oldest first."""
        whole = (self._beginning, self._end())
        for lower, upper in _uncovered(whole, self._done, self._reread_from()):
            yield from self._slices(lower, upper)

    def _slices(self, lower: datetime, upper: datetime) -> Iterator[Slice]:
        for a, b in self._cut(lower, upper):
            yield Slice(a, b, is_open=self._span.start is None and a == self._beginning)

    @property
    def has_read(self) -> bool:
        """Whether anything has been read to its end."""
        return any(a < b for a, b in self._done)

    def something_came(self) -> None:
        """The past that was empty for earlier syncs counts as not read, and `doubtful` has it."""
        with self._lock:
            if not self.nothing_yet:
                return  # another window's first record was faster
            self.nothing_yet = False
            kept = [part for done in self._done for part in _uncovered(done, self._doubtful, _END_OF_TIME)]
            self._done = [(self._beginning, self._beginning), *kept]

    @property
    def is_doubtful(self) -> bool:
        """Whether earlier syncs have read a part of the past and got nothing."""
        return bool(self._doubtful)

    def doubtful(self) -> Iterator[Slice]:
        """That part."""
        for lower, upper in self._doubtful:
            yield from self._slices(lower, upper)

    def accepts(self, time: datetime | None, window: Slice) -> bool:
        """Whether a row of this time belongs to the window. One without a time always does.

        Where the provider filters, its own choice stands, because it may compare another time than the row's. Without an
        end date the newest window takes what lies ahead of the clock: no later window might ever come to it.
        """
        if time is None:
            return True
        if self._span.start and time < self._span.start:
            return False
        if self._span.end and time >= self._span.end:
            return False
        if self._window.is_exact:
            return time != window.end
        is_newest = self._span.end is None and window.end == self._end()
        return (window.is_open or window.start <= time) and (is_newest or time < window.end)

    def finish(self, start: datetime, end: datetime) -> None:
        """All of [start, end) has been emitted."""
        with self._lock:
            self._add(start, end)
            self.settled.forget_before(min([self._reread_from(), *self._open_windows()]))

    def _add(self, start: datetime, end: datetime) -> None:
        merged: list[Interval] = []
        for a, b in sorted([*self._done, (start, end)]):
            if merged and a <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], b))
            else:
                merged.append((a, b))
        self._done = merged

    def _open_windows(self) -> list[datetime]:
        """Where windows begin that are older than what is done, and still open: what is settled in them will be needed.

        Not the moments that single failed jobs leave open.
        """
        pairs = pairwise(self._done)
        return [b for (_, b), (c, _) in pairs if c - b > timedelta(seconds=1)]

    def _reread_from(self) -> datetime:
        return max(b for _, b in self._done) - self._lookback

    def _end(self) -> datetime:
        # Whole seconds, downwards: what is created in this second may still come.
        now = self._span.now.replace(microsecond=0)
        return min(self._span.end or now, now)

    def _cut(self, lower: datetime, upper: datetime) -> Iterator[Interval]:
        """From `upper` backwards each window is longer than the last; cuts are at midnight UTC."""
        if self._window.since is None:
            yield lower, upper  # every window would walk the same list
            return
        cuts = [upper]
        length = STEP
        while length < timedelta(days=36500):
            cut = (cuts[-1] - length).replace(hour=0, minute=0, second=0, microsecond=0)
            if cut <= lower:
                break
            cuts.append(cut)
            length *= WINDOW_GROWTH
        cuts.append(lower)
        cuts.reverse()
        yield from pairwise(cuts)


def _own_state(state: Mapping[str, Any], cursor_field: str) -> Mapping[str, Any]:
    """Also as the CDK's substream cursor writes it, when the exported manifest is run by itself."""
    known = {*_KEYS, cursor_field}
    if state and not any(key in known or key.startswith("__ab_") for key in state):
        raise ValueError(f"none of {sorted(known)}")
    parents = state.get("parent_state")
    if not isinstance(parents, Mapping) or not parents:
        return state
    parent = next(iter(parents.values()))
    if "state_type" in parent:
        return dict(parent)
    return {cursor_field: next(iter(parent.values()))} if parent else {}


def _intervals(state: Mapping[str, Any], cursor_field: str, beginning: datetime) -> list[Interval]:
    if state.get("state_type"):
        return [(_time(s["start"]), _time(s["end"])) for s in state["slices"]]
    if state.get(cursor_field) is not None:
        return [(beginning, max(beginning, _time(state[cursor_field])))]
    return []


def _time(value: Any) -> datetime:
    found = parse_time(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("no time")
    return found


def _uncovered(whole: Interval, done: Iterable[Interval], reread: datetime) -> Iterator[Interval]:
    """The parts of `whole` that no interval of `done` covers before `reread`, and all of it from there on."""
    position, end = whole
    for a, b in sorted(done):
        a, b = min(a, reread), min(b, reread)
        if position < min(a, end):
            yield position, min(a, end)
        position = max(position, b)
    if position < end:
        yield position, end
