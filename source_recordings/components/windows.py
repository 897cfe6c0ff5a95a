"""The incremental cursor: which time windows to read, and what is remembered of those already read."""

import threading
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from itertools import pairwise
from typing import Any, cast

from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils.datetime_helpers import ab_datetime_parse

from source_recordings.components.errors import UserError

Interval = tuple[datetime, datetime]

# Each older window is this many times as long as the one after it: a backfill without a start date then asks for
# the empty years before an account existed with three or four requests instead of hundreds.
WINDOW_GROWTH = 4


# A state has one of these, the cursor field, or a mark of the CDK's for a stream without a cursor. The last three: the
# CDK's substream cursor has written it, for a parent that has no state yet.
_KEYS = {"state_type", "slices", "settled", "use_global_cursor", "states", "parent_state"}


class WindowCursor(ConcurrentCursor):
    """Cuts [start, end) into windows that are read concurrently and remembered one by one.

    The CDK's cursor that it replaces saves one timestamp: a slow or failed window then holds back every later one, and
    a stream with one request per recording saves nothing until 600 seconds have passed. This one saves the intervals
    that are complete (`slices`, in the CDK's own `date-range` form, so that it reads the state of its predecessor),
    and within an interval what is settled.

    A window is [a, b): both bounds go out in the request, and a row at exactly b is left to the next window, so that it
    does not matter whether the provider's own upper bound is inclusive.
    """

    def __init__(
        self,
        stock: ConcurrentCursor,
        state: Mapping[str, Any],
        *,
        strict: bool,
        end: datetime | None,
    ) -> None:
        """`stock` is the CDK's cursor for the same stream without state.

        `strict`: the provider does not filter (or filters by whole days), so that rows outside of the window are dropped.
        Otherwise the provider's own choice stands, because it may compare another timestamp than the cursor field.
        `end`: the configured end date, None for now.
        """
        try:
            super().__init__(
                stream_name=stock._stream_name,
                stream_namespace=stock._stream_namespace,
                stream_state=_without_settled(state, stock._cursor_field.cursor_field_key),
                message_repository=stock._message_repository,
                connector_state_manager=stock._connector_state_manager,
                connector_state_converter=stock._connector_state_converter,
                cursor_field=stock._cursor_field,
                slice_boundary_fields=stock._slice_boundary_fields,
                start=stock._start,
                end_provider=stock._end_provider,
                lookback_window=stock._lookback_window,
                slice_range=stock._slice_range,
                cursor_granularity=stock._cursor_granularity,
            )
            if not self._concurrent_state["slices"]:
                self._concurrent_state["slices"] = [{"start": self._start, "end": self._start}]
            self.settled = Settled(state.get("settled") or {})
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise UserError(
                f"The saved state of stream {stock._stream_name} can't be read. Give the connector the state that it "
                "printed last, or none to start again from the start date.",
                internal_message=f"state of {stock._stream_name}: {error!r}",
            ) from None
        # What the CDK keeps as any comparable kind of value is time here.
        self._beginning = cast(datetime, stock._start)
        self._lookback = cast(timedelta | None, stock._lookback_window) or timedelta(0)
        self._length = cast(timedelta, stock._slice_range)
        self._strict = strict
        self._configured_end = end
        self._write_lock = threading.Lock()

    @property
    def state(self) -> MutableMapping[str, Any]:
        """Size: two timestamps per gap-free interval, plus at most `settled.limit` short hashes."""
        fmt = self._connector_state_converter.output_format
        state: dict[str, Any] = {
            "state_type": "date-range",
            "slices": [{"start": fmt(a), "end": fmt(b)} for a, b in self._done()],
        }
        if self.settled:
            state["settled"] = self.settled.dump()
        return state

    def stream_slices(self) -> Iterable[StreamSlice]:
        """What is not done yet, and the look-back before its end once more, oldest first."""
        end = self._end()
        done = self._done()
        last = max(b for _, b in done)
        for lower, upper in _uncovered((self._beginning, end), done, last - self._lookback):
            for a, b in self._windows(lower, upper):
                yield self._slice(a, b)

    def bounds(self, stream_slice: Mapping[str, Any]) -> Interval:
        start, end = self._slice_boundary_fields_wrapper
        parse = self._connector_state_converter.parse_value
        return parse(stream_slice[start]), parse(stream_slice[end])

    def time_of(self, record: Record) -> datetime | None:
        """The record's cursor value; None where the provider gave none or no time."""
        return parse_time(record.data.get(self._cursor_field.cursor_field_key))

    def should_be_synced(self, record: Record) -> bool:
        """False once a record is older than its window: what a list that is sorted newest first ends at."""
        time = self.time_of(record)
        return (
            time is None
            or not record.associated_slice
            or time >= self.bounds(record.associated_slice)[0]
        )

    def accepts(self, record: Record, stream_slice: StreamSlice) -> bool:
        """Whether the record belongs to the window, see `strict`. One without a time always does."""
        time = self.time_of(record)
        if time is None:
            return True
        start, end = self.bounds(stream_slice)
        if self._strict:
            return start <= time < end
        in_range = self._beginning <= time and (
            not self._configured_end or time < self._configured_end
        )
        return in_range and time != end

    def observe(self, record: Record) -> None:
        """The windows are the progress; a record's own time is not."""

    def close_partition(self, partition: Partition) -> None:
        stream_slice = partition.to_slice()
        if stream_slice is not None and not getattr(partition, "abandoned", False):
            self.checkpoint(*self.bounds(stream_slice))

    def checkpoint(self, start: datetime, end: datetime) -> None:
        """Says that all of [start, end) has been emitted, and prints the state."""
        with self._write_lock:
            self._concurrent_state["slices"].append({"start": start, "end": end})
            self._merge_partitions()
            self.settled.forget_before(max(b for _, b in self._done()) - self._lookback)
            self._emit_state_message()

    def ensure_at_least_one_state_emitted(self) -> None:
        with self._write_lock:
            self._emit_state_message()

    def _done(self) -> list[Interval]:
        return [(s["start"], s["end"]) for s in self._concurrent_state["slices"]]

    def _end(self) -> datetime:
        # Whole seconds, downwards: what is created in this second may still come.
        now = utc_now().replace(microsecond=0)
        return min(self._configured_end or now, now)

    def _windows(self, lower: datetime, upper: datetime) -> Iterator[Interval]:
        """From `upper` backwards each window is longer than the last; cuts are at midnight UTC."""
        cuts = [upper]
        length = self._length
        while length < timedelta(days=36500):
            cut = (cuts[-1] - length).replace(hour=0, minute=0, second=0, microsecond=0)
            if cut <= lower:
                break
            cuts.append(cut)
            length *= WINDOW_GROWTH
        cuts.append(lower)
        cuts.reverse()
        yield from pairwise(cuts)

    def _slice(self, start: datetime, end: datetime) -> StreamSlice:
        fmt = self._connector_state_converter.output_format
        start_field, end_field = self._slice_boundary_fields_wrapper
        return StreamSlice(
            partition={}, cursor_slice={start_field: fmt(start), end_field: fmt(end)}
        )


