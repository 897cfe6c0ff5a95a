"""What is kept of a window's rows while it is read: little in memory, because a window can have very many rows."""

import os
import pickle
import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Generic, TypeVar

from source_recordings.components.errors import UserError

Item = TypeVar("Item")


class Seen:
    """A set of 64-bit hashes in eight bytes each, where a `set` takes seventy."""

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(256)]

    def add(self, key: int) -> bool:
        """Whether it is new."""
        bucket = self._buckets[key & 255]
        position = bisect_left(bucket, key)
        if position < len(bucket) and bucket[position] == key:
            return False
        bucket.insert(position, key)
        return True


class Waiting(Generic[Item]):
    """Items that wait for their turn, in a temporary file once they are many; given out in the order of their times."""

    MEMORY = 1_000_000
    """Bytes."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(self.MEMORY)  # noqa: SIM115  see close()
        self._times = array("q")
        self._places = array("q")

    def add(self, time: int, item: Item) -> None:
        """Raises a config error if there is no room for the file."""
        self._times.append(time)
        self._places.append(self._file.tell())
        try:
            pickle.dump(item, self._file)
        except OSError as error:
            raise UserError(
                f"The folder for temporary files can't be written ({os.strerror(error.errno or 0)}). Free some space there, "
                "or name another folder in the environment variable TMPDIR.",
                internal_message=repr(error),
            ) from None

    def __iter__(self) -> Iterator[tuple[int, Item]]:
        """Items of the same time come in the order in which they were added."""
        for index in array("q", sorted(range(len(self._times)), key=self._times.__getitem__)):
            self._file.seek(self._places[index])
            yield self._times[index], pickle.load(self._file)  # noqa: S301  written above, by this process

    def close(self) -> None:
        """Takes the file away."""
        self._file.close()
