"""What a stream has done and left out, counted for the lines at its end."""

import logging
import threading
from collections import Counter

logger = logging.getLogger("airbyte")


class Tally:
    """Counts of one stream. Used by all threads."""

    def __init__(self, stream_name: str, title: str = "The provider") -> None:
        """`title` is the provider's name."""
        self.stream_name = stream_name
        self._title = title
        self._records = 0
        self._requests = 0
        self._listed = 0
        self._total: int | None = None
        self._lists: dict[str, tuple[int, int]] = {}
        self._skips: Counter[str] = Counter()
        self._without_file: Counter[str] = Counter()
        self._doubts: Counter[str] = Counter()
        self._warned: set[str] = set()
        self._lock = threading.Lock()

    def requested(self) -> None:
        """A request to the provider. What another stream has asked for already is none."""
        with self._lock:
            self._requests += 1

    def recorded(self) -> None:
        """A record went out."""
        with self._lock:
            self._records += 1

    def listed(self, rows: int) -> None:
        """So many rows more stood in a list of the provider."""
        with self._lock:
            self._listed += rows

    def compare(self, which: str, total: int, came: int) -> None:
        """A list was read to its end: it has `total` rows by the provider's own account, and so many came.

        `which` one, because several windows may need the same.
        """
        with self._lock:
            self._lists[which] = total, came

    def counted(self, total: int) -> None:
        """The provider has counted what the stream lists as a whole."""
        with self._lock:
            self._total = total

    def skip(self, reason: str) -> None:
        """Something gave no record, for a reason that is part of the sync."""
        with self._lock:
            self._skips[reason] += 1

    def without_file(self, reason: str) -> None:
        """A record came without the file that it is about."""
        with self._lock:
            self._without_file[reason] += 1

    def doubt(self, reason: str) -> None:
        """A record is not what it should be, and goes out all the same."""
        with self._lock:
            self._doubts[reason] += 1

    def warn_once(self, text: str) -> None:
        with self._lock:
            if text in self._warned:
                return
            self._warned.add(text)
        logger.warning("Stream %s: %s", self.stream_name, text)

    def log(self, *, nothing_yet: bool = False) -> None:
        """A line about what came, one about what was skipped, one about files that did not come; and warnings, if records were
        doubtful, or if neither this sync nor an earlier one has brought anything.
        """
        if nothing_yet:
            self.warn_once(
                f"it has brought nothing so far, in this sync or an earlier one; {self._listed:,} rows of the provider's list "
                "were looked at. If there should be something, look into the account, and whether the provider has changed "
                "its API. Once something comes, what was passed over is read again."
            )
        with self._lock:
            skips, files, doubts = self._skips.copy(), self._without_file.copy(), self._doubts.copy()
            came = f"{_n(self._records, 'record')}, {_n(self._requests, 'request')}{self._comparison()}."
        logger.info("Stream %s: %s", self.stream_name, came)
        for reason, count in doubts.most_common():
            logger.warning("Stream %s: %d x %s", self.stream_name, count, reason)
        if skips:
            logger.info("Stream %s skipped %d without a record: %s.", self.stream_name, skips.total(), _list(skips))
        if files:
            logger.info("Stream %s: %d records without a file: %s.", self.stream_name, files.total(), _list(files))

    def _comparison(self) -> str:
        """The provider's count beside what came, which may differ: rows come and go while a list is read."""
        if self._total is None and not self._lists:
            return ""
        total, came = (sum(counts) for counts in zip(*self._lists.values(), strict=True)) if self._lists else (0, 0)
        if self._total is not None:
            total, came = self._total, self._listed
        return f"; {self._title} counts {_n(total, 'row')} in what was listed, and {came:,} came"


def _n(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _list(counts: Counter[str]) -> str:
    return ", ".join(f"{n} x {reason}" for reason, n in counts.most_common())
