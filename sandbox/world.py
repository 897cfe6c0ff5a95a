"""A clock and seeded dice: every fact in the sandbox is a function of (seed, kind, index, clock).

Nothing is stored per item but its creation time, so 100,000 items per provider cost one sorted
array each, and the same seed always tells the same story.
"""

from __future__ import annotations

import random
import re
from array import array
from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from threading import RLock

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)

# Odd, so multiplying by it modulo 2**32 can be undone: an id leads back to its index.
_SCRAMBLE = 0x9E3779B1
_UNSCRAMBLE = pow(_SCRAMBLE, -1, 2**32)


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def iso(moment: int, digits: int = 3) -> str:
    """RFC 3339 in UTC with 0, 3 or 6 fractional digits."""
    timespec = {0: "seconds", 3: "milliseconds", 6: "microseconds"}[digits]
    return (_EPOCH + timedelta(microseconds=moment)).isoformat(timespec=timespec)[:-6] + "Z"


def parse_time(text: str) -> int | None:
    """The microseconds an RFC 3339 date-time names, or None if it is none."""
    match = _RFC3339.match(text)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        base = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError:
        return None
    return micros(base) + int((fraction or "0").ljust(6, "0")[:6])


class World:
    """`size` items of each kind visible at `now`, more as the clock moves on."""

    def __init__(self, seed: int, size: int, now: datetime, days: int = 90) -> None:
        if size < 0 or days < 1:
            raise ValueError("size must not be negative, days must be at least 1")
        if now.tzinfo is None:
            raise ValueError("now needs a time zone")
        self.seed = seed
        self.size = size
        self.days = days
        self.clock = self._start = micros(now)
        self._times: dict[str, array[int]] = {}
        self._horizon: dict[str, int] = {}
        self._salts: dict[str, int] = {}
        self._lock = RLock()

    @property
    def now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.clock)

    @property
    def start(self) -> int:
        """Where the clock began."""
        return self._start

    @property
    def beginning(self) -> int:
        """Nothing that happens to an account is older; the account itself is."""
        return self._start - self.days * DAY

    def advance(self, by: timedelta) -> None:
        if by < timedelta(0):
            raise ValueError("the clock only moves forward")
        self.clock += by // timedelta(microseconds=1)

    # --- when -------------------------------------------------------------------------------

    def times(self, kind: str, quantum: int = 1000) -> array[int]:
        """Creation times in order, at least up to the clock. `quantum` is their resolution."""
        with self._lock:
            if kind not in self._times:
                self._times[kind] = self._history(kind, quantum)
                self._horizon[kind] = self._start
            times = self._times[kind]
            while self._horizon[kind] < self.clock:
                times.extend(self._month(kind, quantum, self._horizon[kind]))
                self._horizon[kind] += 30 * DAY
            return times

    def visible(self, kind: str, quantum: int = 1000) -> int:
        """How many items have been created by now: those with the indices 0..n-1."""
        return bisect_right(self.times(kind, quantum), self.clock)

    def between(self, kind: str, start: int | None, end: int | None, *, quantum: int = 1000) -> range:
        """Indices of the visible items created in [start, end], both inclusive."""
        times, count = self.times(kind, quantum), self.visible(kind, quantum)
        low = 0 if start is None else bisect_left(times, start, 0, count)
        high = count if end is None else bisect_right(times, end, 0, count)
        return range(low, max(low, high))

    def _history(self, kind: str, quantum: int) -> array[int]:
        dice = random.Random(f"{self.seed}/{kind}/history")
        # Busy last hours and minutes, so that there is always something that has not settled yet.
        minutes = min(self.size, max(2, self.size // 80))
        hours = min(self.size - minutes, max(3, self.size // 25))
        spans = ((self.size - minutes - hours, self.days * DAY), (hours, 3 * HOUR), (minutes, 5 * MINUTE))
        times: list[int] = []
        for count, span in spans:
            times += self._bursts(dice, count, self._start - span, self._start, quantum)
        return array("q", sorted(times))

    def _month(self, kind: str, quantum: int, start: int) -> array[int]:
        dice = random.Random(f"{self.seed}/{kind}/{start - self._start}")
        count = max(50, -(-self.size // 5), round(self.size * 30 / self.days))
        return array("q", sorted(self._bursts(dice, count, start, start + 30 * DAY, quantum)))

    @staticmethod
    def _bursts(dice: random.Random, count: int, start: int, end: int, quantum: int) -> list[int]:
        """Times in (start, end]: single ones and bursts, equal ones, whole seconds, midnights."""
        times: list[int] = []
        while len(times) < count:
            moment = dice.randrange(start + quantum, end + 1)
            if dice.random() < 0.02:
                moment -= moment % DAY
            elif dice.random() < 0.05:
                moment -= moment % SECOND
            if moment < start + quantum:
                continue
            for _ in range(1 if dice.random() < 0.8 else dice.randint(2, 10)):
                times.append(moment - moment % quantum)
                step = 0 if dice.random() < 0.3 else dice.randrange(20 * SECOND)
                moment = min(end, moment + step)
        return times[:count]

    # --- dice -------------------------------------------------------------------------------

    def _salt(self, kind: str) -> int:
        salt = self._salts.get(kind)
        if salt is None:
            digest = blake2b(f"{self.seed}/{kind}".encode(), digest_size=8).digest()
            salt = self._salts[kind] = int.from_bytes(digest, "big")
        return salt

    def chance(self, kind: str, index: int) -> float:
        """One cheap, evenly spread number in [0, 1) (splitmix64)."""
        mask = 2**64 - 1
        x = (self._salt(kind) + index * 0x9E3779B97F4A7C15) & mask
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        return float((x ^ (x >> 31)) >> 11) / 2.0**53

    def dice(self, kind: str, index: int) -> random.Random:
        return random.Random(self._salt(kind) * 1_000_003 + index)

    # --- ids --------------------------------------------------------------------------------

    def scramble(self, kind: str, index: int) -> int:
        return (index * _SCRAMBLE + self._salt(kind)) % 2**32

    def id(self, kind: str, index: int, length: int = 32) -> str:
        """Hex digits that look random and lead back to the index (see `find`)."""
        digest = blake2b(f"{self.seed}/{kind}/{index}".encode(), digest_size=16).hexdigest()
        return f"{self.scramble(kind, index):08x}{digest}"[:length]

    def uuid(self, kind: str, index: int) -> str:
        h = self.id(kind, index)
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:32]}"

    def find(self, kind: str, text: str) -> int | None:
        """The index whose `id` or `uuid` the text is, visible or not."""
        try:
            scrambled = int(text[:8], 16)
        except ValueError:
            return None
        index = (scrambled - self._salt(kind)) * _UNSCRAMBLE % 2**32
        wanted = self.uuid(kind, index) if "-" in text else self.id(kind, index, len(text))
        return index if len(text) >= 16 and wanted == text else None
