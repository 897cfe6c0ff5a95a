"""What a row leads to: what is asked about it, in which way, and what is kept of it until then."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from source_recordings.delivery import Row
from source_recordings.expressions import Names
from source_recordings.provider import Way


@dataclass(frozen=True)
class Unit:
    """What is asked about: a row, or an item of it."""

    way: int
    """The number of its way."""
    item: Any
    ids: tuple[Any, ...]
    """What may be asked for."""

    @property
    def id(self) -> Any:
        return next(value for value in self.ids if value is not None)


@dataclass(frozen=True)
class Seed:
    """What is kept of a row until its turn: enough to do its job."""

    key: str
    """What is remembered of it once it is settled; another key means that it has changed."""
    time: int
    parent: Row
    unit: Unit | None = None
    id: Any = None
    is_id: bool = False
    """Whether it is one of the IDs that the user has listed, and not a row."""


def units_of(ways: Sequence[Way], names: Names) -> list[Unit]:
    """The units of a row, in the first way in which it has any."""
    for number, way in enumerate(ways):
        items = way.each(names) if way.each else [None]
        found = []
        for item in items if isinstance(items, list) else []:
            values = {**names, "item": item}
            ids = tuple(value(values) for value in way.ids) if way.when(values) else ()
            if any(value is not None for value in ids):
                found.append(Unit(number, item, ids))
        if found:
            return found
    return []
