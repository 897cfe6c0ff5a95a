"""What is kept of the runs, and what is made of it."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.peers.work import WINDOW, Case


@dataclass(frozen=True)
class Figures:
    """One run of one system."""

    count: int
    seconds: float
    """From the first request that the server saw to the last byte that the program printed."""
    whole: float
    """From the start of the process to its end."""
    cpu: float
    peak: int
    requests: int
    refused: int
    server_cpu: float
    per_second: int = 0
    """What was allowed."""

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    @property
    def whole_rate(self) -> float:
        return self.count / self.whole

    @property
    def request_rate(self) -> float:
        return self.requests / self.seconds

    @property
    def server_busy(self) -> float:
        return 100 * self.server_cpu / self.seconds

    @property
    def refused_share(self) -> float:
        return 100 * self.refused / self.requests

    @property
    def used(self) -> float:
        """In percent: the least time that the limit allows, of the time that it took."""
        return 100 * (self.count / self.per_second - 1) * WINDOW / self.seconds


Value = Callable[[Figures], float]


@dataclass
class Results:
    """All runs of all systems in all cases, and the times of the commands."""

    runs: dict[tuple[Case, str], list[Figures]] = field(default_factory=dict)
    commands: dict[str, list[float]] = field(default_factory=dict)

    def add(self, case: Case, system: str, figures: Figures) -> None:
        self.runs.setdefault((case, system), []).append(figures)

    @property
    def rounds(self) -> int:
        return max(map(len, self.runs.values()), default=0)

    def of(self, case: Case, system: str, value: Value) -> float | None:
        """The median over the rounds; None where the system was left out."""
        found = self.runs.get((case, system))
        return median(map(value, found)) if found else None

    def cases(self, work: str) -> list[Case]:
        return list(dict.fromkeys(case for case, _ in self.runs if case.work == work))

    def systems(self, cases: Iterable[Case]) -> list[str]:
        wanted = set(cases)
        return list(dict.fromkeys(system for case, system in self.runs if case in wanted))

    def spread(self, case: Case, system: str, value: Value) -> float:
        """The largest difference between its rounds, in percent of the median."""
        rounds = [value(figures) for figures in self.runs[case, system]]
        return 100 * (max(rounds) - min(rounds)) / median(rounds)

    def dump(self) -> dict[str, Any]:
        """For a file: nothing left out."""
        return {
            "runs": [
                {"case": asdict(case), "system": system, "rounds": [asdict(f) for f in found]}
                for (case, system), found in self.runs.items()
            ],
            "commands": self.commands,
        }
