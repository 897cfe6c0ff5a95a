"""Folders below the staging directory: made for their owner alone, and never through a link."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

OWNER_FOLDER, OWNER_FILE = 0o700, 0o600

_BY_FD = {os.open, os.mkdir, os.rename} <= os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_NO_LINK = _FOLDER | getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True)
class Folder:
    """An open folder, or where there are no such things its path."""

    fd: int | None

    def name_of(self, path: Path) -> str:
        """How a file in it is called together with `fd`."""
        return str(path) if self.fd is None else path.name


@contextmanager
def folder_of(root: Path, names: Sequence[str]) -> Iterator[Folder]:
    """The folder with these names, one in the other, below the root. Raises an OSError.

    The root may be a link; what is in it may not: a link could lead anywhere. So every folder is opened by its name in the
    one that is open already, and one that is not there is made there.
    """
    if not _BY_FD:
        _make_by_path(root, names)
        yield Folder(None)
        return
    fd = _root(root)
    try:
        for name in names:
            above, fd = fd, _inside(fd, name)
            os.close(above)
        yield Folder(fd)
    finally:
        os.close(fd)


def _root(root: Path) -> int:
    try:
        return os.open(root, _FOLDER)
    except FileNotFoundError:
        root.mkdir(OWNER_FOLDER, parents=True, exist_ok=True)
        return os.open(root, _FOLDER)


def _inside(folder: int, name: str) -> int:
    try:
        return _opened(folder, name)
    except FileNotFoundError:
        with suppress(FileExistsError):  # another thread was faster
            os.mkdir(name, OWNER_FOLDER, dir_fd=folder)
        return _opened(folder, name)


def _opened(folder: int, name: str) -> int:
    try:
        return os.open(name, _NO_LINK, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise OSError(error.errno, f"{name} is a link or no folder") from error
        raise


def _make_by_path(root: Path, names: Sequence[str]) -> None:
    """As on Windows, where a link can't be made without a special right."""
    path = root
    path.mkdir(OWNER_FOLDER, parents=True, exist_ok=True)
    for name in names:
        path /= name
        if path.is_symlink():
            raise OSError(errno.ELOOP, f"{name} is a link or no folder")
        path.mkdir(OWNER_FOLDER, exist_ok=True)
