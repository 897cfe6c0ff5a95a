"""What is measured: one table, and what every program must know about it."""

from dataclasses import dataclass, replace

PAGE = 100
FILE_SIZE = 1_000_000
SLOW_SHARE = 10
"""One answer in so many is a slow one, where a case has slow ones."""
WINDOW = 1.0
"""Seconds of the moving window of the rate limit."""
QUICK = 10
"""A smoke run has this part of the work."""


@dataclass(frozen=True)
class Case:
    """One measurement: all systems take their turn in it, round after round."""

    work: str
    kind: str
    """list, details or files: what the programs are told to read."""
    count: int
    workers: int = 16
    latency_ms: int = 0
    slow_ms: int = 0
    """What one answer in `SLOW_SHARE` takes instead of `latency_ms`; 0: there are no slow ones."""
    per_second: int = 0
    """What the server allows in any window of one second; 0: no limit."""
    count_sequential: int = 0
    """For a system that makes one request after the other, so that it does not take minutes; 0: the same."""

    @property
    def name(self) -> str:
        """Its column's title."""
        if self.kind == "list":
            return "page after page"
        parts = [f"{self.latency_ms} ms"]
        if self.slow_ms:
            parts.append(f"one in {SLOW_SHARE} {self.slow_ms} ms")
        return ", ".join([*parts, f"{self.workers} workers"])

    def count_for(self, *, sequential: bool) -> int:
        return self.count_sequential or self.count if sequential else self.count

    def smaller(self) -> "Case":
        """The same for a smoke run."""
        return replace(self, count=max(1, self.count // QUICK), count_sequential=self.count_sequential // QUICK)


CASES = (
    Case("list", "list", 50_000),
    Case("details", "details", 5_000),
    Case("details", "details", 5_000, workers=64),
    Case("details", "details", 5_000, latency_ms=20, count_sequential=500),
    Case("details", "details", 5_000, workers=64, latency_ms=20),
    Case("details", "details", 5_000, latency_ms=100, count_sequential=200),
    Case("details", "details", 5_000, workers=64, latency_ms=100),
    # With one detail only: what a process costs before and after its work.
    Case("one", "details", 1),
    Case("tail", "details", 2_000, latency_ms=50, slow_ms=500, count_sequential=200),
    Case("tail", "details", 2_000, workers=64, latency_ms=50, slow_ms=500),
    Case("limit", "details", 300, latency_ms=20, per_second=10),
    Case("files", "files", 200),
)
WORKS = ("list", "details", "cpu", "tail", "limit", "files", "startup")
"""What `--only` can name. `cpu` is taken from the details without latency, and the case `one`."""


def call_id(number: int) -> str:
    return f"AC{number:07d}"


def call_ids(count: int) -> list[str]:
    """The calls whose details are asked for: known beforehand, no list is read."""
    return [call_id(number) for number in range(1, count + 1)]
