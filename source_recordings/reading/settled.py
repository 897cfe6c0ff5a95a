"""Which recordings inside the look-back have reached a final state and need not be asked for again."""

import threading
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b

from source_recordings.times import UTC


class Settled:
    """Kept by the day the recording was created, as six-byte hashes.

    So a day falls out of the state as a whole and 1,000 recordings take 8 kB. Over `limit` the oldest days go first:
    their recordings are asked for once more.
    """

    LIMIT = 2000
    FILES_LIMIT = 20_000
    """For file streams: a file costs more than a request, to download again."""
    _SIZE = 6

    def __init__(self, dumped: Mapping[str, str], limit: int = LIMIT) -> None:
        """Raises ValueError, TypeError or AttributeError for what `dump` has not made."""
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
        if not self._days:
            return False
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
            return {d: b64encode(b"".join(sorted(h))).decode() for d, h in sorted(self._days.items())}

    @staticmethod
    def _day(time: datetime) -> str:
        return time.astimezone(UTC).date().isoformat()

    @classmethod
    def _hash(cls, key: str) -> bytes:
        return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=cls._SIZE).digest()
