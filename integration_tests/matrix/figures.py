"""The figures of all cells, for the end of the run. They come through the tests' reports, also from other processes."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

PROPERTY = "fault"


@dataclass
class Figures:
    """Of one cell, or of all."""

    tried: int = 0
    survived: int = 0
    rows_lost: int = 0
    leaks: int = 0

    @property
    def line(self) -> str:
        return (
            f"fault matrix: {self.tried} faults tried, {self.survived} survived, "
            f"{self.rows_lost} rows lost, {self.leaks} leaks"
        )


def total(reports: Iterable[Any]) -> Figures:
    """The sum over the reports of a run."""
    found = Figures()
    for report in reports:
        if getattr(report, "when", "") == "call":
            for name, value in getattr(report, "user_properties", ()):
                if name == PROPERTY:
                    for figure, number in value.items():
                        setattr(found, figure, getattr(found, figure) + number)
    return found


def as_property(figures: Figures) -> tuple[str, dict[str, int]]:
    return PROPERTY, asdict(figures)
