"""One `read` of a file stream in a process of its own: `python -m benchmarks.one_files CONFIG.json STREAM yes|no`.

Prints one JSON line: the seconds of the sync, without the interpreter's start, the bytes that were stored, and the peak
memory of the whole process in bytes. `no` leaves the files out.
"""

import json
import logging
import resource
import sys
from pathlib import Path
from time import monotonic

from airbyte_cdk.models import Type

from integration_tests.syncing import catalog_of
from source_recordings.source import SourceRecordings


def main() -> None:
    config, stream = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2]
    logging.disable(logging.INFO)
    catalog = catalog_of(config, stream)
    catalog.streams[0].include_files = sys.argv[3] == "yes"
    source = SourceRecordings(catalog=catalog, config=config, state=[])
    stored = files = 0
    started = monotonic()
    for message in source.read(logging.getLogger("airbyte"), config, catalog, []):
        if message.type == Type.RECORD and message.record:
            files += message.record.data.get("media_status") == "stored"
            stored += message.record.data.get("media_bytes") or 0
    seconds = monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "files": files, "bytes": stored, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
