"""What is kept of a window's rows while it is read: little in memory, because a window can have very many rows."""

import pickle
import tempfile
from array import array
from bisect import bisect_left
from typing import Any

from source_recordings.temporary import disk_errors


class Seen:
    """A set of 64-bit hashes in eight bytes each, where a `set` takes seventy."""

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(256)]
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __contains__(self, key: int) -> bool:
        bucket = self._buckets[key & 255]
        position = bisect_left(bucket, key)
        return position < len(bucket) and bucket[position] == key

    def add(self, key: int) -> bool:
        """Whether it is new."""
        bucket = self._buckets[key & 255]
        position = bisect_left(bucket, key)
        if position < len(bucket) and bucket[position] == key:
            return False
        bucket.insert(position, key)
        self._length += 1
        return True


class Waiting:
    """Items that wait for their turn, in a temporary file once they are many.

    They are given out as they came, until `sort`; from then on in the order of their times. An item of the same time
    comes after those that were added before it. Not safe among threads.
    """

    MEMORY = 1_000_000
    """Bytes."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(self.MEMORY)  # noqa: SIM115  see close()
        self._times = array("q")
        self._places = array("q")
        self._order: array[int] | None = None
        self._end = 0
        self._next = 0

    def __len__(self) -> int:
        """How many still wait."""
        return len(self._times) - self._next

    def add(self, time: int, item: Any) -> None:
        """Raises a config error if there is no room for the file."""
        place = _written(self._file, self._end, item)
        self._times.append(time)
        self._places.append(self._end)
        self._end = place

    def sort(self) -> None:
        """No more come: the rest goes by its time."""
        rest = range(self._next, len(self._times))
        taken = array("q", range(self._next))
        self._order = taken + array("q", sorted(rest, key=self._times.__getitem__))

    def take(self) -> tuple[int, Any]:
        """The next item and its number, in the order in which they were added. Raises IndexError if none waits."""
        number = self._order[self._next] if self._order else self._next
        self._file.seek(self._places[number])
        self._next += 1
        return number, pickle.load(self._file)  # noqa: S301  written above, by this process

    @property
    def times(self) -> "array[int]":
        """The time of each item, by number."""
        return self._times

    def close(self) -> None:
        """Takes the file away."""
        self._file.close()


class Shelf:
    """The first item of each key, in a temporary file once they are many. Not safe among threads."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(Waiting.MEMORY)  # noqa: SIM115  see close()
        self._places: dict[str, int] = {}
        self._end = 0

    def add(self, key: str, item: Any) -> None:
        """Raises a config error if there is no room for the file."""
        if key not in self._places:
            end = _written(self._file, self._end, item)
            self._places[key], self._end = self._end, end

    def get(self, key: str) -> Any:
        """None if there is no such item."""
        place = self._places.get(key)
        if place is None:
            return None
        self._file.seek(place)
        return pickle.load(self._file)  # noqa: S301  written above, by this process

    def close(self) -> None:
        """Takes the file away."""
        self._file.close()


def _written(file: "tempfile.SpooledTemporaryFile[bytes]", place: int, item: Any) -> int:
    """Where the item ends."""
    with disk_errors():
        file.seek(place)
        pickle.dump(item, file, pickle.HIGHEST_PROTOCOL)
    return file.tell()
