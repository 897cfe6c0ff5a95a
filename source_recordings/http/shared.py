"""What several streams of a sync need is asked for once: one of them asks, the others get the same answer.

Contract with the disk: one temporary file of its owner alone, without a name, of a bounded size. When it is full, the
oldest answers make room; whoever still wants one of these asks again.
"""

import os
import tempfile
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from source_recordings.http.answers import Answer, Apart, Reply
from source_recordings.http.asking import Asking, Later
from source_recordings.http.client import Request
from source_recordings.temporary import disk_errors

BYTES = 256 * 1024 * 1024
ENTRIES = 50_000
APARTS = 64
"""Files of long texts that are kept open."""

Key = bytes


@dataclass
class _Entry:
    """An answer that is under way (no `place` yet), is kept, or failed."""

    asker: object | None
    waiting: list[Callable[[], None]] = field(default_factory=list)
    status: int = 0
    apart: Apart | None = None
    place: tuple[int, int] | None = None
    error: Exception | None = None


class Answers:
    """The answers of one provider to the requests that several streams make. Used by all threads."""

    def __init__(self, size: int = BYTES, entries: int = ENTRIES) -> None:
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        self._file: Any = None
        self._size = size
        self._limit = entries
        self._aparts: deque[_Entry] = deque()
        self._position = 0
        self._closed = False

    def asking(self, asking: Asking, *, anew: bool = False) -> "SharedAsking":
        """The same request, made only if no other stream has made it. `anew`: its answer has grown old."""
        return SharedAsking(self, asking, anew)

    def close(self) -> None:
        """Takes the file away."""
        with self._lock:
            self._closed = True
            if self._file:
                self._file.close()

    def claim(self, key: Key, asker: object, *, anew: bool) -> tuple[_Entry, bool]:
        """The entry, and whether it is this asker's to fill."""
        with self._lock:
            entry = self._entries.get(key)
            if entry and entry.asker is asker:
                return entry, True
            if entry is None or (anew and entry.asker is None):
                entry = self._entries[key] = _Entry(asker)
                self._entries.move_to_end(key)
                return entry, True
            return entry, False

    def wait_for(self, entry: _Entry, wake: Callable[[], None]) -> None:
        """Calls `wake` when the entry is filled or given up."""
        with self._lock:
            if entry.asker is not None:
                entry.waiting.append(wake)
                return
        wake()

    def keep(self, key: Key, entry: _Entry, reply: Reply) -> None:
        """Raises a config error if there is no room for the file."""
        with self._lock:
            entry.status, entry.apart = reply.status, reply.apart
            entry.place = self._written(reply.body)
            if entry.place is None:
                self._entries.pop(key, None)
            elif reply.apart:
                self._aparts.append(entry)
            self._shrink()
        self._wake(entry)

    def fail(self, entry: _Entry, error: Exception) -> None:
        """The others meet the same error: they would have asked the same."""
        entry.error = error
        self._wake(entry)

    def give_up(self, key: Key, entry: _Entry) -> None:
        """Nobody has asked to the end: the next one may."""
        with self._lock:
            if self._entries.get(key) is entry:
                del self._entries[key]
        self._wake(entry)

    def read(self, entry: _Entry) -> Reply | None:
        """None if it has been dropped meanwhile."""
        with self._lock:
            if entry.place is None or self._closed:
                return None
            start, length = entry.place
            body = os.pread(self._file.fileno(), length, start)
            return Reply(entry.status, {}, body, entry.apart)

    def _written(self, body: bytes) -> tuple[int, int] | None:
        length = len(body)
        if self._closed or length > self._size // 4:
            return None
        if self._position + length > self._size:
            self._position = 0
        start = self._position
        self._drop(start, start + length)
        with disk_errors():
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  see close()
            os.pwrite(self._file.fileno(), body, start)
        self._position = start + length
        return start, length

    def _drop(self, start: int, end: int) -> None:
        """The entries that stand where something new is written: the oldest of all."""
        for key, entry in list(self._entries.items()):
            if entry.place is None:
                continue
            a, length = entry.place
            if a >= end or a + length <= start:
                return
            entry.place = entry.apart = None
            del self._entries[key]

    def _shrink(self) -> None:
        while len(self._entries) > self._limit:
            _, entry = self._entries.popitem(last=False)
            entry.place = entry.apart = None
        while len(self._aparts) > APARTS:
            entry = self._aparts.popleft()
            entry.place = entry.apart = None

    def _wake(self, entry: _Entry) -> None:
        with self._lock:
            entry.asker = None
            waiting, entry.waiting = entry.waiting, []
        for wake in waiting:
            wake()


class SharedAsking(Asking):
    """A request that looks first whether another stream has asked the same."""

    def __init__(self, answers: Answers, asking: Asking, anew: bool) -> None:
        self._answers = answers
        self._asking = asking
        self.client = asking.client
        self.is_probe = False
        self._anew = anew
        self._key = _key(asking.request)
        self._entry: _Entry | None = None

    def once(self) -> Answer | Later:
        self._asking.is_probe = self.is_probe
        entry, own = self._answers.claim(self._key, self, anew=self._anew)
        if own:
            self._entry = entry
            return self._asked(entry)
        if entry.asker is not None:
            return Later(when_done=lambda wake: self._answers.wait_for(entry, wake))
        if entry.error:
            raise entry.error
        reply = self._answers.read(entry)
        if reply is None:
            return self._asking.once()  # dropped: asked again, and not kept
        return self._asking.take(lambda: reply)

    def release(self) -> None:
        """A request that was given up half way is left to those who wait for it."""
        if self._entry and self._entry.asker is self:
            self._answers.give_up(self._key, self._entry)

    def _asked(self, entry: _Entry) -> Answer | Later:
        kept: list[Reply] = []

        def fetch() -> Reply:
            kept[:] = [self._asking.fetch()]
            return kept[0]

        try:
            found = self._asking.take(fetch)
        except Exception as error:
            self._answers.fail(entry, error)
            raise
        if isinstance(found, Answer):
            self._answers.keep(self._key, entry, kept[0])
        return found


def _key(request: Request) -> Key:
    text = f"{request.method} {request.url} ".encode()
    return blake2b(text + (request.body or b""), digest_size=16).digest()
