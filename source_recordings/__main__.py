"""`python -m source_recordings`, and what the console script `source-recordings` calls."""

import os
import signal


def main() -> None:
    # The imports take a second. Until they are done there is nothing to wind up; and the first process of a container
    # never hears of a signal that it has no handler for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os._exit(128 + number))
    from source_recordings.run import run  # noqa: PLC0415  see above

    run()


if __name__ == "__main__":
    main()
