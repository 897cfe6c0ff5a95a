"""`python -m source_recordings`, and what the console script `source-recordings` calls."""

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn


def main() -> NoReturn:
    """Runs the command of the command line."""
    # The imports take a second. Until they are done there is nothing to wind up; and the first process of a container
    # never hears of a signal that it has no handler for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os._exit(128 + number))
    from source_recordings.run import run  # noqa: PLC0415  see above

    code: object = 0
    try:
        run()
    except SystemExit as end:
        code = end.code
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):
            stream.flush()
    # Python's own end takes its time, and has no handlers any more.
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
