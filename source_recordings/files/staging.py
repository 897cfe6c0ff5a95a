"""The staging directory: files under way and whole ones, never half ones under a final name."""

import errno
import hashlib
import logging
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import ModuleType

from source_recordings.cdk import get_files_directory
from source_recordings.errors import UserError
from source_recordings.files.folders import OWNER_FILE, folder_of
from source_recordings.files.sniff import HEAD
from source_recordings.http.client import Closed

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows, where a file that is open can't be deleted: no lock is needed there.
    fcntl = None

logger = logging.getLogger("airbyte")

PARTS = ".parts"
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
STAGING_DIRECTORY = "AIRBYTE_STAGING_DIRECTORY"


def staging_directory() -> Path:
    """AIRBYTE_STAGING_DIRECTORY if it is set, else the CDK's default."""
    return Path(os.environ.get(STAGING_DIRECTORY) or get_files_directory())


class Staging:
    """Makes parts, and removes those that a killed process has left behind.

    A part is locked as long as its process lives, so that syncs that share the directory keep their hands off each
    other's. What it makes is its owner's alone: recordings of calls are nobody else's business on a shared machine. The
    platform's containers, which take the files over, run as the same user.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._swept = False
        self._closed = False
        self._lock = Lock()
        self._open: set[Path] = set()

    def sweep(self) -> None:
        """Removes left-over parts, once."""
        with self._lock:
            if self._swept:
                return
            self._swept = True
            if not os.environ.get(STAGING_DIRECTORY):
                logger.warning(
                    "Files go to %s. %s names another directory, one that stays.", self.root, STAGING_DIRECTORY
                )
            folder = self.root / PARTS
            for path in () if folder.is_symlink() else folder.glob("*.part"):
                with suppress(OSError):
                    _remove_unless_locked(path)

    def close(self) -> None:
        """Removes the parts that are still under way: the threads that write them end with the process, and tidy up nothing."""
        with self._lock:
            self._closed = True
            paths = list(self._open)
        for path in paths:
            with suppress(OSError):
                path.unlink()

    def part(self) -> "Part":
        """A new, empty part. Raises Closed."""
        self.sweep()
        with _disk_errors(self.root), folder_of(self.root, [PARTS]) as folder:
            while True:
                path = self.root / PARTS / f"{secrets.token_hex(12)}.part"
                with self._lock:
                    if self._closed:
                        raise Closed
                    fd = os.open(folder.name_of(path), _NEW, OWNER_FILE, dir_fd=folder.fd)
                    self._open.add(path)
                if _lock(fd) and os.fstat(fd).st_nlink:
                    return Part(self.root, path, fd, lambda path=path: self._open.discard(path))  # type: ignore[misc]
                self._open.discard(path)
                os.close(fd)  # another process swept it between the two calls


class Part:
    """A file under way: what has been written, and its hash. Close it in any case."""

    def __init__(self, root: Path, path: Path, fd: int, done: Callable[[], None] = lambda: None) -> None:
        """`done` is called when there is no part any more."""
        self._done = done
        self._root = root
        self._path: Path | None = path
        self._fd = fd
        self.size = 0
        self.head = b""
        """The first bytes."""
        self._hash = hashlib.sha256()

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        if self.size < HEAD:
            self.head += bytes(data[: HEAD - self.size])
        self._hash.update(data)
        rest = memoryview(data)
        with _disk_errors(self._root):
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        self.size += len(data)

    def restart(self) -> None:
        """Forgets all that was written."""
        if not self.size:
            return  # ext4 writes a file that was cut to nothing out to the disk when it is closed
        with _disk_errors(self._root):
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        self.size = 0
        self.head = b""
        self._hash = hashlib.sha256()

    def finish(self, relative: str) -> Path:
        """The whole file under its name; a file that had this name is replaced.

        Without fsync: a killed process loses nothing by it, and when the whole machine goes down, the staging directory,
        which is a hand-over and no archive, is read again by the next sync only if the saved state says so. The record's
        hash tells a file that a power cut has damaged.
        """
        assert self._path is not None
        *folders, name = relative.split("/")
        final = self._root.joinpath(*folders, name)
        with _disk_errors(self._root), folder_of(self._root, folders) as folder:
            if fcntl is None:
                self._release()
            os.replace(self._path, folder.name_of(final), dst_dir_fd=folder.fd)
        self._path = None
        self._done()
        self.close()
        return final

    def close(self) -> None:
        """Removes the file unless it was finished."""
        if self._path is not None:
            if fcntl is None:
                self._release()
            with suppress(OSError):
                self._path.unlink()
            self._path = None
            self._done()
        self._release()

    def _release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _lock(fd: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _remove_unless_locked(path: Path) -> None:
    if fcntl is None:
        path.unlink()
        return
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(fd)


@contextmanager
def _disk_errors(root: Path) -> Iterator[None]:
    """Says what is wrong with the disk. A config error: whatever comes next would fail in the same way."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "is full" if full else f"can't be written ({error.strerror})"
        todo = (
            "Free some space or mount a larger volume"
            if full
            else "Mount a directory that the connector's user may write to"
        )
        raise UserError(
            f"The staging directory {root} {what}. {todo}, or leave out the file streams; "
            "the next sync goes on where this one stopped.",
            internal_message=f"{type(error).__name__} {error.errno} in {root}",
        ) from error
