"""The streams that are the same whichever provider recorded: what their fields are. How a provider's rows become theirs
stands in its provider.yaml.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from source_recordings.files.names import media_type, relative_path, staging_segments
from source_recordings.times import iso, parse_time

Convert = Callable[[Any], Any]


def _text(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) if value != "" else None


def _number(value: Any) -> float | int | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _time(value: Any) -> str | None:
    """In UTC, to the microsecond."""
    found = parse_time(value) if value is not None else None
    try:
        return iso(found) if found else None
    except OverflowError:  # in the hours before the year 1 or after 9999
        return None


@dataclass(frozen=True)
class Unified:
    """One of these streams."""

    name: str
    primary_key: tuple[str, ...]
    cursor: str
    needed: tuple[str, ...] = ()
    """Fields besides the key without which there is no row."""

    @property
    def schema_file(self) -> Path:
        return Path(__file__).with_name(f"{self.name}.json")

    @cached_property
    def fields(self) -> Mapping[str, Convert]:
        """Each field with what makes a value of its type out of a provider's; what is none of the type becomes null."""
        schema = json.loads(self.schema_file.read_text(encoding="utf-8"))
        return {name: _converter(form) for name, form in schema["properties"].items()}


def _converter(form: Mapping[str, Any]) -> Convert:
    kind = next(kind for kind in form["type"] if kind != "null")
    if form.get("format") == "date-time":
        return _time
    return {"string": _text, "number": _number, "integer": _integer}[kind]


UNIFIED = {
    unified.name: unified
    for unified in (
        Unified("recordings", ("provider", "recording_id"), "created_at"),
        Unified("utterances", ("provider", "transcript_id", "position"), "created_at", needed=("text",)),
    )
}


# What the expressions of the fields may call.


def only(values: Any) -> Any:
    """The one value of a list; None if there is none, or more than one that differ."""
    found = {value for value in values if isinstance(value, str)} if isinstance(values, list) else set()
    return found.pop() if len(found) == 1 else None


def seconds(milliseconds: Any) -> float | None:
    number = _number(milliseconds)
    return None if number is None else number / 1000


def media_path(provider: str) -> Callable[..., str | None]:
    """Tells where a file stream puts a file, if that is of the type that the provider says; None if it says none."""

    def path(name: Any, dated: Any, content_type: Any = None, *, has_extension: bool = False) -> str | None:
        said = media_type(content_type)
        if said is None and not has_extension:
            return None
        return relative_path(staging_segments(provider, dated, name), said, is_id=not has_extension)

    return path


def helpers(provider: str) -> dict[str, Any]:
    return {"only": only, "seconds": seconds, "media_path": media_path(provider)}
