"""Runs one program to its end and takes its figures."""

import os
import resource
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from time import monotonic

CHUNK = 1 << 16
LONGEST = 1200
"""Seconds after which a program is ended: it hangs."""


@dataclass(frozen=True)
class Ran:
    """One run. The times are those of the machine's monotonic clock, which the server uses as well."""

    started: float
    last: float
    """When the last byte came out of its standard output."""
    ended: float
    cpu: float
    """Seconds, user and system, of the whole process."""
    peak: int
    """Bytes: the most memory it had, 0 if it cannot be told."""


class Failed(Exception):
    """A program did not do its work."""


def run(command: Sequence[str | Path], output: Path, *, cwd: Path, env: Mapping[str, str] | None = None) -> Ran:
    """Reads what the program prints while it runs, as a platform does, into the file `output`.

    Raises Failed, with the end of what it has said, unless it ends with 0.
    """
    errors = output.with_suffix(".stderr")
    with output.open("wb") as file, errors.open("wb") as said:
        started = last = monotonic()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, cwd=cwd, env={**os.environ, **(env or {})}
        )
        assert process.stdout
        watch = Timer(LONGEST, process.kill)
        watch.start()
        try:
            while chunk := os.read(process.stdout.fileno(), CHUNK):
                last = monotonic()
                file.write(chunk)
            _, status, used = os.wait4(process.pid, 0)
            ended = monotonic()
        except BaseException:  # stopped from outside
            process.kill()
            process.wait()
            raise
        finally:
            watch.cancel()
            process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(
            f"{' '.join(map(str, command))}\nended with {process.returncode}:\n{_end_of(output)}\n{_end_of(errors)}"
        )
    return Ran(started, last, ended, used.ru_utime + used.ru_stime, _peak(used.ru_maxrss))


def _peak(kilobytes: int) -> int:
    """VmHWM, as the kernel reports it at the end. It counts in what this process had when it started the other, which
    therefore has to be less.
    """
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024 if kilobytes > own else 0


def _end_of(file: Path) -> str:
    return file.read_text(errors="replace")[-3000:]
