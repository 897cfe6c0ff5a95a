"""Reads the messages of a sync and writes the last state of each stream: what `read --state` takes.

`python examples/last_states.py < messages.jsonl > state.json`
"""

import json
import sys
from collections.abc import Iterable
from typing import Any


def last_states(lines: Iterable[str]) -> list[Any]:
    """The last state of each stream; a last line that was cut off is left out."""
    states = {}
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if message["type"] == "STATE":
            state = message["state"]
            states[state["stream"]["stream_descriptor"]["name"]] = state
    return list(states.values())


if __name__ == "__main__":
    json.dump(last_states(sys.stdin), sys.stdout)