class Settled:
    """Which recordings inside the look-back have reached a final state and need not be asked for again.

    Kept by the day the recording was created, as six-byte hashes, so that a day falls out of the state as a whole and
    1,000 recordings take 8 kB. Over `limit` the oldest days go first: their recordings are asked for once more.
    """

    LIMIT = 2000
    FILES_LIMIT = 20_000
    """For file streams: a file costs more than a request, to download again."""
    _SIZE = 6

    def __init__(self, dumped: Mapping[str, str], limit: int = LIMIT) -> None:
        self.limit = limit
        self._days: dict[str, set[bytes]] = {}
        for day, encoded in dumped.items():
            raw = b64decode(encoded, validate=True)
            chunks = range(0, len(raw), self._SIZE)
            self._days[day] = {raw[i : i + self._SIZE] for i in chunks}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._days)

    def add(self, key: str, created: datetime) -> None:
        with self._lock:
            self._days.setdefault(self._day(created), set()).add(self._hash(key))

    def __contains__(self, item: tuple[str, datetime]) -> bool:
        key, created = item
        return self._hash(key) in self._days.get(self._day(created), ())

    def forget_before(self, time: datetime) -> None:
        with self._lock:
            kept = 0
            for day in sorted(self._days, reverse=True):
                kept += len(self._days[day])
                if day < self._day(time) or kept > self.limit:
                    del self._days[day]

    def dump(self) -> dict[str, str]:
        with self._lock:
            return {
                d: b64encode(b"".join(sorted(h))).decode() for d, h in sorted(self._days.items())
            }

    @staticmethod
    def _day(time: datetime) -> str:
        return time.astimezone(timezone.utc).date().isoformat()

    @classmethod
    def _hash(cls, key: str) -> bytes:
        return blake2b(key.encode(), digest_size=cls._SIZE).digest()


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def parse_time(value: Any) -> datetime | None:
    """The time that a provider gave, None if it gave none or something else."""
    try:
        return ab_datetime_parse(value)
    except (ValueError, TypeError):
        return None


def _without_settled(state: Mapping[str, Any], cursor_field: str) -> dict[str, Any]:
    known = {*_KEYS, cursor_field}
    if state and not any(key in known or key.startswith("__ab_") for key in state):
        raise ValueError(f"none of {sorted(known)}")
    return deepcopy({k: v for k, v in state.items() if k != "settled"})


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
