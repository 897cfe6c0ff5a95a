"""What a stream has done and left out, counted for the lines at its end."""

import logging
import threading
from collections import Counter

logger = logging.getLogger("airbyte")


class Tally:
    """Counts of one stream. Used by all threads."""

    def __init__(self, stream_name: str) -> None:
        self.stream_name = stream_name
        self._listed = 0
        self._skips: Counter[str] = Counter()
        self._without_file: Counter[str] = Counter()
        self._doubts: Counter[str] = Counter()
        self._warned: set[str] = set()
        self._lock = threading.Lock()

    def listed(self, rows: int) -> None:
        """So many rows more stood in a list of the provider."""
        with self._lock:
            self._listed += rows

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
        """A line about what was skipped, one about files that did not come; and warnings, if records were doubtful, or if
        neither this sync nor an earlier one has brought anything.
        """
        if nothing_yet:
            self.warn_once(
                f"it has brought nothing so far, in this sync or an earlier one; {self._listed:,} rows of the provider's list "
                "were looked at. If there should be something, look into the account, and whether the provider has changed "
                "its API. Once something comes, what was passed over is read again."
            )
        with self._lock:
            skips, files, doubts = self._skips.copy(), self._without_file.copy(), self._doubts.copy()
        for reason, count in doubts.most_common():
            logger.warning("Stream %s: %d x %s", self.stream_name, count, reason)
        if skips:
            logger.info("Stream %s skipped %d without a record: %s.", self.stream_name, skips.total(), _listed(skips))
        if files:
            logger.info("Stream %s: %d records without a file: %s.", self.stream_name, files.total(), _listed(files))


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{n} x {reason}" for reason, n in counts.most_common())
