"""The folder for temporary files, which may be full, read-only or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from source_recordings.errors import UserError


@contextmanager
def disk_errors() -> Iterator[None]:
    """Says what is wrong with it and what to do. A config error: whatever comes next would fail in the same way."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The folder for temporary files can't be written ({os.strerror(error.errno or 0)}). Free some space there, "
            "or name another folder in the environment variable TMPDIR.",
            internal_message=f"{type(error).__name__} {error.errno}",
        ) from None
