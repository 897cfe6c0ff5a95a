"""Reads what `discover` prints and writes a configured catalog: what `read --catalog` takes.

`source-recordings discover --config config.json | python examples/configured_catalog.py [STREAM...] > catalog.json`

The streams that are named, or all, each incremental where it can be.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def configured_catalog(lines: Iterable[str], names: Sequence[str]) -> dict[str, Any]:
    """The catalog in the messages, configured."""
    try:
        messages = [json.loads(line) for line in lines]
        catalogs = [message["catalog"] for message in messages if message["type"] == "CATALOG"]
    except (ValueError, KeyError, TypeError):
        sys.exit("The input is not what discover prints: one Airbyte message a line.")
    if not catalogs:
        sys.exit("There is no catalog among the messages: discover says why.")
    offered = {stream["name"]: stream for stream in catalogs[0]["streams"]}
    unknown = sorted(set(names) - set(offered))
    if unknown:
        sys.exit(f"No such stream: {', '.join(unknown)}. There are: {', '.join(sorted(offered))}.")
    return {"streams": [_configured(offered[name]) for name in names or offered]}


def _configured(stream: dict[str, Any]) -> dict[str, Any]:
    incremental = "incremental" in stream["supported_sync_modes"]
    return {
        "stream": stream,
        "sync_mode": "incremental" if incremental else "full_refresh",
        "destination_sync_mode": "append_dedup" if incremental else "overwrite",
    }


if __name__ == "__main__":
    json.dump(configured_catalog(sys.stdin, sys.argv[1:]), sys.stdout, indent=1)
