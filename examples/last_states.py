"""Reads the messages of a sync and writes the last state of each stream: what `read --state` takes.

`python examples/last_states.py < messages.jsonl > state.json`
"""

import json
import sys
from collections.abc import Iterable
from typing import Any


def last_states(lines: Iterable[str]) -> list[Any]:
    """The last state of each stream; lines that were cut off are left out."""
    states = {}
    count = understood = 0
    for message in map(_parsed, lines):
        count += 1
        understood += message is not None
        if message and message["type"] == "STATE":
            state = message["state"]
            states[state["stream"]["stream_descriptor"]["name"]] = state
    if count > 1 and not understood:
        sys.exit("The input is not what read prints: one Airbyte message a line.")
    return list(states.values())


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "type" in message else None


if __name__ == "__main__":
    json.dump(last_states(sys.stdin), sys.stdout)
