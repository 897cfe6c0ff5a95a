"""A destination in the sense of the Airbyte protocol: hands the messages to a Singer target and its states back.

`source-recordings read ... | python integration_tests/singer_bridge.py CATALOG TARGET [OPTION...]`

The target is started with its options, gets SCHEMA, RECORD and STATE messages, and echoes a state once all before it is
written. What goes to stdout are the Airbyte STATE messages of the states that were echoed, as a destination must.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

Message = dict[str, Any]


def main() -> None:
    catalog = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with subprocess.Popen(
        sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as target:
        assert target.stdin
        assert target.stdout
        echo = Thread(target=_echo, args=(target.stdout,))
        echo.start()
        with suppress(BrokenPipeError):  # the target has given up: its exit code says so
            for message in singer(catalog, sys.stdin):
                target.stdin.write(json.dumps(message) + "\n")
            target.stdin.close()
        echo.join()
    sys.exit(target.returncode)


def singer(catalog: Message, lines: Iterable[str]) -> Iterator[Message]:
    """The Singer messages for a configured catalog and the messages of a read."""
    for configured in catalog["streams"]:
        stream = configured["stream"]
        dedup = configured["destination_sync_mode"] == "append_dedup"
        keys = [path[0] for path in stream["source_defined_primary_key"]] if dedup else []
        yield {"type": "SCHEMA", "stream": stream["name"], "schema": stream["json_schema"], "key_properties": keys}
    states: dict[str, str] = {}
    for line in lines:
        message = json.loads(line)
        if message["type"] == "RECORD":
            record = message["record"]
            yield {"type": "RECORD", "stream": record["stream"], "record": record["data"]}
        elif message["type"] == "STATE":
            # A target echoes its last state only, which is that of all streams. As text: it would take the numbers
            # for decimals, which it can't write again.
            state = message["state"]
            states[state["stream"]["stream_descriptor"]["name"]] = json.dumps(state)
            yield {"type": "STATE", "value": dict(states)}


def _echo(lines: Iterable[str]) -> None:
    """Prints what has become new with each state."""
    printed: dict[str, str] = {}
    for line in lines:
        for name, state in json.loads(line).items():
            if printed.get(name) != state:
                printed[name] = state
                message = {"type": "STATE", "state": json.loads(state)}
                sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
