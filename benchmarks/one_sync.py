"""One sync of some streams in a process of its own, at a given time: `python -m benchmarks.one_sync JOB.json`.

The job names the config, the streams, the state and the time; the answer is printed as one JSON line: records, the last
state of each stream, what is final, the seconds and the peak memory in bytes.
"""

import json
import logging
import resource
import sys
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any
from unittest.mock import patch

from airbyte_cdk.models import AirbyteMessageSerializer, Type

from integration_tests.syncing import catalog_of, states
from source_recordings.source import SourceRecordings

LONGEST = 64


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    logging.disable(logging.INFO)
    now = datetime.fromisoformat(job["now"])
    with patch("source_recordings.times.utc_now", lambda: now):
        print(json.dumps(measured(job)))


def measured(job: dict[str, Any]) -> dict[str, Any]:
    catalog = catalog_of(job["config"], *job["streams"])
    source = SourceRecordings(catalog=catalog, config=job["config"], state=states(job["state"]))
    started = monotonic()
    records, keys = 0, []
    last: dict[str, Any] = {}
    for message in source.read(logging.getLogger("airbyte"), job["config"], catalog, []):
        if message.type == Type.RECORD and message.record:
            records += 1
            if job["keep"]:
                data = message.record.data
                keys.append({k: brief(data.get(k)) for k in job["keep"]})
        elif message.type == Type.STATE:
            state = AirbyteMessageSerializer.dump(message)["state"]
            last[state["stream"]["stream_descriptor"]["name"]] = state
    return {
        "records": records,
        "state": list(last.values()),
        "kept": keys,
        "seconds": monotonic() - started,
        "peak_bytes": peak_bytes(),
    }


def brief(value: Any) -> Any:
    """That there is something, where it is long: what is kept here counts as memory of the sync."""
    return bool(value) if isinstance(value, dict | list) or len(str(value)) > LONGEST else value


def peak_bytes() -> int:
    """The most memory that this program has had; on Linux without what its parent had when it started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
