"""What a stream has done and left out, counted for the lines at its end."""

import logging
import threading
from collections import Counter

logger = logging.getLogger("airbyte")


class Tally:
    """Counts of one stream. Used by all threads."""

    def __init__(self, stream_name: str) -> None:
        self.stream_name = stream_name
        self._skips: Counter[str] = Counter()
        self._warned: set[str] = set()
        self._lock = threading.Lock()

    def skip(self, reason: str) -> None:
        """Something gave no record, for a reason that is part of the sync."""
        with self._lock:
            self._skips[reason] += 1

    def warn_once(self, text: str) -> None:
        with self._lock:
            if text in self._warned:
                return
            self._warned.add(text)
        logger.warning("Stream %s: %s", self.stream_name, text)

    def log(self) -> None:
        """One line, if anything was skipped."""
        with self._lock:
            if not self._skips:
                return
            listed = ", ".join(f"{n} x {reason}" for reason, n in self._skips.most_common())
            total = sum(self._skips.values())
        logger.info("Stream %s skipped %d without a record: %s.", self.stream_name, total, listed)
