"""The files of the command line: config, catalog and state, read once, and what is wrong with one in words."""

import errno
import json
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from airbyte_cdk.models import (
    AirbyteStateMessage,
    AirbyteStateMessageSerializer,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteCatalogSerializer,
    SyncMode,
)

from source_recordings.config import without_nulls
from source_recordings.errors import UserError

logger = logging.getLogger("airbyte")

LONGEST_REASON = 300
DISCOVERED = 'that is what `discover` prints. A configured catalog says for each stream {"stream": {"name": ...}, "sync_mode": ...}.'
NO_STATE = "Give the connector the states that it printed, or no state to start again."


class _Wrong(Exception):
    """What is wrong with the content of a file."""


def read_config(path: str) -> dict[str, Any]:
    """What is null is left out. Raises a config error, which quotes nothing: a config holds secrets."""
    value = _json("config", path)
    if not isinstance(value, Mapping):
        raise _error("config", path, "it must hold one JSON object.")
    return without_nulls(value)


def read_catalog(path: str) -> ConfiguredAirbyteCatalog:
    """Raises a config error. What of an entry changes nothing may be left out."""
    value = _json("catalog", path)
    try:
        return ConfiguredAirbyteCatalogSerializer.load({"streams": list(_configured(value))})
    except _Wrong as wrong:
        raise _error("catalog", path, str(wrong)) from None


def _configured(value: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(value, Mapping):
        raise _Wrong("it must hold an object with `streams`.")
    if "catalog" in value:
        raise _Wrong(DISCOVERED)
    if not isinstance(value.get("streams"), list):
        raise _Wrong("its `streams` must be a list of the streams to read.")
    names = set()
    for number, entry in enumerate(value["streams"]):
        found = _configured_stream(entry, f"streams[{number}]")
        name = found["stream"]["name"]
        if name in names:
            raise _Wrong(f"it names the stream {name} twice. Take one of them out.")
        names.add(name)
        yield found


def _configured_stream(entry: Any, path: str) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise _Wrong(f"`{path}` must be an object.")
    if "stream" not in entry and "name" in entry:
        raise _Wrong(DISCOVERED)
    stream = entry.get("stream")
    if not isinstance(stream, Mapping):
        raise _Wrong(f"`{path}.stream` must be an object with the stream's name.")
    name = stream.get("name")
    if not isinstance(name, str) or not name:
        raise _Wrong(f"`{path}.stream.name` must be the stream's name.")
    modes = [mode.value for mode in SyncMode]
    if entry.get("sync_mode") not in modes:
        said = entry.get("sync_mode")
        quoted = f", not {said[:40]}" if isinstance(said, str) else ""
        raise _Wrong(f"`{path}.sync_mode`, of {name}, must be {' or '.join(modes)}{quoted}.")
    stream = {"json_schema": {}, "supported_sync_modes": modes, **without_nulls(stream)}
    found = {"destination_sync_mode": "append", **without_nulls(entry), "stream": stream}
    try:
        ConfiguredAirbyteCatalogSerializer.load({"streams": [found]})
    except Exception as error:  # noqa: BLE001  the serializer raises what it likes
        raise _Wrong(f"`{path}`, of {name}: {_in_short(error)}") from None
    return found


def read_state(path: str, known: Collection[str]) -> list[AirbyteStateMessage]:
    """The states of the `known` streams, whichever form the file has. Raises a config error."""
    value = _json("state", path)
    try:
        found = list(_states(value, known))
    except _Wrong as wrong:
        raise _error("state", path, f"{wrong} {NO_STATE}") from None
    for name in dict.fromkeys(name for name, _ in found if name not in known):
        close = get_close_matches(name, known, 1)
        hint = f"; did you mean `{close[0]}`?" if close else "."
        logger.warning("The state's stream `%s` is none of this connector and is ignored%s", name[:100], hint)
    return [_as_message(name, state) for name, state in found if name in known]


def _as_message(name: str, state: Mapping[str, Any]) -> AirbyteStateMessage:
    stream = {"stream_descriptor": {"name": name}, "stream_state": dict(state)}
    return AirbyteStateMessageSerializer.load({"type": "STREAM", "stream": stream})


Named = tuple[str, Any]
"""A stream's name and its state."""


def _states(value: Any, known: Collection[str]) -> Iterator[Named]:
    """What is null is left out."""
    if isinstance(value, Mapping):
        if not value or value.keys() & {"type", "state", "stream", "global", "data"}:
            value = [value] if value else []
        elif value.keys() & set(known):
            value = [{"data": value}]  # the protocol's first form
        else:
            raise _Wrong("it has a state for no stream of this connector.")
    if value is not None and not isinstance(value, list):
        raise _Wrong("it must hold a list of states.")
    for number, entry in enumerate(value or [], start=1):
        for name, state in _of_message(entry, f"entry {number} "):
            if name in known and not isinstance(state, Mapping | None):
                raise _Wrong(f"the state of {name} is no object.")
            if state is not None:
                yield name, state


def _of_message(entry: Any, where: str) -> Iterator[Named]:
    if isinstance(entry, Mapping) and entry.get("type") == "STATE":
        entry = entry.get("state")
    found = entry if isinstance(entry, Mapping) else {}
    kind = found.get("type")
    stream, whole, data = found.get("stream"), found.get("global"), found.get("data")
    if isinstance(stream, Mapping) and kind in ("STREAM", None):
        yield _of_stream(stream, where)
    elif isinstance(whole, Mapping) and kind in ("GLOBAL", None) and isinstance(whole.get("stream_states"), list):
        if whole.get("shared_state"):
            logger.warning("The state file has a shared state, which this connector does not write: it is ignored.")
        yield from (_of_stream(part, where) for part in whole["stream_states"])
    elif isinstance(data, Mapping) and kind in ("LEGACY", None):
        yield from data.items()
    else:
        raise _Wrong(f"{where}is no state of a stream.")


def _of_stream(part: Any, where: str) -> Named:
    descriptor = part.get("stream_descriptor") if isinstance(part, Mapping) else None
    name = descriptor.get("name") if isinstance(descriptor, Mapping) else None
    if not isinstance(name, str) or not name:
        raise _Wrong(f"{where}does not name its stream.")
    return name, part.get("stream_state")


def _json(what: str, path: str) -> Any:
    """In UTF-8, UTF-16 or UTF-32, with or without a byte order mark."""
    try:
        raw = Path(path).read_bytes()
    except PermissionError:
        reason = "no permission. The user that runs this must be able to read it; in a container that is user 1000."
    except (OSError, ValueError) as error:
        reason = f"{os.strerror(getattr(error, 'errno', None) or errno.ENOENT)}. Check the path."
    else:
        try:
            text = raw.decode(json.detect_encoding(raw))
            if text.strip():
                return json.loads(text)
            reason = "it is empty."
        except UnicodeDecodeError:
            reason = "its text is neither UTF-8 nor UTF-16. Save it as UTF-8."
        except json.JSONDecodeError as error:
            reason = f"it is no JSON, from line {error.lineno}, column {error.colno} on."
        except RecursionError:
            reason = "it is nested too deeply."
        except ValueError:
            reason = "it has a number that is too long."
    raise _error(what, path, reason)


def _error(what: str, path: str, reason: str) -> UserError:
    return UserError(f"The {what} file {path} can't be read as an Airbyte {what}: {reason}")


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:LONGEST_REASON]
